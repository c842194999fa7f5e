"""Data frames: a row for each annotation, equal to the documents, in pandas and in polars."""

from __future__ import annotations

from typing import Literal

import pandas
import polars
import pytest
from hypothesis import given, settings

import textome
from strategies import documents
from textome.documents import Document, Entity, Identifier, Label, Passage, Relation, Span
from textome.errors import InputError, MissingExtraError
from textome.formats import dataframes

TEXT = "Metformin lowered glucose in mice."
DOCUMENT = Document(
    "7",
    (Passage(TEXT, section="title"), Passage("No gout was seen.", len(TEXT) + 1, "RESULTS")),
    entities=(
        Entity((Span(0, 9),), "Chemical", "Metformin", "T1", 0.97, (Identifier("mesh:D008687", 0.9, "Metformin"),)),
        Entity((Span(38, 42),), "Disease", "gout", "T2", attributes={"negated": "true"}),
    ),
    relations=(Relation("none", (("drug", "T1"), ("disease", "T2")), "R1", 0.5),),
    labels=(Label("trial", "design", 0.8), Label("finding", "kind", span=Span(35, 52))),
)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_entities_labels_and_relations_are_rows(library: Literal["pandas", "polars"]) -> None:
    def rows(kind: Literal["entities", "labels", "relations"]) -> list[dict[str, object]]:
        frame = textome.documents_to_dataframe([DOCUMENT], kind, library)
        return frame.to_dict("records") if isinstance(frame, pandas.DataFrame) else frame.to_dicts()

    first, second = rows("entities")
    assert (first["document"], first["start"], first["end"], first["text"]) == ("7", 0, 9, "Metformin")
    assert (list(first["identifiers"]), list(second["attributes"])) == (["mesh:D008687"], ["negated=true"])  # type: ignore[call-overload]
    assert (first["section"], second["section"]) == ("title", "RESULTS")
    assert [(row["task"], row["label"], row["text"]) for row in rows("labels")][1] == (
        "kind",
        "finding",
        "No gout was seen.",
    )
    (relation,) = rows("relations")
    assert list(relation["texts"]) == ["Metformin", "gout"]  # type: ignore[call-overload]


@settings(max_examples=30, deadline=None)
@given(documents())
def test_offsets_cut_the_texts_out(document: Document) -> None:
    frame = textome.documents_to_dataframe([document], library="polars")
    assert isinstance(frame, polars.DataFrame)
    assert frame["text"].to_list() == [entity.text for entity in document.entities]
    assert frame["start"].to_list() == [entity.start for entity in document.entities]


def test_wrong_rows_and_a_missing_library_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="choose one of entities, labels, relations"):
        textome.documents_to_dataframe([], "words")  # type: ignore[arg-type]
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="dataframe"):
        textome.documents_to_dataframe([DOCUMENT], library="pandas")
    assert set(dataframes._TABLES) == {"entities", "labels", "relations"}
