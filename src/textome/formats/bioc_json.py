"""BioC JSON: a collection, a list of collections or documents, or one document."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from textome.documents import Document
from textome.errors import InputError
from textome.formats.bioc import document_from, document_to
from textome.formats.compression import DECOMPRESSION_ERRORS
from textome.formats.jsonl import parse_json
from textome.formats.sources import Quarantine, Source, Target


def sniff(head: str, name: str) -> bool:
    text = head.lstrip()
    return text.startswith(("{", "[")) and ('"documents"' in head or ('"infons"' in head and '"passages"' in head))


def read(source: Source, quarantine: Quarantine) -> Iterator[Document]:
    """The documents of a file. The file is parsed as a whole, so memory grows with it; BioC XML is streamed.

    A document that is not as it should be is quarantined with its id; JSON that is broken loses the file. Halves of
    surrogate pairs become U+FFFD.
    """
    try:
        with source.open() as stream:
            values = _documents(parse_json(stream.read()))
    except DECOMPRESSION_ERRORS as error:
        quarantine.add(source.name, "", f"the file is cut short or damaged ({error})")
        return
    except InputError as error:
        quarantine.add(source.name, "", error)
        return
    for number, value in enumerate(values, 1):
        try:
            yield document_from(value)
        except InputError as error:
            name = value.get("id", "") if isinstance(value, dict) else ""
            quarantine.add(source.name, f"record {number}, document {name}" if name else f"record {number}", error)


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


def _documents(value: Any) -> list[Any]:
    """The documents of a collection, a document, or a list of either. They are checked when they are read."""
    if not isinstance(value, list):
        return _of_one(value)
    return [document for item in value for document in _of_one(item)]


def _of_one(value: Any) -> list[Any]:
    if isinstance(value, dict) and isinstance(documents := value.get("documents"), list):
        return documents
    if isinstance(value, dict) and "passages" in value:
        return [value]
    raise InputError('this is no BioC JSON: expected an object with "documents", or a list of such objects')
