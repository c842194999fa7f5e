"""A name that is an entity somewhere in a document is one wherever it stands."""

from __future__ import annotations

import re
import time

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import documents
from textome.documents import Document, titled
from textome.steps import load_step


def annotated(text: str | Document, *mentions: tuple[str, str, float | None]) -> Document:
    """The document with an entity for each (text, type, confidence), at the next place where the text stands."""
    document = Document.from_text(text) if isinstance(text, str) else text
    position, entities = 0, []
    for name, type, confidence in mentions:
        start = document.text.index(name, position)
        position = start + len(name)
        entities.append(document.entity([(start, position)], type, id=f"T{start}", confidence=confidence))
    return document.with_annotations(entities)


def run(document: Document, **options: object) -> list[tuple[int, str, str]]:
    (result,) = load_step("repeated_mentions", **options)([document])
    return [(item.start, item.text, item.type) for item in result.entities]


def test_a_name_is_an_entity_in_all_passages_once_it_surely_is_one():
    document = annotated(Document("1", titled("HFE in iron", "HFE binds. The HFE gene, HFE.")), ("HFE", "Gene", 0.95))
    assert run(document) == [(0, "HFE", "Gene"), (12, "HFE", "Gene"), (27, "HFE", "Gene"), (37, "HFE", "Gene")]
    (result,) = load_step("repeated_mentions")([document])
    assert [item.confidence for item in result.entities] == [0.95] * 4


def test_hyphens_may_follow_but_a_name_is_never_a_part_of_a_word():
    text = "BRCA1 is here; BRCA1-mutated, anti-BRCA1, BRCA12, xBRCA1, BRCA1_a, BRCA1/2."
    assert [start for start, _, _ in run(annotated(text, ("BRCA1", "Gene", 1.0)))] == [0, 15, text.index("BRCA1/2")]


def test_what_is_unsure_short_or_annotated_by_people_is_not_followed():
    assert len(run(annotated("HFE and HFE", ("HFE", "Gene", 0.69)))) == 1
    assert len(run(annotated("HFE and HFE", ("HFE", "Gene", 0.8)), min_confidence=0.8)) == 2
    assert len(run(annotated("AD and AD", ("AD", "Disease", 1.0)))) == 1
    assert len(run(annotated("AD and AD", ("AD", "Disease", 1.0)), min_length=2)) == 2
    assert len(run(annotated("HFE and HFE", ("HFE", "Gene", None)))) == 1


def test_the_type_of_most_entities_counts_and_the_longest_name_wins():
    text = "PTPS, PTPS, PTPS and PTPS; breast cancer, cancer; no breast cancer."
    document = annotated(
        text,
        ("PTPS", "Gene", 0.95),
        ("PTPS", "Gene", 0.95),
        ("PTPS", "Chemical", 0.99),
        ("breast cancer", "Disease", 0.99),
        ("cancer", "Disease", 0.99),
    )
    assert run(document)[3] == (21, "PTPS", "Gene")
    assert run(document)[-1] == (text.rindex("breast"), "breast cancer", "Disease")


def test_entities_stay_as_they_are_where_others_would_overlap_them():
    document = annotated(
        "cancer in lung cancer, a cancer", ("cancer", "Disease", 0.99), ("lung cancer", "Disease", 0.3)
    )
    assert run(document) == [(0, "cancer", "Disease"), (10, "lung cancer", "Disease"), (25, "cancer", "Disease")]


def test_a_capital_at_the_beginning_of_a_sentence_says_nothing():
    assert len(run(annotated("Aspirin helps. We gave aspirin.", ("Aspirin", "Chemical", 0.99)))) == 2
    assert len(run(annotated("CAT helps. The cat sat.", ("CAT", "Gene", 0.99)))) == 1


@settings(deadline=None, max_examples=80)
@given(documents(), st.sampled_from([0.0, 0.5, 0.9]))
def test_old_entities_stay_and_new_ones_repeat_them(document: Document, least: float) -> None:
    (result,) = load_step("repeated_mentions", min_confidence=least, min_length=1)([document])
    assert {(item.id, item.spans, item.type) for item in document.entities} <= {
        (item.id, item.spans, item.type) for item in result.entities
    }
    old = {item.id for item in document.entities}
    known = {item.text.casefold() for item in document.entities if item.confidence is not None}
    covered = [range(span.start, span.end) for item in document.entities for span in item.spans]
    for item in (item for item in result.entities if item.id not in old):
        assert item.text.casefold() in known
        assert result.text[item.start : item.end] == item.text
        assert not any(item.start < span.stop and span.start < item.end for span in covered)
        assert not re.match(r"\w", result.text[item.end :])


def test_long_documents_with_many_names_take_little_time():
    names = [f"GEN{number}" for number in range(3000)]
    document = annotated(" ".join([*names, *names]), *((name, "Gene", 1.0) for name in names))
    started = time.process_time()
    assert len(run(document)) == 6000
    assert time.process_time() - started < 5
