"""The files that recipes/affinity/kiba.toml reads, out of the KIBA set as DeepDTA published it.

    python recipes/affinity/kiba.py --data ../shared/data/drug/KIBA --output runs/kiba

Writes molecules.csv (name, smiles), proteins.fasta and pairs.tsv: molecule, protein, kiba, and `fold`, which is "test" or
the number of one of the five official training folds (Öztürk et al. 2018; setting 1: any drug with any target).
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from textome.formats.reading.sources import atomic_file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/drug/KIBA"))
    parser.add_argument("--output", type=Path, default=Path("runs/kiba"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    smiles, sequences = (named(options.data / f"{name}.txt.gz") for name in ("ligands_can", "proteins"))
    molecules, proteins = list(smiles), list(sequences)
    folds = fold_of_row(options.data)
    with gzip.open(options.data / "pairs.tsv.gz", "rt") as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream][1:]
    pairs = [
        f"{molecules[int(drug)]}\t{proteins[int(target)]}\t{value}\t{folds[number]}\n"
        for number, (drug, target, value) in enumerate(rows)
    ]
    texts = {
        "molecules.csv": ["name,smiles\n", *(f"{name},{text}\n" for name, text in smiles.items())],
        "proteins.fasta": [f">{name}\n{text}\n" for name, text in sequences.items()],
        "pairs.tsv": ["molecule\tprotein\tkiba\tfold\n", *pairs],
    }
    for name, lines in texts.items():
        with atomic_file(options.output / name) as file:
            file.write("".join(lines).encode())
    print(f"{options.output}: {len(molecules):,} molecules, {len(proteins):,} proteins, {len(pairs):,} pairs")


def named(path: Path) -> dict[str, str]:
    """Names and texts of one of the set's JSON files, in its order."""
    with gzip.open(path, "rt") as stream:
        found: dict[str, str] = json.load(stream)
    return found


def fold_of_row(folder: Path) -> dict[int, str]:
    """The fold of each row of pairs.tsv, counted from 0."""
    folds = dict.fromkeys(json.loads((folder / "test_fold_setting1.txt").read_text()), "test")
    for number, rows in enumerate(json.loads((folder / "train_fold_setting1.txt").read_text())):
        folds |= dict.fromkeys(rows, str(number))
    return folds


if __name__ == "__main__":
    main()
