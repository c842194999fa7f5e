"""Scores of a model of document relations on the test parts of BioRED and BC5CDR, with gold entities and end to end.

    python benchmarks/relation_scores.py --data ../shared/data --model MODEL [--precision int8]

Gold entities: the corpus's mentions and identifiers are given, and F1 counts pairs of concepts, pairs with their type, with
type and novelty, and chemical-induced diseases. End to end: from the text alone, with the bundled entities and
identifiers; a pair counts where both identifiers are those of the corpus. Intervals are the 2.5th and 97.5th percentile of
1,000 bootstrap draws of documents.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from textome.documents import Document
from textome.formats import Quarantine, read_documents
from textome.formats.reading.identifiers import from_curies
from textome.pipeline import choose_pipeline
from textome.runtime.model import Model
from textome.tasks.document_relations import DocumentRelations

ROOT = Path(__file__).resolve().parent.parent
BIORED = "re/BioRED/BioRED.zip!BioRED/Test.PubTator.txt"
BC5CDR = "re/BC5CDR-relations/CDR_TestSet.PubTator.txt.gz"
# By document: the gold and the predicted things.
Sets = dict[str, tuple[set[object], set[object]]]
DRAWS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--model", default="relations")
    parser.add_argument("--precision", choices=["int8", "fp32"])
    parser.add_argument("--gold-only", action="store_true")
    options = parser.parse_args()
    model = Model.load(options.model, precision=options.precision)
    (name,) = model.tasks
    task = model.tasks[name]
    assert isinstance(task, DocumentRelations)
    print(
        "| corpus (test) | entities | what | precision | recall | F1 | 95 % interval |\n|---|---|---|---|---|---|---|"
    )
    for corpus, path in (("BioRED", BIORED), ("BC5CDR", BC5CDR)):
        began = time.perf_counter()
        for what, sets in gold_entities(model, name, task, f"{options.data}/{path}").items():
            print(_row(corpus, "gold", what, sets), flush=True)
        seconds = time.perf_counter() - began
        if not options.gold_only:
            for what, sets in end_to_end(options.model, task, f"{options.data}/{path}").items():
                print(_row(corpus, "own", what, sets), flush=True)
        print(f"(gold entities: {seconds:.1f} s)")


def gold_entities(model: Model, name: str, task: DocumentRelations, path: str) -> dict[str, Sets]:
    records = list(task.read(path, "pubtator", Quarantine()))
    predictions = model.predictions(name, records)
    found: dict[str, Sets] = defaultdict(lambda: defaultdict(lambda: (set(), set())))
    for number, (record, prediction) in enumerate(zip(records, predictions, strict=True)):
        types = {*task.labels}
        for side, labels in enumerate(({*record.labels}, {*prediction.labels})):
            if "types" in record.known:
                new = "novel" in labels if side == 0 else prediction.scores.get("novel", 0) >= 0.5
                own = labels & types
                found["pairs"][record.document.id][side].update({number} if own else set())
                found["pairs with type"][record.document.id][side].update((number, label) for label in own)
                found["with type and novelty"][record.document.id][side].update((number, label, new) for label in own)
            for label in record.known & labels & {*task.further}:
                found[label][record.document.id][side].add(number)
    return found


def end_to_end(relations: str, task: DocumentRelations, path: str) -> dict[str, Sets]:
    """The pairs of identifiers that are found in the text alone, beside those of the corpus."""
    gold = list(read_documents(path, "pubtator", Quarantine()))
    pipeline = choose_pipeline(models=[None, relations]).load()
    seen = {relation.type for document in gold for relation in document.relations}
    found: dict[str, Sets] = defaultdict(lambda: defaultdict(lambda: (set(), set())))
    for document, own in zip(gold, pipeline(Document(item.id, item.passages) for item in gold), strict=True):
        for side, triples in enumerate((_stated(document), _stated(own))):
            for label, pair in triples:
                if label in task.labels and seen & {*task.labels}:
                    found["pairs"][document.id][side].add(pair)
                    found["pairs with type"][document.id][side].add((pair, label))
                elif label in task.further and label in seen:
                    found[label][document.id][side].add(pair)
    return found


def _stated(document: Document) -> Iterable[tuple[str, frozenset[str]]]:
    curies = {item.id: item.curies or (item.text.lower(),) for item in document.entities}
    for relation in document.relations:
        if len(relation.arguments) >= 2:
            (_, one), (_, two) = relation.arguments[:2]
            pairs = [(from_curies([a]), from_curies([b])) for a in curies[one] for b in curies[two]]
        else:
            pairs = [(relation.metadata["entity1"], relation.metadata["entity2"])]
        for pair in pairs:
            yield relation.type, frozenset(pair)


def _row(corpus: str, entities: str, what: str, sets: Sets) -> str:
    counts = np.array([[len(gold & own), len(own), len(gold)] for gold, own in sets.values()])
    precision, recall, f1 = _scores(counts.sum(0))
    generator = np.random.default_rng(0)
    draws = [_scores(counts[generator.integers(0, len(counts), len(counts))].sum(0))[2] for _ in range(DRAWS)]
    low, high = np.percentile(draws, [2.5, 97.5])
    cells = [corpus, entities, what, *(f"{100 * value:.2f}" for value in (precision, recall, f1))]
    return "| " + " | ".join([*cells, f"{100 * low:.1f}-{100 * high:.1f}"]) + " |"


def _scores(counts: Sequence[float]) -> tuple[float, float, float]:
    right, predicted, gold = (float(value) for value in counts)
    return right / max(1, predicted), right / max(1, gold), 2 * right / max(1, predicted + gold)


if __name__ == "__main__":
    main()
