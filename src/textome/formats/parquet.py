"""Parquet tables of texts: a row is a document, as in other tables; and the table `documents` of a bulk run.

Columns are named as in `members`. Of a table that lies in parts, as `year=2019/part-0.parquet`, the path's columns are
metadata too. Read only: bulk runs write Parquet (docs/guides/bulk.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from textome.documents import Document, Passage
from textome.errors import InputError, MissingExtraError
from textome.formats.reading.members import document_of, roles_of
from textome.formats.reading.sources import Quarantine, Source

MAGIC = "PAR1"
_ROWS = 256
_PARTITION = re.compile(r"(?:^|[/\\!])([^/\\!=]+)=([^/\\!]*)(?=[/\\])")
# Columns of a bulk run's documents that say more than a text by columns can.
_COLUMNS = frozenset(("document_id", "text", "passages", "metadata", "sentences"))


def sniff(head: str, name: str) -> bool:
    return head.startswith(MAGIC)


def read(source: Source, quarantine: Quarantine, text_column: str | None = None) -> Iterator[Document]:
    """Documents row by row, some hundred rows in memory at a time.

    text_column   the name of the column of texts, where it is none of `members.TEXTS`

    Without a column for ids these are the file's name and the number of the row. Raises InputError where the file is
    damaged at its end, where Parquet describes its columns, and where no column holds texts.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("reading Parquet", "bulk") from error
    partition = {name: unquote(value) for name, value in _PARTITION.findall(source.name)}
    with source.open_raw() as stream:
        try:
            table = pq.ParquetFile(stream)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{source.name}: the Parquet file is damaged ({error})") from error
        names = list(table.schema_arrow.names)
        has_documents = _COLUMNS.issubset(names)
        try:
            roles = {} if has_documents else roles_of(names, text_column)
        except InputError as error:
            raise InputError(f"{source.name}: {error}") from error
        number = 0
        try:
            for batch in table.iter_batches(_ROWS, columns=sorted(_COLUMNS) if has_documents else None):
                for row in batch.to_pylist():
                    number += 1
                    try:
                        if has_documents:
                            yield Document(row["document_id"], passages_of(row), metadata=dict(row["metadata"]))
                        else:
                            yield document_of(partition | row, roles, f"{source.stem}-{number}")
                    except InputError as error:
                        quarantine.add(source.name, f"row {number}", error)
        except (pa.ArrowException, OSError) as error:
            quarantine.add(source.name, f"after row {number}", f"the Parquet file is damaged ({error})")


def passages_of(row: Mapping[str, Any]) -> tuple[Passage, ...]:
    """The passages of a row of the table `documents` of a bulk run."""
    text = row["text"]
    return tuple(
        Passage(text[item["start"] : item["end"]], item["start"], item["section"], dict(item["metadata"]))
        for item in row["passages"]
    )
