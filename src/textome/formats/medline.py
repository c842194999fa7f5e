"""MEDLINE, what PubMed saves as "PubMed" (`.nbib`, `.txt`): lines of a tag, `- ` and a value (NLM, "MEDLINE/PubMed Data
Element (Field) Descriptions").

    PMID- 12345
    TI  - A title, which goes on
          in a line that begins with six spaces.
    AB  - An abstract.

A citation becomes a document, as one of PubMed XML does: the PMID is its id, title and abstract are passages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from textome.documents import Document, titled
from textome.errors import InputError
from textome.formats.reading.sources import Quarantine, Source
from textome.formats.reading.tagged_lines import TaggedRecord, read_tagged

_TAGGED = re.compile(r"([A-Z]{2,4}) {0,2}-(?: (.*)|)")
_FIRST = re.compile(r"\s*PMID- *[0-9]+\s*$", re.MULTILINE)


def sniff(head: str, name: str) -> bool:
    return _FIRST.match(head) is not None


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """Documents as the file is read. A citation without a PMID, or one that cannot be read, is quarantined."""
    yield from read_tagged(source, quarantine, _TAGGED, "PMID", None, _document)


def _document(record: TaggedRecord) -> Document:
    pmid = record.first("PMID")
    if not pmid:
        raise InputError("the citation has no PMID")
    passages = titled(record.first("TI", "BTI"), record.first("AB"))
    names = [*record.all("LID"), *record.all("AID")]
    year = re.search("[0-9]{4}", record.first("DP"))
    metadata = {
        "journal": record.first("JT"),
        "journal_abbreviation": record.first("TA"),
        "year": year[0] if year else "",
        "doi": next((name.removesuffix(" [doi]") for name in names if name.endswith(" [doi]")), ""),
        "pmcid": record.first("PMC"),
        "language": "; ".join(record.all("LA")),
        "publication_types": "; ".join(record.all("PT")),
        "mesh_headings": "; ".join(record.all("MH")),
        "keywords": "; ".join(record.all("OT")),
        "authors": "; ".join(record.all("AU", "CN")),
        "other_abstract": record.first("OAB"),
    }
    return Document(pmid, passages, metadata={key: value for key, value in metadata.items() if value})
