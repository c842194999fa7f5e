"""A document that exists is right: offsets, ids and relations are checked when it is made."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import MAX_GAP, Document, Entity, Passage, Relation, Span, replace_lone_surrogates
from textome.errors import InputError


@settings(deadline=None)
@given(documents())
def test_every_annotation_is_the_slice_at_its_offsets(document: Document) -> None:
    for entity in document.entities:
        assert entity.text == " ".join(document.text[start:end] for start, end in entity.spans)
    for passage in document.passages:
        assert document.text[passage.offset : passage.end] == passage.text


@settings(deadline=None)
@given(documents(), st.data())
def test_an_entity_moved_to_another_text_is_refused(document: Document, data: st.DataObject) -> None:
    if not document.entities:
        return
    entity = data.draw(st.sampled_from(document.entities))
    wrong = dataclasses.replace(entity, text=entity.text + "x")
    with pytest.raises(InputError, match="annotation says"):
        document.with_annotations([wrong])


@settings(deadline=None)
@given(st.text(st.characters() | st.characters(categories=["Cs"]), max_size=30))
def test_lone_surrogates_are_replaced_one_for_one(text: str) -> None:
    document = Document.from_text(text)
    assert len(document.text) == len(text)
    document.text.encode("utf-8")
    assert all(
        a == b or (b == "\ufffd" and "\ud800" <= a <= "\udfff") for a, b in zip(text, document.text, strict=True)
    )


def test_text_with_half_a_pair_is_refused() -> None:
    with pytest.raises(InputError, match="surrogate"):
        Document("1", (Passage("a\ud800"),))
    assert replace_lone_surrogates("a\ud800") == "a\ufffd"


def test_an_id_with_half_a_pair_is_replaced_too() -> None:
    """As the name of a file whose bytes are not UTF-8 has it."""
    assert Document.from_text("a", "Sj\udcf6gren").id == "Sj\ufffdgren"


def test_a_gap_that_would_fill_the_memory_is_refused() -> None:
    assert len(Document("1", (Passage("a", MAX_GAP),)).text) == MAX_GAP + 1
    with pytest.raises(InputError, match="passage 2: offset 10000002 leaves a gap"):
        Document("1", (Passage("a"), Passage("b", MAX_GAP + 2)))


def test_passages_may_not_overlap() -> None:
    with pytest.raises(InputError, match="passage 2: offset 3"):
        Document("1", (Passage("abcd"), Passage("e", 3)))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ((), "no span"),
        (((2, 2),), "empty"),
        (((0, 99),), "outside"),
        (((3, 4), (0, 1)), "out of order"),
        (((0, 3), (2, 4)), "out of order"),
    ],
)
def test_spans_that_are_not_in_the_text_are_refused(spans: tuple[tuple[int, int], ...], message: str) -> None:
    entity = Entity(tuple(Span(*span) for span in spans), "Disease", "x", "T1")
    with pytest.raises(InputError, match=message) as error:
        Document("PMID1", (Passage("fever"),), (entity,))
    assert "PMID1" in str(error.value)


def test_ids_are_unique_and_relations_point_somewhere() -> None:
    document = Document.from_text("fever", "1")
    fever = document.entity([(0, 5)], "Disease", id="T1")
    with pytest.raises(InputError, match="used twice"):
        document.with_annotations([fever, fever])
    with pytest.raises(InputError, match="refers to 'T2'"):
        document.with_annotations([fever], [Relation("CID", (("chemical", "T2"),))])
    assert document.with_annotations([fever], [Relation("CID", (("disease", "T1"),))]).relations[0].type == "CID"


def test_gaps_between_passages_are_filled() -> None:
    document = Document("1", (Passage("ab", 1), Passage("c", 5)))
    assert document.text == "\nab\n\nc"
