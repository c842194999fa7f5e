"""The temperature and thresholds of a model of document relations, fitted to its exported graph: written into the bundle.

    python recipes/calibrate_relations.py BUNDLE --data runs/relation-corpora/BioRED-dev.txt ...

What is fitted is what `textome finetune` fits on validation data (DocumentRelations.calibrated), but to the graph that is
shipped. The scores on these data are printed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from textome.formats import Quarantine
from textome.formats.reading.sources import atomic_file
from textome.runtime.bundle import described
from textome.runtime.model import Model
from textome.runtime.model_files import read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a folder with its exported graph")
    parser.add_argument("--data", nargs="+", required=True, help="PubTator files")
    parser.add_argument("--precision", choices=["int8", "fp32"])
    options = parser.parse_args()
    model = Model.load(options.bundle, precision=options.precision)
    name = model.bundle.task_of("document_relations")
    task = model.task(name)
    records = [record for path in options.data for record in task.read(path, "pubtator", Quarantine())]
    examples = model.examples(name, records)
    scores = model.scores(name, examples)
    fitted = task.calibrated(records, examples, scores)
    for key, value in fitted.score(records, fitted.decode(records, examples, scores)).items():
        print(f"{key} {100 * value:.2f}")
    path = options.bundle / "textome.json"
    description = described(read_json(path))
    values = fitted.model_dump(mode="json")
    for key in ("temperature", "threshold", "thresholds"):
        description["tasks"][name][key] = values[key]
        print(f"{key} {values[key]}")
    with atomic_file(path) as file:
        file.write((json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    main()
