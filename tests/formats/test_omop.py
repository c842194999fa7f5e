"""OMOP's table NOTE_NLP: what the package `omop-cdm` says of its columns, and offsets that lead back to the mention."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from omop_cdm.regular.cdm54 import NoteNlp
from sqlalchemy import Date, DateTime, Integer, String

from strategies import documents
from textome.documents import Document
from textome.formats import Target, format_of_name, write_documents
from textome.formats.omop import COLUMNS


def rows(path: Path, *items: Document, formulas: bool = True) -> list[dict[str, str]]:
    write_documents(items, Target.of(path, formulas), "omop")
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_says_what_the_text_says_of_a_mention(tmp_path: Path) -> None:
    text = "\U0001f9ec No gout.\n=cmd fever"
    empty = Document.from_text(text, "7")
    gout = empty.entity(
        [(5, 9)], "Disease", confidence=0.5, identifiers=["mesh:D006073"], attributes={"negated": "true"}
    )
    past = empty.entity([(11, 15)], "Disease", attributes={"historical": "true"})
    path = tmp_path / "a.omop.csv"
    assert format_of_name(str(path)) == "omop"
    assert format_of_name("a.csv") == "csv"
    first, second = rows(path, empty.with_annotations([gout, past]))
    assert tuple(first) == COLUMNS
    assert (first["note_id"], first["offset"], first["lexical_variant"]) == ("7", "5", "gout")
    assert (first["term_exists"], second["term_exists"], second["term_temporal"]) == ("N", "Y", "Past")
    assert first["term_modifiers"] == "type=Disease,end=9,identifiers=mesh:D006073,confidence=0.5000,negated=true"
    assert "\n" not in first["snippet"]
    assert "gout" in first["snippet"]
    (_, safe) = rows(path, empty.with_annotations([gout, past]), formulas=False)
    assert safe["lexical_variant"] == "'=cmd"


@pytest.mark.parametrize(
    ("attributes", "exists"),
    [
        ({}, "Y"),
        ({"experiencer": "patient"}, "Y"),
        ({"uncertain": "true"}, "Y"),
        ({"historical": "true"}, "Y"),
        ({"negated": "true"}, "N"),
        ({"hypothetical": "true"}, "N"),
        ({"experiencer": "family"}, "N"),
        ({"experiencer": "other"}, "N"),
    ],
)
def test_a_term_exists_where_the_patient_has_or_had_it(attributes: dict[str, str], exists: str, tmp_path: Path) -> None:
    document = Document.from_text("Gout.", "7")
    entity = document.entity([(0, 4)], "Disease", attributes=attributes)
    (row,) = rows(tmp_path / "a.csv", document.with_annotations([entity]))
    assert row["term_exists"] == exists


def check(row: dict[str, str]) -> None:
    """The row against the table's columns: their order, types, lengths, and which of them are required."""
    columns = NoteNlp.__table__.columns
    assert tuple(row) == tuple(column.name for column in columns)
    for column in columns:
        value = row[column.name]
        match column.type:
            case _ if not value:
                assert column.nullable, column.name
            case Integer():
                int(value)
            case Date():
                date.fromisoformat(value)
            case DateTime():
                datetime.fromisoformat(value)
            case String(length=length):
                assert len(value) <= length, column.name


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_rows_fit_the_table_and_offsets_lead_back(tmp_path_factory: pytest.TempPathFactory, document: Document) -> None:
    path = tmp_path_factory.mktemp("omop") / "a.csv"
    for row, entity in zip(rows(path, replace(document, id="7")), document.entities, strict=True):
        check(row)
        start = int(row["offset"])
        assert document.text[start:].startswith(document.text[entity.start : entity.spans[0].end])
