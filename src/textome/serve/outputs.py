"""Documents in the format that a client asks for, as bytes with their media type."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from textome.documents import Document
from textome.formats import Target, write_documents
from textome.formats.jsonl import document_to

# In the order in which they are offered.
MEDIA_TYPES: dict[str, tuple[str, str]] = {
    "json": ("application/json", ".json"),
    "jsonl": ("application/x-ndjson", ".jsonl"),
    "bioc-json": ("application/json", ".bioc.json"),
    "bioc-xml": ("application/xml", ".bioc.xml"),
    "pubtator": ("text/plain; charset=utf-8", ".pubtator"),
    "brat": ("application/zip", ".brat.zip"),
    "conll": ("text/tab-separated-values; charset=utf-8", ".tsv"),
    "csv": ("text/csv; charset=utf-8", ".csv"),
    "omop": ("text/csv; charset=utf-8", ".omop.csv"),
    "fhir": ("application/fhir+json", ".fhir.json"),
    "html": ("text/html; charset=utf-8", ".html"),
}
OutputFormat = Literal[
    "json", "jsonl", "bioc-json", "bioc-xml", "pubtator", "brat", "conll", "csv", "omop", "fhir", "html"
]


@dataclass(frozen=True)
class _Memory(Target):
    """A target that keeps what is written."""

    buffer: io.BytesIO = field(default_factory=io.BytesIO)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        yield self.buffer


def render(documents: Sequence[Document], format: OutputFormat, **members: Any) -> bytes:
    """The documents in `format`; `members` stand beside them where it is JSON.

    brat is a zip archive of its files.
    """
    if format == "json":
        answer = members | {"documents": [document_to(document) for document in documents]}
        return json.dumps(answer, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if format == "brat":
        return _zipped_brat(documents)
    target = _Memory(formulas=False)
    write_documents(documents, target, format)
    return target.buffer.getvalue()


def _zipped_brat(documents: Sequence[Document]) -> bytes:
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="textome-") as name:
        folder = Path(name) / "brat"
        folder.mkdir()
        write_documents(documents, folder, "brat")
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder).as_posix())
    return packed.getvalue()
