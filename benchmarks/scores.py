"""Test scores of a model on the public corpora, as the table in its model card.

    python benchmarks/scores.py [--model BUNDLE] [--precision int8|fp32] [--data FOLDER]

Every row is what `textome evaluate --data FILE` prints: entity-level F1, start, end and type all right.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textome.evaluation.bootstrap import bootstrap_intervals
from textome.evaluation.entities import PRF, score_entities
from textome.evaluation.entity_task import compare, map_types
from textome.formats import read_documents
from textome.runtime.annotator import Annotator
from textome.runtime.bundle import Bundle, resolve_model

ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("TEXTOME_DATA", ROOT.parent / "shared" / "data")
CORPORA = {
    "NCBI-disease": "ner/NCBI-disease/test.tsv",
    "BC5CDR": "ner/BC5CDR/test.tsv",
    "BC2GM": "ner/BC2GM/test.tsv",
    "linnaeus": "ner/linnaeus/test.tsv",
    "JNLPBA": "ner/JNLPBA-standoff/jnlpba-standoff.tar.xz!standoff/test",
    # The bundled model is not trained on it: what to expect on texts from elsewhere.
    "s800": "ner/s800/test.tsv",
}
# What the tags of files that name no type stand for.
ENTITY_TYPES = {"s800": "Species"}


@dataclass(frozen=True, slots=True)
class Row:
    """The score of one type on one corpus ("all": over its types together), its interval in percent, and its place."""

    corpus: str
    kind: str
    score: PRF
    interval: tuple[float, float]


def rows_of(model: str | None, precision: str | None, data: Path | str) -> Iterator[Row]:
    """Scores of a model on every corpus."""
    bundle = Bundle.load(resolve_model(model))
    for name, place in CORPORA.items():
        options = {"entity_type": ENTITY_TYPES[name]} if name in ENTITY_TYPES else {}
        documents = list(read_documents(f"{data}/{place}", **options))
        mapping = map_types((entity.type for item in documents for entity in item.entities), bundle.types, {})
        conll = place.endswith(".tsv")
        annotator = Annotator.load(model, precision=precision, types=sorted(set(mapping.values())), sentences=not conll)
        found = compare(annotator, documents, mapping, words=conll)
        scores = score_entities(found.gold, found.predicted)
        intervals = bootstrap_intervals(found.gold, found.predicted)
        for kind, item in list(scores.types.items()) + [("all", scores.micro)] * (len(scores.types) > 1):
            low, high = intervals["micro" if kind == "all" else kind]
            yield Row(name, kind, item, (100 * low, 100 * high))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--precision", choices=["int8", "fp32"])
    parser.add_argument("--data", type=Path, default=DATA)
    options = parser.parse_args()
    bundle = Bundle.load(resolve_model(options.model))
    print(f"{bundle.name}, {bundle.onnx_path(options.precision).name}\n")
    print(
        "| corpus (test) | type | precision | recall | F1 | 95 % interval | entities |\n|---|---|---|---|---|---|---|"
    )
    started = time.monotonic()
    for row in rows_of(options.model, options.precision, options.data):
        item = row.score
        print(
            f"| {row.corpus} | {row.kind} | {100 * item.precision:.2f} | {100 * item.recall:.2f} | {100 * item.f1:.2f} "
            f"| {row.interval[0]:.2f}-{row.interval[1]:.2f} | {item.support:,} |",
            flush=True,
        )
    print(f"\n{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
