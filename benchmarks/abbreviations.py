"""Precision, recall and F1 of definitions of abbreviations, on MED1250 (Sohn et al. 2008).

    python benchmarks/abbreviations.py --data ../shared/data

A definition counts where its short form and its long form are written as in the corpus; each pair counts once for each
abstract. The costs in textome.text.abbreviations were chosen on the half `development`; the errors of the other were not
read.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

from textome.text.abbreviations import find_abbreviations

Pairs = set[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Definitions of abbreviations on MED1250")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--show", action="store_true", help="print the errors of the half `development`")
    arguments = parser.parse_args()

    halves: dict[str, list[tuple[str, Pairs]]] = {"development": [], "test": []}
    for pmid, text, gold in read_abstracts(arguments.data / "abbreviations" / "MED1250" / "MED1250_labeled.txt.gz"):
        is_test = int(hashlib.sha256(pmid.encode()).hexdigest(), 16) // 3 % 2
        halves["test" if is_test else "development"].append((text, gold))
    print(f"{'half':<12}{'pairs':>7}{'precision':>11}{'recall':>9}{'F1':>9}{'MB/s':>8}")
    for half, abstracts in halves.items():
        started = time.perf_counter()
        predicted = [pairs(text) for text, _ in abstracts]
        speed = sum(len(text) for text, _ in abstracts) / 1e6 / (time.perf_counter() - started)
        num_gold = sum(len(gold) for _, gold in abstracts)
        hits = sum(len(gold & found) for (_, gold), found in zip(abstracts, predicted, strict=True))
        precision, recall = hits / sum(map(len, predicted)), hits / num_gold
        f1 = 2 * precision * recall / (precision + recall)
        print(f"{half:<12}{num_gold:>7}{precision:>11.2%}{recall:>9.2%}{f1:>9.2%}{speed:>8.2f}")
        if arguments.show and half == "development":
            for (_, gold), found in zip(abstracts, predicted, strict=True):
                for sign, errors in (("-", gold - found), ("+", found - gold)):
                    for short, long in sorted(errors):
                        print(f"  {sign} {short} | {long}")


def read_abstracts(path: Path) -> Iterator[tuple[str, str, Pairs]]:
    """PMID, text and the pairs (short form, long form) of each abstract; lines with `//` are comments of the corpus."""
    for block in gzip.decompress(path.read_bytes()).decode("cp1252").replace("\r", "").split("\n\n"):
        lines = [line for line in block.split("\n") if line.strip() and "//" not in line[:60]]
        if not lines:
            continue
        text = "\n".join(line for line in lines[1:] if not line.startswith("  "))
        fields = [line.split("|") for line in lines[1:] if line.startswith("  ")]
        yield lines[0].strip(), text, {(short.strip(), long.strip()) for short, long in fields}


def pairs(text: str) -> Pairs:
    return {(text[slice(*item.short)], text[slice(*item.long)]) for item in find_abbreviations(text)}


if __name__ == "__main__":
    main()
