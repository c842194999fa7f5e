"""What biomedical pretraining is worth: test F1 of models in columns, means over the seeds of each, with their speed.

    python benchmarks/pretraining.py direct=runs/direct-42/bundle@fp32 pretrained=runs/pretrained-42/bundle@fp32 \\
        shipped=default@int8

A column is LABEL=BUNDLE@PRECISION; bundles of one label (other seeds) are averaged. The first column is what the others are
compared with. Speed is that of annotating the NCBI-disease test text, each bundle in turn, best of three rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from scores import CORPORA, DATA, rows_of

from textome.formats import read_documents
from textome.runtime.annotator import Annotator
from textome.runtime.bundle import resolve_model
from textome.text.tokenization import Tokenizer

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("columns", nargs="+", metavar="LABEL=BUNDLE@PRECISION")
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    columns: dict[str, list[tuple[str, str]]] = {}
    for column in options.columns:
        label, _, rest = column.partition("=")
        model, _, precision = rest.rpartition("@")
        if not (label and model and precision):
            parser.error(f"{column!r}: expected LABEL=BUNDLE@PRECISION")
        columns.setdefault(label, []).append((model, precision))

    scores: dict[tuple[str, str], dict[str, list[float]]] = {}
    for label, models in columns.items():
        for model, precision in models:
            for row in rows_of(model, precision, options.data):
                scores.setdefault((row.corpus, row.kind), {}).setdefault(label, []).append(100 * row.score.f1)
    speeds = dict.fromkeys(columns, (0.0, 0.0))
    for _ in range(ROUNDS):
        for label, models in columns.items():
            speeds[label] = max(speeds[label], speed(*models[0], options.data))

    labels = list(columns)
    seeds = ", ".join(f"{label}: {len(models)} seed(s)" for label, models in columns.items())
    print(f"Test F1 in percent, mean over seeds ({seeds})\n")
    print("| corpus (test) | type | " + " | ".join(labels) + " |")
    print("|---" * (len(labels) + 2) + "|")
    means: dict[str, list[float]] = {label: [] for label in labels}
    for (corpus, kind), found in scores.items():
        whole = kind == "all" or (corpus, "all") not in scores
        values = [statistics.mean(found[label]) for label in labels]
        print(f"| {corpus} | {kind} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
        if whole:
            for label, value in zip(labels, values, strict=True):
                means[label].append(value)
    print("| mean of the corpora | | " + " | ".join(f"{statistics.mean(means[label]):.2f}" for label in labels) + " |")
    print("| words/s | | " + " | ".join(f"{speeds[label][0]:,.0f}" for label in labels) + " |")
    print("| tokens/s | | " + " | ".join(f"{speeds[label][1]:,.0f}" for label in labels) + " |")


def speed(model: str, precision: str, data: Path) -> tuple[float, float]:
    """Words and sub-word tokens of the NCBI-disease test text annotated in a second, from raw text to entities."""
    annotator = Annotator.load(model, precision=precision)
    documents = list(read_documents(f"{data}/{CORPORA['NCBI-disease']}"))
    texts = [document.text for document in documents]
    tokens = sum(len(item.ids) for item in Tokenizer.load(resolve_model(model)).encode(texts))
    started = time.perf_counter()
    annotator.annotate(documents)
    seconds = time.perf_counter() - started
    return sum(len(text.split()) for text in texts) / seconds, tokens / seconds


if __name__ == "__main__":
    main()
