"""Dictionaries of BioSyn (Sung et al. 2020) and SapBERT (Liu et al. 2021): lines of `identifier||name`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.curies import curie_from
from textome.vocabularies.lines import rows


def sniff(head: str, name: str) -> bool:
    lines = [line for line in head.splitlines() if line.strip()][:20]
    return bool(lines) and all("||" in line for line in lines[: max(1, len(lines) - 1)])


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each identifier with the names of its lines. Where a line has several identifiers (`D1|D2`), each has the name."""
    table = (row for _, row in rows(source, "||", 2, quarantine))
    for raw, group in groupby(table, key=lambda row: row[0].strip()):
        names = [name.strip() for row in group for name in row[1:] if name.strip()]
        for identifier in filter(None, raw.split("|")):
            if names:
                yield Concept(curie_from(identifier), names[0], synonyms=tuple(names[1:]))
