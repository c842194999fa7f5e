"""The threshold of one type of entity, chosen on texts that are in no training: written into the bundle.

    python recipes/threshold.py BUNDLE --type Species --data DATA/ner/s800/devel.tsv

A model that read sentences with mentions again and again expects too many of them. Of 0, 0.5, 0.55 to 0.95, the threshold
with the highest F1 on --data is taken, the lowest of equal ones. It holds for those who name no least confidence.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from textome.evaluation.entity_task import compare
from textome.formats import read_documents
from textome.formats.sources import atomic_file
from textome.metrics.entities import score_entities
from textome.runtime.annotator import Annotator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a folder with its exported graph")
    parser.add_argument("--type", dest="kind", required=True)
    parser.add_argument("--data", nargs="+", required=True, help="tables of tokens whose mentions are of that type")
    options = parser.parse_args()
    documents = [item for place in options.data for item in read_documents(place, entity_type=options.kind)]
    annotator = Annotator.load(options.bundle, types=[options.kind], min_confidence=0.0, sentences=False)
    found = compare(annotator, documents, {options.kind: options.kind}, words=True)
    best, chosen = -1.0, 0.0
    for threshold in (0.0, *(round(0.5 + step / 20, 2) for step in range(10))):
        kept = [{span for span, sure in each.items() if sure >= threshold} for each in found.confidences]
        score = score_entities(found.gold, kept).micro
        print(f"{threshold:.2f}  precision {score.precision:.2%}  recall {score.recall:.2%}  F1 {score.f1:.2%}")
        if score.f1 > best:
            best, chosen = score.f1, threshold
    path = options.bundle / "textome.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    description["confidence"].setdefault("thresholds", {})[options.kind] = chosen
    with atomic_file(path) as file:
        file.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())
    print(f"{path}: {options.kind} {chosen}")


if __name__ == "__main__":
    main()
