"""Temperatures and thresholds of types of entities, fitted on texts that are in no training: written into the bundle.

    python recipes/calibrate.py BUNDLE --data runs/entity-corpora/BioRED-dev.txt --data Species=DATA/ner/s800/devel.tsv

What is fitted is what `textome finetune` fits on validation data (textome.tasks.confidences), but to the exported graph
that is shipped. `TYPES=FILE` takes from a file only these types, as A,B; bare tags of a table of tokens, B and I, are of
the first. --names lists the types whose known names count.
A type with fewer than 50 mentions keeps its own, or, with --rest, gets that threshold and the geometric mean of the
temperatures that were fitted. --print only prints.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from textome.formats import Quarantine, read_documents
from textome.formats.reading.sources import atomic_file
from textome.runtime.bundle import described
from textome.runtime.model import Model
from textome.runtime.model_files import read_json
from textome.tasks.confidences import DEFAULT_MIN_CONFIDENCE
from textome.tasks.entities import Entities
from textome.tasks.spans.mentions import Sentence
from textome.tasks.spans.names import NameEvidence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a folder with its exported graph")
    parser.add_argument("--data", action="append", required=True, metavar="[TYPES=]FILE")
    parser.add_argument("--precision", choices=["int8", "fp32"])
    parser.add_argument(
        "--rest", type=float, help="the threshold of types that have none; they get the usual temperature"
    )
    parser.add_argument("--names", type=lambda text: text.split(","), default=[], metavar="TYPES")
    parser.add_argument("--print", action="store_true")
    options = parser.parse_args()
    model = Model.load(options.bundle, precision=options.precision)
    name = model.bundle.task_of("entities")
    task = model.task(name)
    assert isinstance(task, Entities)
    fresh = {} if options.rest is None else {"temperature": {}, "thresholds": {}}
    task = task.model_copy(update=fresh | {"known_names": dict.fromkeys(options.names, NameEvidence())})
    records = [record for data in options.data for record in read(data, task)]
    examples = model.examples(name, records)
    fitted = task.calibrated(records, examples, model.scores(name, examples))
    path = options.bundle / "textome.json"
    description = described(read_json(path))
    entities = description["tasks"][name]
    thresholds = {} if options.rest is None else dict.fromkeys(task.types, options.rest)
    usual = (
        {} if options.rest is None else dict.fromkeys(task.types, round(geometric_mean(fitted.temperature.values()), 4))
    )
    entities |= {"temperature": usual | fitted.temperature, "thresholds": thresholds | fitted.thresholds}
    entities["known_names"] = {name: item.model_dump() for name, item in fitted.known_names.items()}
    for kind, evidence in fitted.known_names.items():
        print(f"{kind}: names add {evidence}")
    for kind in task.types:
        count = sum(task.types[mention.head] == kind for record in records for mention in record.mentions)
        temperature = entities["temperature"].get(kind, 1.0)
        threshold = entities["thresholds"].get(kind, DEFAULT_MIN_CONFIDENCE)
        print(f"{kind}: {count:,} mentions, temperature {temperature:.2f}, threshold {threshold:.2f}")
    if not options.print:
        with atomic_file(path) as file:
            file.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())


def read(data: str, task: Entities) -> Iterator[Sentence]:
    """The sentences of a file, annotated for the types that it names or else for all of the task's that stand in it."""
    names, equals, place = data.rpartition("=")
    table = place.endswith(".tsv")
    options: dict[str, Any] = {"entity_type": names.split(",")[0]} if table and names else {}
    quarantine = Quarantine()
    documents = list(read_documents(place, quarantine=quarantine, **options))
    if quarantine.count:
        print(f"{place}: {quarantine.count} documents left out: {quarantine.records[0]}")
    present = {entity.type for document in documents for entity in document.entities}
    types = names.split(",") if equals else [kind for kind in task.types if kind in present]
    for number, document in enumerate(documents):
        yield from task.sentences(document, {kind: kind for kind in types}, not table, number)


if __name__ == "__main__":
    main()
