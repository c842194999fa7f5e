"""UNII: names of substances by the FDA, as UNII_Names.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.lines import rows

# The FDA writes with a name where it is used, as `ASPIRIN [USP]`.
_MARK = re.compile(r"\s*\[[^\[\]]*\]$")


def sniff(head: str, name: str) -> bool:
    return re.match(r"Name\tTYPE\tUNII\tDisplay Name\r?\n", head) is not None


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each substance with its names; a code is a related name, since other things share it."""
    table = (row for _, row in rows(source, "\t", 4, quarantine, skip=["Name\tTYPE"]))
    for (identifier, label), group in groupby(table, key=lambda row: (row[2], row[3])):
        names = [(_MARK.sub("", row[0]), row[1]) for row in group]
        yield Concept(
            f"unii:{identifier}",
            label,
            "Chemical",
            synonyms=tuple(dict.fromkeys(name for name, kind in names if kind != "cd")),
            related=tuple(dict.fromkeys(name for name, kind in names if kind == "cd")),
        )
