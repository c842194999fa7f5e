"""Cell lines of Cellosaurus, from its names in biopragmatics/biolexica (accession, `name` or `synonym`, text)."""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from textome.vocabularies import Concept

# The first ten thousand accessions are the lines that most texts are about; later ones also have letters.
_EARLY = re.compile(r"CVCL_(\d{4})")
_SUFFIX = " cell"  # biolexica adds each name with this word


def cell_lines(path: Path) -> Iterator[Concept]:
    with lzma.open(path, "rt", encoding="utf-8", newline="") as stream:
        rows = (line.rstrip("\r\n").split("\t") for line in stream)
        for accession, lines in groupby(rows, key=lambda row: row[0]):
            if match := _EARLY.fullmatch(accession):
                names = [row[2] for row in lines]
                known = set(names)
                label, *synonyms = (name for name in names if name.removesuffix(_SUFFIX) not in known - {name})
                yield Concept(f"cellosaurus:{match[1]}", label, "CellLine", synonyms=tuple(synonyms))
