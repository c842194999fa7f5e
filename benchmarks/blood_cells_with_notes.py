"""A small task for two modalities together: blood cells cut out of BCCD, each with a note that may say what it is.

    python benchmarks/blood_cells_with_notes.py DATA/vision/BCCD/bccd.tar --output runs/blood_cells

The notes are generated, so that it is known what they can tell: a sentence about the smear, and in half of the cells a
second one with words of the class. In the training part one cell in five lacks its picture and one in five its note. The
test part is whole, and stands there twice more, without pictures and without notes.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from textome.formats.reading.sources import Quarantine, atomic_file
from textome.inputs.images import Images
from textome.inputs.records import Record

SMEAR = (
    "Smear of peripheral blood, seen with the oil lens.",
    "One cell of the field was cut out at the request of the ward.",
    "The stain is even and the borders of the cell are sharp.",
    "Slide of good quality, cell near the middle of the field.",
)
CLASS_WORDS = {
    "RBC": ("It is round and pale in its middle.", "No nucleus is seen, the colour is that of haemoglobin."),
    "WBC": ("The nucleus is dark and has several lobes.", "A large cell with granules around its nucleus."),
    "Platelets": (
        "A tiny purple body without a nucleus.",
        "Much smaller than its neighbours, a fragment with granules.",
    ),
}
SHARE_WITH_CLASS_WORDS = 0.5
SHARE_WITHOUT_PART = 0.2
RED_CELLS_OF_AN_IMAGE = 2


def chosen(place: Path) -> list[Record]:
    """All white cells and platelets, and the first red cells of each image, of which there are ten times as many."""
    kept, red, quarantine = [], dict[str, int](), Quarantine()
    for record in Images(channels=3).read(str(place), quarantine):
        image = record.metadata["image"]
        if record.target == "RBC":
            red[image] = red.get(image, 0) + 1
        if record.target != "RBC" or red[image] <= RED_CELLS_OF_AN_IMAGE:
            kept.append(record)
    print(f"{len(kept)} cells; {quarantine.count} boxes cannot be cut out")
    return kept


def note(label: str, generator: np.random.Generator) -> str:
    """One or two sentences, of which only the second knows the class."""
    sentences = [str(generator.choice(SMEAR))]
    if generator.random() < SHARE_WITH_CLASS_WORDS:
        sentences.append(str(generator.choice(CLASS_WORDS[label])))
    return " ".join(sentences)


def lines(place: Path, seed: int) -> list[dict[str, Any]]:
    """The records as inputs.together reads them, all with both parts."""
    found = []
    for number, record in enumerate(chosen(place)):
        label = str(record.target)
        parts = {"cell": f"{place.resolve()}::{record.id}", "note": note(label, np.random.default_rng([seed, number]))}
        found.append({"id": record.id, "label": label, "split": record.metadata["split"], "parts": parts})
    return found


def without(found: list[dict[str, Any]], part: str) -> list[dict[str, Any]]:
    return [line | {"parts": line["parts"] | {part: None}} for line in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bccd", type=Path, help="the archive or folder of BCCD, with Annotations and JPEGImages")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    found = lines(arguments.bccd, arguments.seed)
    whole = [line for line in found if line["split"] == "test"]
    generator = np.random.default_rng([arguments.seed, len(found)])
    training = []
    for line in (line for line in found if line["split"] != "test"):
        draw = generator.random()
        part = "cell" if draw < SHARE_WITHOUT_PART else "note" if draw < 2 * SHARE_WITHOUT_PART else None
        lacking = line["split"] == "train" and part is not None
        training.append(without([line], str(part))[0] if lacking else line)
    files = {
        "training": training,
        "test": whole,
        "test_without_cell": without(whole, "cell"),
        "test_without_note": without(whole, "note"),
    }
    for name, content in files.items():
        with atomic_file(arguments.output / f"{name}.jsonl") as stream:
            stream.write("".join(json.dumps(line) + "\n" for line in content).encode())
        print(f"{name}.jsonl: {len(content)} cells")


if __name__ == "__main__":
    main()
