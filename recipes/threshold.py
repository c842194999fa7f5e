"""The thresholds of types of entities, chosen on texts that are in no training: written into the bundle.

    python recipes/threshold.py BUNDLE --types Species --data DATA/ner/s800/devel.tsv
    python recipes/threshold.py BUNDLE --types Disease,Chemical,Gene --data runs/entity-corpora/BioRED-dev.txt

A model that read sentences with mentions again and again expects too many of them. Of 0.1 to 0.95 the threshold with the
highest F1 of each type on --data is taken, the lowest of equal ones. `--floor` is what a type gets at least, `--rest` what
the types get that are not named. Thresholds hold for those who name no least confidence.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from textome.documents import Document
from textome.evaluation.entity_task import Comparison, compare
from textome.formats import read_documents
from textome.formats.reading.sources import atomic_file
from textome.metrics.entities import score_entities
from textome.runtime.annotator import Annotator
from textome.runtime.bundle import described, read_json

GRID = (0.1, 0.2, 0.3, 0.4, *(round(0.5 + step / 20, 2) for step in range(10)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a folder with its exported graph")
    parser.add_argument("--types", type=lambda text: text.split(","), required=True)
    parser.add_argument("--data", nargs="+", required=True, help="annotated documents, or tables of tokens of one type")
    parser.add_argument("--floor", type=float, default=GRID[0])
    parser.add_argument("--rest", type=float, help="the threshold of all other types that have none yet")
    options = parser.parse_args()
    tables = all(place.endswith(".tsv") for place in options.data)
    documents = read(options.data, options.types, tables)
    annotator = Annotator.load(options.bundle, types=options.types, min_confidence=0.0, sentences=not tables)
    found = compare(annotator, documents, {kind: kind for kind in options.types}, words=tables)
    path = options.bundle / "textome.json"
    description = described(read_json(path))
    entities = description["tasks"]["entities"]
    thresholds = entities.setdefault("thresholds", {})
    for kind in options.types:
        thresholds[kind] = max(options.floor, best_of(found, kind))
        print(f"{kind}: {thresholds[kind]}\n")
    if options.rest is not None:
        for kind in entities["types"]:
            thresholds.setdefault(kind, options.rest)
    with atomic_file(path) as file:
        file.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())


def read(places: Sequence[str], types: Sequence[str], tables: bool) -> list[Document]:
    """The documents; bare tags of tables of tokens, B and I, are of the one type that is asked for."""
    options = {"entity_type": types[0]} if tables else {}
    return [item for place in places for item in read_documents(place, **options)]


def best_of(found: Comparison, kind: str) -> float:
    """The threshold with the highest F1 of a type, the lowest of equal ones; all are printed."""
    gold = [{span for span in spans if span[2] == kind} for spans in found.gold]
    best, chosen = -1.0, GRID[0]
    for threshold in GRID:
        kept = [
            {span for span, sure in each.items() if span[2] == kind and sure >= threshold} for each in found.confidences
        ]
        score = score_entities(gold, kept).micro
        print(f"{kind} {threshold:.2f}  precision {score.precision:.2%}  recall {score.recall:.2%}  F1 {score.f1:.2%}")
        if score.f1 > best:
            best, chosen = score.f1, threshold
    return chosen


if __name__ == "__main__":
    main()
