"""The results of a bulk run: one set of files for each chunk, every file there whole or not at all.

    DIR/documents/part-000001-0000.parquet    and the same in entities/, relations/, identifiers/ and labels/
    DIR/documents/part-000001-0000.jsonl.gz   where another format is asked for

The name is the part and the chunk of the ledger, so a chunk that is done again replaces its files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from textome.documents import Document
from textome.errors import InputError
from textome.formats import read_documents, write_documents
from textome.formats.reading.sources import atomic_file, to_disk

PARQUET = "parquet"
# Text formats are compressed: JSON of a million abstracts is mostly names of members.
ENDINGS = {
    PARQUET: ".parquet",
    "jsonl": ".jsonl.gz",
    "bioc-json": ".json.gz",
    "bioc-xml": ".xml.gz",
    "pubtator": ".pubtator.gz",
}
FOLDERS = ("documents", "entities", "relations", "identifiers", "labels")
_COMPRESSION = "zstd"
_COLLECTED = 256


class Counts(NamedTuple):
    documents: int
    entities: int
    relations: int


Located = tuple[str, int, Document]


def check_format(name: str) -> None:
    """Raises InputError for a format that bulk results cannot have."""
    if name not in ENDINGS:
        raise InputError(f"--to {name}: bulk results are written as {', '.join(ENDINGS)}; use `textome convert` after")


def write_chunk(folder: Path, format: str, part: int, number: int, documents: Iterable[Located]) -> Counts:
    """Write the documents of a chunk, each with its source and record; when this returns they are on disk."""
    counts = [0, 0, 0]
    written = write_tables if format == PARQUET else _write_text
    written(folder, format, part, number, _counted(documents, counts))
    return Counts(*counts)


def write_tables(folder: Path, format: str, part: int, number: int, documents: Iterable[Located]) -> None:
    """A Parquet file for each table, each one row group; memory holds the rows of the chunk, packed."""
    import pyarrow as pa

    from textome.bulk.tables import TABLES, batches_of

    collected: dict[str, list[pa.RecordBatch]] = {name: [] for name in TABLES}
    pending: list[Located] = []
    for item in documents:
        pending.append(item)
        if len(pending) == _COLLECTED:
            for name, batch in batches_of(pending).items():
                collected[name].append(batch)
            pending = []
    for name, batch in batches_of(pending).items():
        _write_table(path_of(folder, format, part, number, name), pa.Table.from_batches([*collected[name], batch]))


def drop(folder: Path, format: str, part: int, number: int, ids: set[str]) -> Counts:
    """Take documents out of a chunk that is on disk; returns what is left. Doing it twice does no harm."""
    if format == PARQUET:
        return _drop_rows(folder, part, number, ids)
    path = path_of(folder, format, part, number)
    left = [0, 0, 0]
    kept = (("", 0, item) for item in read_documents(path, format) if item.id not in ids)
    write_documents((item for _, _, item in _counted(kept, left)), path, format)
    to_disk(path.parent)
    return Counts(*left)


def path_of(folder: Path, format: str, part: int, number: int, table: str = "documents") -> Path:
    return folder / table / f"part-{part:06}-{number:04}{ENDINGS[format]}"


def is_whole(folder: Path, format: str, part: int, number: int) -> bool:
    """Whether all files of a chunk with documents are still there."""
    tables = Counts._fields if format == PARQUET else ("documents",)
    return all(path_of(folder, format, part, number, table).is_file() for table in tables)


def remove_strays(folder: Path, format: str, known: Iterable[tuple[int, int]] | None = None) -> None:
    """Remove the drafts of a run that died and, where `known` chunks are given, files that belong to none of them."""
    names = None if known is None else {path_of(folder, format, *chunk).name for chunk in known}
    for table in FOLDERS:
        for path in (folder / table).glob("*") if (folder / table).is_dir() else ():
            draft = path.name.startswith(".part-")
            if draft or (names is not None and path.name.startswith("part-") and path.name not in names):
                path.unlink()


def _write_text(folder: Path, format: str, part: int, number: int, documents: Iterable[Located]) -> None:
    path = path_of(folder, format, part, number)
    write_documents((document for _, _, document in documents), path, format)
    to_disk(path.parent)


def _write_table(path: Path, table: object) -> None:
    import pyarrow.parquet as pq

    with atomic_file(path) as stream:
        pq.write_table(table, stream, compression=_COMPRESSION)
    to_disk(path.parent)


def _drop_rows(folder: Path, part: int, number: int, ids: set[str]) -> Counts:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    left = []
    for name in FOLDERS:
        path = path_of(folder, PARQUET, part, number, name)
        if name not in Counts._fields and not path.exists():
            continue  # younger than these results
        table = pq.read_table(path)
        kept = table.filter(pc.invert(pc.is_in(table["document_id"], value_set=pa.array(sorted(ids), pa.string()))))
        left.append(len(kept))
        if len(kept) < len(table):
            _write_table(path, kept)
    return Counts(*left[: len(Counts._fields)])


def _counted(documents: Iterable[Located], counts: list[int]) -> Iterator[Located]:
    for item in documents:
        for column, number in enumerate((1, len(item[2].entities), len(item[2].relations))):
            counts[column] += number
        yield item
