"""Pairs of KIBA as records of two parts, of which either may be missing, for recipes/affinity/kiba_together.toml.

    python recipes/affinity/kiba.py --output runs/kiba
    python recipes/affinity/kiba_together.py --data runs/kiba

Writes training.jsonl, where one pair in five lacks its molecule and one in five its protein, test.jsonl, where none does,
and test_without_molecule.jsonl and test_without_protein.jsonl. Pairs are drawn from the official folds.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from textome.formats.reading.sources import atomic_file

SHARE_WITHOUT_PART = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("runs/kiba"))
    parser.add_argument("--training", type=int, default=8000)
    parser.add_argument("--test", type=int, default=2000)
    options = parser.parse_args()
    generator = np.random.default_rng(0)
    with (options.data / "pairs.tsv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    test = drawn([row for row in rows if row["fold"] == "test"], options.test, generator)
    training = [line | {"split": "training"} for line in
                drawn([row for row in rows if row["fold"] not in ("test", "0")], options.training, generator)]  # fmt: skip
    validation = [line | {"split": "validation"} for line in
                  drawn([row for row in rows if row["fold"] == "0"], options.test, generator)]  # fmt: skip
    for line, draw in zip(training, generator.random(len(training)), strict=True):
        if draw < 2 * SHARE_WITHOUT_PART:
            line["parts"] = without(line, "molecule" if draw < SHARE_WITHOUT_PART else "protein")["parts"]
    files = {"training": training + validation, "test": test}
    files |= {f"test_without_{part}": [without(line, part) for line in test] for part in ("molecule", "protein")}
    for name, lines in files.items():
        with atomic_file(options.data / f"{name}.jsonl") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines).encode())
        print(f"{name}.jsonl: {len(lines):,} pairs")


def drawn(rows: list[dict[str, str]], count: int, generator: np.random.Generator) -> list[dict[str, Any]]:
    chosen = [rows[number] for number in sorted(generator.permutation(len(rows))[:count].tolist())]
    return [
        {
            "id": f"{row['molecule']}/{row['protein']}",
            "values": {"kiba": float(row["kiba"])},
            "parts": {"molecule": f"molecules.csv::{row['molecule']}", "protein": f"proteins.fasta::{row['protein']}"},
        }
        for row in chosen
    ]


def without(line: dict[str, Any], part: str) -> dict[str, Any]:
    return line | {"parts": line["parts"] | {part: None}}


if __name__ == "__main__":
    main()
