"""BioC JSON: a collection, as PubTator's service gives it too, a list of collections or documents, or a document a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from textome.documents import Document
from textome.errors import InputError
from textome.formats.bioc import document_from, document_to
from textome.formats.reading.json_values import read_values
from textome.formats.reading.sources import Quarantine, Source, Target

# What the member with the documents is called; PubTator's service has its own name for it.
_COLLECTIONS = ("documents", "PubTator3")


def sniff(head: str, name: str) -> bool:
    text = head.lstrip()
    return text.startswith(("{", "[")) and ('"documents"' in head or ('"infons"' in head and '"passages"' in head))


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The documents of a file. Documents on a line each are read one by one; a collection is parsed as a whole, so memory
    grows with it; BioC XML is streamed.

    A document that is not as it should be is quarantined with its id; JSON that is broken loses the rest of the file.
    Halves of surrogate pairs become U+FFFD.
    """
    number = 0
    position = ""
    for _, position, value in read_values(source, quarantine):
        try:
            documents = _documents(value)
        except InputError as error:
            quarantine.add(source.name, position, error)
            continue
        for item in documents:
            number += 1
            try:
                yield document_from(_with_passages(item))
            except InputError as error:
                name = item.get("id", "") if isinstance(item, dict) else ""
                quarantine.add(source.name, f"record {number}, document {name}" if name else f"record {number}", error)
    if not position and not quarantine.count:
        quarantine.add(source.name, "", "the file is empty; expected a BioC collection")


def write(documents: Iterable[Document], target: Target) -> int:
    """A collection, written as the documents come, one on a line."""
    number = 0
    head = {"source": "Textome", "date": datetime.now(UTC).strftime("%Y-%m-%d"), "key": "textome.key", "infons": {}}
    with target.open() as stream:
        stream.write((json.dumps(head)[:-1] + ', "documents": [').encode())
        for number, document in enumerate(documents, 1):
            stream.write(b"\n" if number == 1 else b",\n")
            stream.write(json.dumps(document_to(document), ensure_ascii=False).encode("utf-8"))
        stream.write(b"\n]}\n")
    return number


def _with_passages(document: Any) -> Any:
    """The document. Raises InputError for one that has no passages: its text stands elsewhere, and would be lost."""
    if isinstance(document, dict) and "passages" not in document:
        raise InputError(
            'there are no "passages"; BioC has its texts there. For objects with "text", write one a line and take jsonl'
        )
    return document


def _documents(value: Any) -> list[Any]:
    """The documents of a collection, or the one that it is. They are checked when they are read."""
    if isinstance(value, dict):
        if "passages" in value:
            return [value]
        for key in _COLLECTIONS:
            if isinstance(documents := value.get(key), list):
                return documents
    raise InputError('this is not BioC JSON: expected an object with "documents", or a document with "passages"')
