"""Tables hold documents exactly, whatever is in them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from bulk.conftest import rows
from strategies import documents
from textome.bulk.output import Counts, drop, path_of, write_chunk
from textome.bulk.tables import DOCUMENTS, ENTITIES, TABLES, document_of
from textome.documents import Document, Passage
from textome.formats import read_documents


@settings(deadline=None)  # files are written, on whatever disk there is
@given(document=documents())
def test_tables_give_back_exactly_the_document(document: Document) -> None:
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        counts = write_chunk(folder, "parquet", 3, 2, [("a", 1, document), ("a", 2, Document.from_text("gout", "x"))])
        assert counts == Counts(2, len(document.entities), len(document.relations))
        tables = {table: pq.read_table(path_of(folder, "parquet", 3, 2, table)) for table in TABLES}
        assert all(tables[table].schema.equals(TABLES[table]) for table in TABLES)
        found = {table: [row for row in tables[table].to_pylist() if row["record"] == 1] for table in TABLES}
    (row,) = found["documents"]
    assert document_of(row, found) == document
    for entity in found["entities"]:
        assert row["text"][entity["start"] : entity["end"]].startswith(entity["text"].split(" ")[0][:1])
        if entity["sentence"] is not None:
            sentence = row["sentences"][entity["sentence"]]
            assert sentence["start"] <= entity["start"]


def test_every_column_is_explained() -> None:
    for schema in TABLES.values():
        assert all(field.metadata[b"about"] for field in schema)
    assert DOCUMENTS.names[:3] == ENTITIES.names[:3] == ["document_id", "source", "record"]


@pytest.mark.parametrize("format", ["parquet", "jsonl", "bioc-xml", "pubtator"])
def test_documents_are_dropped_from_a_chunk_and_others_stay(tmp_path: Path, format: str) -> None:
    kept = [("a", number, Document.from_text("gout", str(number))) for number in range(3)]
    drafts = [*kept, ("a", 9, Document.from_text("asthma", "9"))]
    write_chunk(tmp_path / "all", format, 1, 0, drafts)
    write_chunk(tmp_path / "kept", format, 1, 0, kept)
    assert drop(tmp_path / "all", format, 1, 0, {"9"}) == Counts(3, 0, 0)
    assert drop(tmp_path / "all", format, 1, 0, {"9"}) == Counts(3, 0, 0)
    assert rows(tmp_path / "all") == rows(tmp_path / "kept")


def test_the_documents_of_a_run_are_read_again_with_their_passages(tmp_path: Path) -> None:
    document = Document(
        "1", (Passage("Gout", 0, "title"), Passage("It hurts.", 5, "abstract", {"a": "b"})), metadata={"y": "1"}
    )
    write_chunk(tmp_path, "parquet", 1, 0, [("a", 1, document)])
    assert list(read_documents(path_of(tmp_path, "parquet", 1, 0))) == [document]
