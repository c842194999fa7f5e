"""RIS, what reference managers and publishers export: lines of a two-letter tag, `  - ` and a value (Research Information
Systems, "RIS Format Specifications").

    TY  - JOUR
    TI  - A title
    AB  - An abstract
    ER  -

A reference becomes a document of title and abstract. Its id is the first of accession number (in PubMed's references
the PMID), DOI and the reference's own id that there is, and otherwise its number in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.documents import Document, titled
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.formats.reading.tagged_lines import TaggedRecord, read_tagged

_TAGGED = re.compile(r"([A-Z][A-Z0-9]) {1,2}-(?: (.*)|)")
# What Cochrane and other libraries put before each reference, or before all.
_BETWEEN = r"(?:Record #\d+ of \d+|(?:Provider|Content|Database|Source): ?.*)\s*"
_FIRST = re.compile(rf"(?:\s*{_BETWEEN}$)*\s*TY {{1,2}}- {{0,2}}[A-Z]+\s*$", re.MULTILINE)


def sniff(head: str, name: str) -> bool:
    return _FIRST.match(head.lstrip("\ufeff")) is not None


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """Documents as the file is read. One with neither title nor abstract is quarantined."""

    def document(record: TaggedRecord) -> Document:
        return _document(record, f"{source.stem}-{record.number}")

    yield from read_tagged(source, quarantine, _TAGGED, "TY", "ER", document, re.compile(_BETWEEN))


def _document(record: TaggedRecord, otherwise: str) -> Document:
    if record.fields[0][0] != "TY":
        raise InputError("the reference does not begin with its type, as in 'TY  - JOUR'")
    title, abstract = record.first("TI", "T1", "CT"), record.first("AB", "N2")
    if not title and not abstract:
        raise InputError("the reference has neither a title (TI, T1) nor an abstract (AB, N2)")
    doi = re.sub(r"^(?:https?://(?:dx\.)?doi\.org/|doi: ?)", "", record.first("DO"), flags=re.IGNORECASE)
    year = re.search("[0-9]{4}", record.first("PY", "Y1", "DA"))
    metadata = {
        "type": record.first("TY"),
        "journal": record.first("JO", "JF", "T2"),
        "journal_abbreviation": record.first("JA", "J2"),
        "year": year[0] if year else "",
        "doi": doi,
        "pmcid": record.first("C2"),
        "language": record.first("LA"),
        "keywords": "; ".join(record.all("KW")),
        "authors": "; ".join(record.all("AU", "A1")),
    }
    name = record.first("AN") or doi or record.first("ID") or otherwise
    return Document(name, titled(title, abstract), metadata={key: value for key, value in metadata.items() if value})
