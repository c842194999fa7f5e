"""How many headings of clinical notes are read, on ACI-Bench (Yim et al. 2023, CC BY 4.0).

    python benchmarks/sections.py --data ../shared/data [--show]

Its notes set each heading in capitals on a line of its own, which says where the headings are without what Textome thinks
of them. Printed: how many of them are seen as a heading, how many have a kind, what share of the notes' words stand in a
section with a kind, and how many headings with a kind, not part of the body, stand elsewhere (most of them lines as
"Examination: ...", which are headings too). Which of these notes were in view when the names of headings were written is
not recorded.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import Counter
from pathlib import Path

from textome.text.sections import SUBSECTIONS, find_sections

_HEADING = re.compile(r"^[ \t]*(?P<name>[A-Z][A-Z&/, -]*[A-Z])[ \t]*:?[ \t]*$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description="Headings of clinical notes")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--show", action="store_true", help="print headings without a kind, and what stands elsewhere")
    arguments = parser.parse_args()
    folder = arguments.data / "clinical" / "ACI-Bench"
    files = [path for path in sorted(folder.glob("*.csv")) if "metadata" not in path.name]
    print(f"{'file':<26}{'notes':>6}{'headings':>10}{'seen':>7}{'kind':>7}{'words':>7}{'elsewhere':>11}")
    for path in files:
        with path.open(encoding="utf-8", newline="") as stream:
            notes = [row["note"] for row in csv.DictReader(stream)]
        measure(path.stem, notes, arguments.show)


def measure(name: str, notes: list[str], show: bool) -> None:
    total = seen = kinds = words = inside = 0
    unknown: Counter[str] = Counter()
    elsewhere: Counter[str] = Counter()
    for note in notes:
        sections = [section for section in find_sections(note) if section.kind not in SUBSECTIONS]
        by_start = {section.heading.start: section for section in find_sections(note)}
        gold = {match.start("name"): match["name"] for match in _HEADING.finditer(note)}
        for start, heading in gold.items():
            total += 1
            seen += start in by_start
            kinds += start in by_start and bool(by_start[start].kind)
            if start not in by_start or not by_start[start].kind:
                unknown[heading] += 1
        for section in sections:
            if section.kind and section.heading.start not in gold:
                elsewhere[note[slice(*section.heading)]] += 1
            if section.kind:
                inside += len(note[section.heading.end : section.span.end].split())
        words += len(note.split())
    print(
        f"{name:<26}{len(notes):>6}{total:>10}{seen / total:>7.1%}{kinds / total:>7.1%}{inside / words:>7.1%}"
        f"{elsewhere.total():>11}"
    )
    if show:
        print(f"  without a kind: {dict(unknown.most_common(12))}\n  elsewhere: {dict(elsewhere.most_common(12))}")


if __name__ == "__main__":
    main()
