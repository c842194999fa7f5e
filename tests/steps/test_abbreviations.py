"""What a document's short forms stand for, and that its mentions of them agree."""

from __future__ import annotations

import cProfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, Label, Passage, Relation, Span, titled
from textome.errors import InputError
from textome.steps import load_step

TEXT = "CKD in rats.\nChronic kidney disease (CKD) was common. CKD was treated; CKDs differ, and XCKD is a gene."


def annotated(document: Document, *mentions: tuple[str, str, float | None], attributes: dict[str, str] | None = None):
    """The document with an entity for each (text, type, confidence), at the next place where the text stands."""
    position = 0
    entities = []
    for text, type, confidence in mentions:
        position = document.text.index(text, position)
        entities.append(
            document.entity(
                [(position, position + len(text))],
                type,
                id=f"T{len(entities) + 1}",
                confidence=confidence,
                attributes=attributes,
            )
        )
        position += len(text)
    return document.with_annotations(entities)


def run(document: Document, **options: object) -> Document:
    (result,) = load_step("abbreviations", **options)([document])
    return result


def mentions(document: Document) -> list[tuple[int, str, str, str]]:
    return [(item.start, item.text, item.type, item.attributes.get("long_form", "")) for item in document.entities]


def test_a_short_form_follows_its_long_form_through_the_passages():
    document = annotated(
        Document("1", titled(*TEXT.split("\n"))),
        ("Chronic kidney disease", "Disease", 0.9),
        ("CKD", "Gene", 0.6),
    )
    result = run(document)
    long = "Chronic kidney disease"
    assert mentions(result) == [
        (0, "CKD", "Disease", long),
        (13, long, "Disease", ""),
        (37, "CKD", "Disease", long),
        (54, "CKD", "Disease", long),
        (71, "CKDs", "Disease", long),
    ]
    assert {item.confidence for item in result.entities} == {0.9}
    ids = [item.id for item in result.entities]
    assert len(set(ids)) == 5
    assert all(ids)


def test_switched_off_it_only_says_what_short_forms_stand_for():
    document = annotated(Document.from_text(TEXT), ("Chronic kidney disease", "Disease", 0.9), ("CKD", "Gene", 0.6))
    assert mentions(run(document, agree=False)) == [
        (13, "Chronic kidney disease", "Disease", ""),
        (37, "CKD", "Gene", "Chronic kidney disease"),
    ]


def test_human_annotations_and_arguments_of_relations_stay():
    document = annotated(
        Document.from_text(TEXT),
        ("Chronic kidney disease", "Disease", 0.9),
        ("CKD", "Gene", None),
        ("CKD", "Gene", 0.6),
    )
    document = document.with_annotations(document.entities, [Relation("R", (("x", "T3"),))])
    assert [item for item in run(document).entities if item.type == "Gene"] != []
    assert [item.id for item in run(document).entities if item.type == "Gene"] == ["T2", "T3"]
    human = annotated(Document.from_text(TEXT), ("Chronic kidney disease", "Disease", None))
    assert run(human) == human


def test_a_type_of_few_occurrences_is_a_slip_only_without_support():
    text = "Chronic kidney disease (CKD). CKD, CKD and CKD."
    few = annotated(Document.from_text(text), ("CKD", "Gene", 0.6))
    assert run(few).entities == ()
    most = annotated(Document.from_text(text), ("CKD", "Gene", 0.6), ("CKD", "Gene", 0.6))
    assert len(run(most).entities) == 2


def test_two_long_forms_of_one_short_form_each_hold_from_their_definition_on():
    text = "MS is rare. Multiple sclerosis (MS) and MS. Mitral stenosis (MS) and MS."
    document = Document.from_text(text)
    at = [index for index in range(len(text)) if text.startswith("MS", index)]
    document = document.with_annotations(document.entity([(i, i + 2)], "Disease", confidence=0.9) for i in at)
    assert [item.attributes["long_form"] for item in run(document).entities] == [
        *["Multiple sclerosis"] * 3,
        *["Mitral stenosis"] * 2,
    ]


def test_definitions_as_labels():
    document = run(Document.from_text("Seen: chronic kidney disease (CKD)."), labels=True)
    assert document.labels == (
        Label(
            "chronic kidney disease",
            "abbreviations",
            span=Span(30, 33),
            metadata={"long_form_start": "6", "long_form_end": "28"},
        ),
    )


def test_an_attribute_of_the_input_stays():
    document = annotated(Document.from_text(TEXT), ("CKD", "Disease", None), attributes={"long_form": "mine"})
    assert run(document).entities[0].attributes == {"long_form": "mine"}


def test_an_unknown_setting_is_named():
    with pytest.raises(InputError, match="Abbreviations: agreee"):
        load_step("abbreviations", agreee=True)
    with pytest.raises(InputError, match="no step 'abbreviation'"):
        load_step("abbreviation")


@settings(deadline=None, max_examples=150)
@given(documents(), st.booleans())
def test_any_document_keeps_its_text_and_its_human_annotations(document, labels):
    definition = Passage("chronic kidney disease (CKD)", document.passages[-1].end if document.passages else 0)
    document = Document(
        document.id, (*document.passages, definition), document.entities, document.relations, document.metadata
    )
    result = run(document, labels=labels)
    assert result.passages == document.passages
    assert result.relations == document.relations
    human = [(item.spans, item.type) for item in document.entities if item.confidence is None]
    assert all(item in [(entity.spans, entity.type) for entity in result.entities] for item in human)


def test_the_cost_grows_with_the_text_and_not_with_its_square() -> None:
    """A text of definitions alone, all of one short form: twice the text takes about twice the calls."""

    def calls(count: int) -> int:
        document = Document.from_text("aspirin beta (AB) " * count)
        entities = [document.entity([(at * 18, at * 18 + 12)], "X", confidence=0.5) for at in range(count)]
        profile = cProfile.Profile()
        profile.enable()
        list(load_step("abbreviations")([document.with_annotations(entities)]))
        profile.disable()
        return sum(entry.callcount for entry in profile.getstats())

    assert calls(400) < 3 * calls(200)


def test_many_definitions_and_entities_are_all_read():
    text = "alpha beta (AB) " * 4_000
    document = Document.from_text(text)
    document = document.with_annotations(
        document.entity([(start, start + 10)], "Disease", confidence=0.9) for start in range(0, len(text), 16)
    )
    assert len(run(document).entities) == 8_000
