"""Entities say in which section they stand; headings are not entities."""

from __future__ import annotations

from hypothesis import given, settings

from strategies import documents
from textome.documents import Document, Passage, Relation
from textome.steps import load_step

TEXT = "Gout.\nPLAN: rest for gout\nREVIEW OF SYSTEMS\nCardiovascular: asthma"


def run(document: Document, **options: object) -> Document:
    (result,) = load_step("sections", **options)([document])
    return result


def annotated(confidence: float | None) -> Document:
    document = Document.from_text(TEXT)
    at = [(0, 4), (21, 25), (44, 59), (60, 66)]
    return document.with_annotations(
        document.entity([span], "Disease", id=f"T{number}", confidence=confidence) for number, span in enumerate(at)
    )


def test_sections_of_entities_and_headings():
    assert [(item.text, item.attributes) for item in run(annotated(0.9)).entities] == [
        ("Gout", {}),
        ("gout", {"section": "plan"}),
        ("asthma", {"section": "review_of_systems"}),
    ]


def test_headings_that_people_or_relations_name_stay():
    assert len(run(annotated(None)).entities) == 4
    assert len(run(annotated(0.9), headings=False).entities) == 4
    document = annotated(0.9)
    document = document.with_annotations(document.entities, [Relation("x", (("y", "T2"),))])
    assert len(run(document).entities) == 4


def test_the_section_that_a_format_gives():
    document = Document(
        "1", (Passage("Gout", 0, "title"), Passage("Gout", 5, "Methods"), Passage("Gout", 10, "METHODS"))
    )
    document = document.with_annotations(document.entity([(start, start + 4)], "Disease") for start in (0, 5, 10))
    assert [item.attributes.get("section") for item in run(document).entities] == [None, "methods", "methods"]


@settings(deadline=None, max_examples=60)
@given(documents())
def test_human_annotations_stay(document):
    result = run(document)
    assert result.passages == document.passages
    human = [(item.spans, item.type) for item in document.entities if item.confidence is None]
    assert [(item.spans, item.type) for item in result.entities if item.confidence is None] == human
