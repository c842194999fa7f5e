"""Variants as entities with identifiers, beside what is annotated already."""

from __future__ import annotations

from hypothesis import given, settings

from strategies import documents
from textome.documents import Document, Identifier, Passage, titled
from textome.steps import load_step


def run(document: Document) -> Document:
    (result,) = load_step("variants")([document])
    return result


def test_variants_of_all_passages_with_identifiers():
    result = run(Document("1", titled("BRAF V600E", "A mutation, as rs123456.")))
    assert [(item.text, item.type, item.identifiers, item.metadata) for item in result.entities] == [
        ("V600E", "Variant", (Identifier("hgvs:p.Val600Glu", label="p.Val600Glu"),), {"tmvar": "p|SUB|V|600|E"}),
        ("rs123456", "Variant", (Identifier("dbsnp:rs123456", label="rs123456"),), {"tmvar": "rs123456"}),
    ]
    assert [item.id for item in result.entities] == ["T1", "T2"]


def test_what_is_annotated_stays_but_for_a_models_entities_inside_a_notation():
    document = Document.from_text("The mutations V600E, V601E and V602E.")
    document = document.with_annotations(
        [
            document.entity([(14, 19)], "SequenceVariant"),
            document.entity([(21, 26)], "Gene", confidence=0.6),
            document.entity([(31, 36)], "Gene"),
        ]
    )
    assert [(item.text, item.type) for item in run(document).entities] == [
        ("V600E", "SequenceVariant"),
        ("V601E", "Variant"),
        ("V602E", "Gene"),
        ("V602E", "Variant"),
    ]


@settings(deadline=None, max_examples=60)
@given(documents())
def test_human_annotations_stay(document):
    more = Passage("mutant V600E", document.passages[-1].end if document.passages else 0)
    document = Document(document.id, (*document.passages, more), document.entities, document.relations)
    result = run(document)
    assert result.passages == document.passages
    human = {(item.spans, item.type) for item in document.entities if item.confidence is None}
    assert human <= {(item.spans, item.type) for item in result.entities}
