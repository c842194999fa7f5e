"""Cellosaurus as text: cellosaurus.txt of the SIB, its two-letter line codes as in that file's head."""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.lines import numbered_lines

_ACCESSION = re.compile(r"CVCL_([A-Z0-9]{4})")


def sniff(head: str, name: str) -> bool:
    return re.search(r"^ID   .+\nAC   CVCL_", head.replace("\r\n", "\n"), re.MULTILINE) is not None


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    """Each cell line with its synonyms, its species and the line that it was made from."""
    record: dict[str, list[str]] = {}
    start = 0
    for number, line in numbered_lines(source):
        if line.startswith("//"):
            yield from _concepts(source, start, record, quarantine)
            record = {}
        elif line.startswith("ID   "):
            record, start = {"ID": [line[5:].strip()]}, number
        elif record and line[2:5] == "   ":
            record.setdefault(line[:2], []).append(line[5:].strip())
    if record:
        raise InputError(f"{source.name}, line {start}: the record does not end with //; the file was cut short")


def _concepts(source: Source, line: int, record: dict[str, list[str]], quarantine: Quarantine) -> Iterator[Concept]:
    if not record:
        return
    if not (match := _ACCESSION.search(record.get("AC", [""])[0])):
        quarantine.add(source.name, f"line {line}", "the cell line has no accession CVCL_....")
        return
    species = re.search(r"NCBI_TaxID=(\d+)", " ".join(record.get("OX", [])))
    parents = (accession for item in record.get("HI", []) if (accession := _ACCESSION.match(item)))
    synonyms = (name.strip() for item in record.get("SY", []) for name in item.split(";"))
    yield Concept(
        f"cellosaurus:{match[1]}",
        record["ID"][0],
        "CellLine",
        synonyms=tuple(filter(None, synonyms)),
        parents=tuple(f"cellosaurus:{parent[1]}" for parent in parents),
        taxon=int(species[1]) if species else 0,
    )
