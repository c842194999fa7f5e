"""Parquet tables of others: ids as they were, no column lost, the same documents as from a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from textome.documents import Document
from textome.errors import InputError
from textome.formats import Quarantine, read_documents

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def read(path: Path, columns: dict[str, list[Any]], **options: str) -> tuple[list[Document], list[str]]:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    quarantine = Quarantine()
    documents = list(read_documents(path, None, quarantine, **options))
    return documents, [f"{record.position}: {record.reason}" for record in quarantine.records]


def test_ids_are_whole_numbers_and_null_and_nan_are_missing(tmp_path: Path) -> None:
    columns = {
        "pmid": [11.0, float("nan"), 13.0],
        "title": ["Gout", "Ague", None],
        "abstract": ["It hurts.", None, None],
        "year": [2019.0, None, 2020.0],
        "authors": [["A B", "C D"], [], None],
    }
    documents, problems = read(tmp_path / "a.parquet", columns)
    assert [(item.id, item.text) for item in documents] == [("11", "Gout\nIt hurts."), ("a-2", "Ague")]
    assert documents[0].metadata == {"year": "2019", "authors": "A B; C D"}
    assert problems == ["row 3: the record has no text"]


def test_columns_of_the_path_are_kept(tmp_path: Path) -> None:
    documents, _ = read(
        tmp_path / "year=2019" / "kind=case%20report" / "part-0.parquet", {"id": ["1"], "text": ["Gout."]}
    )
    assert documents[0].metadata == {"year": "2019", "kind": "case report"}


def test_a_column_of_another_name_and_values_that_are_no_texts(tmp_path: Path) -> None:
    documents, problems = read(tmp_path / "a.parquet", {"nr": [1, 2], "story": ["Gout.", "Ague."]}, text_column="story")
    assert [item.text for item in documents] == ["Gout.", "Ague."]
    assert problems == []
    documents, problems = read(tmp_path / "b.parquet", {"id": [1], "text": [5]})
    assert documents == []
    assert problems == ["row 1: text: expected a text, found the number 5"]
    with pytest.raises(InputError, match="no column holds texts"):
        read(tmp_path / "c.parquet", {"a": [1]})


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(InputError, match=r"a\.parquet: the Parquet file is damaged"):
        list(read_documents(tmp_path / "a.parquet"))
