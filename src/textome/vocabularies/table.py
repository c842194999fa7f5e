"""Tables of one's own, TSV or CSV (commas or semicolons): identifier, name, and what else is known.

With a head, its columns may be, in any order: id (or identifier, curie), name (or label), synonyms, type, parents, xrefs,
taxon; several values of one cell stand with a bar between them. Without one, they are id, name and synonyms. Several rows
may have the same id, and then several names.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.vocabularies.concepts import Concept
from textome.vocabularies.curies import curie_from
from textome.vocabularies.lines import numbered_lines

_COLUMNS = {
    "id": "id", "identifier": "id", "curie": "id", "concept": "id", "code": "id",
    "name": "name", "label": "name", "term": "name",
    "synonym": "synonyms", "synonyms": "synonyms", "type": "type", "parent": "parents", "parents": "parents",
    "xref": "xrefs", "xrefs": "xrefs", "taxon": "taxon",
}  # fmt: skip
_DEFAULT = ["id", "name", "synonyms"]


def sniff(head: str, name: str) -> bool:
    line = head.partition("\n")[0].rstrip("\r")
    return len(_cells(line, _separator(line))) >= 2


def read(source: Source, quarantine: Quarantine) -> Iterator[Concept]:
    header: list[str] = []
    separator = ""
    for number, line in numbered_lines(source):
        if not line.strip() or line.startswith("#"):
            continue
        separator = separator or _separator(line)
        cells = _cells(line, separator)
        if not header:
            header = [_COLUMNS.get(cell.strip().lower(), "") for cell in cells]
            if {"id", "name"} <= set(header):
                continue
            if {"id", "name"} & set(header) and not any(":" in cell for cell in cells):
                names = ", ".join(cells)[:200]
                raise InputError(
                    f"{source.name}, line {number}: a header needs the columns id and name (found: {names})"
                )
            header = _DEFAULT
        row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if name}
        if not row.get("id") or not row.get("name"):
            quarantine.add(
                source.name,
                f"line {number}",
                "expected an identifier and a name, set apart by a tab, comma or semicolon",
            )
            continue
        if (taxon := row.get("taxon", "")) and not taxon.removeprefix("ncbitaxon:").isdigit():
            quarantine.add(source.name, f"line {number}", f"the taxon {taxon!r} is not a number of the NCBI Taxonomy")
            continue
        yield Concept(
            curie_from(row["id"]),
            row["name"],
            row.get("type", ""),
            synonyms=_values(row.get("synonyms", "")),
            parents=tuple(map(curie_from, _values(row.get("parents", "")))),
            xrefs=tuple(map(curie_from, _values(row.get("xrefs", "")))),
            taxon=int(taxon.removeprefix("ncbitaxon:") or 0),
        )
    if not header:
        raise InputError(f"{source.name}: the table has no row")


def _separator(line: str) -> str:
    """That of a table by its first row: a tab, or, as some spreadsheets write CSV, a semicolon without a comma."""
    return next((sign for sign in ("\t", ",", ";") if sign in line), ",")


def _cells(line: str, separator: str) -> list[str]:
    return line.split("\t") if separator == "\t" else next(csv.reader([line], delimiter=separator), [])


def _values(cell: str) -> tuple[str, ...]:
    return tuple(value.strip() for value in cell.split("|") if value.strip())
