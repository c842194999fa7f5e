"""What biomedical pretraining is worth: test F1 of models in columns, means over the seeds of each, with their speed.

    python benchmarks/pretraining.py direct=runs/worth-direct-42/bundle direct=runs/worth-direct-43/bundle \\
        pretrained=runs/worth-pretrained-42/bundle shipped=default [--precision int8] [--output runs/worth]

A column is LABEL=BUNDLE; bundles of one label (other seeds) are averaged, with the deviation over them behind the mean. The
first column is what the others are compared with. A bundle without the graph is exported first. Scores are kept in --output
by the hash of the graph, so that a second call goes on. Speed is that of annotating the NCBI-disease test text, the first
bundle of each label in turn, best of three rounds, on as many threads as OMP_NUM_THREADS says.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

from scores import CORPORA, DATA, documents_of, rows_of

from textome.formats.reading.sources import atomic_file
from textome.pipeline import Pipeline
from textome.runtime.bundle import Bundle, resolve_model
from textome.runtime.model import Model
from textome.text.tokenization import Tokenizer

ROUNDS = 3
Scores = dict[tuple[str, str], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("columns", nargs="+", metavar="LABEL=BUNDLE")
    parser.add_argument("--precision", choices=["int8", "fp32"], default="int8")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=Path("runs/worth"))
    options = parser.parse_args()
    columns: dict[str, list[str]] = {}
    for column in options.columns:
        label, _, model = column.partition("=")
        if not (label and model):
            parser.error(f"{column!r}: expected LABEL=BUNDLE")
        columns.setdefault(label, []).append(model)
    found = {
        label: [scores_of(model, options.precision, options.data, options.output) for model in models]
        for label, models in columns.items()
    }
    print_table(found)
    best = dict.fromkeys(columns, (0.0, 0.0))
    for _ in range(ROUNDS):
        for label, models in columns.items():
            best[label] = max(best[label], speed(models[0], options.precision, options.data))
    for number, unit in enumerate(("words/s", "tokens/s")):
        print(f"| {unit} | | " + " | ".join(f"{best[label][number]:,.0f}" for label in columns) + " |")


def scores_of(model: str, precision: str, data: Path, output: Path) -> Scores:
    """F1 in percent of each corpus and type."""
    folder = resolve_model(model)
    bundle = Bundle.load(folder)
    if not (folder / f"model.{precision}.onnx").exists():
        from textome.runtime.export import export_bundle

        export_bundle(bundle, folder, precision)
    graph = hashlib.sha256((folder / f"model.{precision}.onnx").read_bytes()).hexdigest()
    kept = output / f"{graph[:16]}.json"
    rows = json.loads(kept.read_text(encoding="utf-8"))["rows"] if kept.exists() else []
    if missing := [name for name in CORPORA if name not in {row[0] for row in rows}]:
        print(f"scoring {model} on {', '.join(missing)}", file=sys.stderr, flush=True)
        rows += [[row.corpus, row.kind, 100 * row.score.f1] for row in rows_of(model, precision, data, missing)]
        with atomic_file(kept) as stream:
            stream.write(json.dumps({"model": str(model), "precision": precision, "rows": rows}).encode())
    return {(corpus, kind): score for corpus, kind, score in rows}


def print_table(found: dict[str, list[Scores]]) -> None:
    """A row for each corpus and type, and the mean of the corpora that are trained on."""
    seeds = ", ".join(f"{label}: {len(models)} seed(s)" for label, models in found.items())
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"Test F1 in percent, mean over seeds ({seeds}); {threads} thread(s)\n")
    print("| corpus (test) | type | " + " | ".join(found) + " |")
    print("|---" * (len(found) + 2) + "|")
    first = next(iter(found.values()))[0]
    trained = [key for key in first if CORPORA[key[0]].train and (key[1] == "all" or (key[0], "all") not in first)]
    for key in first:
        cells = [_cell([scores[key] for scores in models]) for models in found.values()]
        print(f"| {key[0]} | {key[1]} | " + " | ".join(cells) + " |")
    means = [_cell([statistics.mean(scores[key] for key in trained) for scores in models]) for models in found.values()]
    print(f"| mean of the {len(trained)} corpora trained on | | " + " | ".join(means) + " |")


def _cell(values: list[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


def speed(model: str, precision: str, data: Path) -> tuple[float, float]:
    """Words and sub-word tokens of the NCBI-disease test text annotated in a second, from raw text to entities."""
    annotator = Pipeline([Model.load(model, precision=precision)])
    documents = documents_of("NCBI-disease", data)
    texts = [document.text for document in documents]
    tokens = sum(len(item.ids) for item in Tokenizer.load(resolve_model(model)).encode(texts))
    started = time.perf_counter()
    annotator.annotate(documents)
    seconds = time.perf_counter() - started
    return sum(len(text.split()) for text in texts) / seconds, tokens / seconds


if __name__ == "__main__":
    main()
