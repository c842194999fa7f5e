"""Gold annotations under other tools' names are read as entities, or refused; none is lost in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from textome.documents import Document
from textome.formats import Quarantine, Source, read_documents

TEXT = "Gout responded to colchicine within days."
ENTITIES = [("Disease", "Gout"), ("Chemical", "colchicine")]


def read(value: Any, name: str = "a.jsonl") -> tuple[list[Document], Quarantine]:
    data = value if isinstance(value, str) else json.dumps(value)
    quarantine = Quarantine()
    return list(read_documents(Source(name, data=data.encode()), None, quarantine)), quarantine


def task(*results: Any, **others: Any) -> dict[str, Any]:
    """A task of Label Studio."""
    return {"id": 3, "data": {"text": TEXT}, "annotations": [{"id": 9, "result": list(results)} | others]}


def region(start: int, end: int, text: str, kind: str, name: str = "a") -> dict[str, Any]:
    value = {"start": start, "end": end, "text": text, "labels": [kind]}
    return {"id": name, "type": "labels", "value": value}


REGIONS = (region(0, 4, "Gout", "Disease"), region(18, 28, "colchicine", "Chemical", "b"))
LAYOUTS = {
    "doccano label": {"text": TEXT, "label": [[0, 4, "Disease"], [18, 28, "Chemical"]]},
    "doccano labels": {"text": TEXT, "labels": [[0, 4, "Disease"], [18, 28, "Chemical"]]},
    "doccano data": {"data": TEXT, "label": [[0, 4, "Disease"], [18, 28, "Chemical"]]},
    "doccano entities": {
        "text": TEXT,
        "entities": [
            {"id": 7, "label": "Disease", "start_offset": 0, "end_offset": 4},
            {"id": 8, "label": "Chemical", "start_offset": 18, "end_offset": 28},
        ],
        "relations": [{"id": 1, "from_id": 8, "to_id": 7, "type": "treats"}],
    },
    "Prodigy": {
        "text": TEXT,
        "tokens": [{"text": "Gout", "start": 0, "end": 4, "id": 0}],
        "spans": [{"start": 0, "end": 4, "label": "Disease"}, {"start": 18, "end": 28, "label": "Chemical"}],
        "relations": [{"head_span": {"start": 18, "end": 28}, "child_span": {"start": 0, "end": 4}, "label": "treats"}],
        "answer": "accept",
    },
    "spaCy": {
        "text": TEXT,
        "ents": [{"start": 0, "end": 4, "label": "Disease"}, {"start": 18, "end": 28, "label": "Chemical"}],
        "tokens": [{"id": 0, "start": 0, "end": 4}],
        "sents": [{"start": 0, "end": 41}],
    },
    "spaCy tuple": [TEXT, {"entities": [[0, 4, "Disease"], [18, 28, "Chemical"]]}],
    "PubAnnotation": {
        "sourceid": "11",
        "text": TEXT,
        "denotations": [
            {"id": "T1", "span": {"begin": 0, "end": 4}, "obj": "Disease"},
            {"id": "T2", "span": {"begin": 18, "end": 28}, "obj": "Chemical"},
        ],
        "relations": [{"id": "R1", "pred": "treats", "subj": "T2", "obj": "T1"}],
        "attributes": [{"id": "A1", "pred": "negated", "subj": "T1", "obj": "no"}],
    },
    "Label Studio": task(*REGIONS, {"type": "relation", "from_id": "b", "to_id": "a", "labels": ["treats"]}),
    "Label Studio short": {"id": 3, "text": TEXT, "label": [item["value"] for item in REGIONS]},
    "BigBio": {
        "text": TEXT,
        "entities": [
            {"id": "1", "type": "Disease", "text": ["Gout"], "offsets": [[0, 4]]},
            {"id": "2", "type": "Chemical", "text": ["colchicine"], "offsets": [[18, 28]]},
        ],
    },
    "words with tags": {
        "tokens": ["Gout", "responded", "to", "colchicine"],
        "ner_tags": ["B-Disease", "O", "O", "B-Chemical"],
    },
}


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_tool_gives_the_same_entities(name: str, lines: bool) -> None:
    """One a line, and as a list over several lines."""
    value = LAYOUTS[name]
    text = f"{json.dumps(value)}\n{json.dumps(value)}\n" if lines else json.dumps([value, value], indent=1)
    documents, quarantine = read(text)
    assert quarantine.records == []
    assert len(documents) == 2
    for document in documents:
        assert [(entity.type, entity.text) for entity in document.entities] == ENTITIES
        if "relations" in str(value) or "'relation'" in str(value):
            ends = {entity.id: entity.text for entity in document.entities}
            (relation,) = document.relations
            assert relation.type == "treats"
            assert [ends[target] for _, target in relation.arguments] == ["colchicine", "Gout"]


def test_the_table_of_label_studio() -> None:
    cell = json.dumps([item["value"] for item in REGIONS]).replace('"', '""')
    documents, _ = read(f'annotation_id,id,label,text\n2,3,"{cell}",{TEXT}\n', "a.csv")
    assert [(entity.type, entity.text) for entity in documents[0].entities] == ENTITIES
    assert documents[0].id == "3"


@pytest.mark.parametrize(
    "value",
    [
        {"text": TEXT, "spans": [], "answer": "reject"},
        {"text": TEXT, "spans": [{"start": 0, "end": 4, "label": "X"}], "answer": "ignore"},
        task(*REGIONS, was_cancelled=True),
    ],
)
def test_what_its_annotator_rejected_is_passed_over_and_said(value: Any) -> None:
    documents, quarantine = read([value, LAYOUTS["doccano label"]])
    assert len(documents) == 1
    assert quarantine.exit_code == 0
    assert quarantine.summary() == ["passed over: 1, rejected by the annotator"]


def test_a_text_that_was_accepted_without_entities_is_a_document() -> None:
    documents, quarantine = read({"text": TEXT, "spans": [], "answer": "accept"})
    assert [(document.text, document.entities) for document in documents] == [(TEXT, ())]
    assert quarantine.count == 0


def test_the_inverted_index_of_openalex_is_an_abstract() -> None:
    value = {
        "id": "W1",
        "title": "Gout",
        "abstract_inverted_index": {"It": [0, 3], "hurts,": [1], "and": [2], "heals.": [4]},
    }
    (document,), quarantine = read(value)
    assert [passage.text for passage in document.passages] == ["Gout", "It hurts, and It heals."]
    assert quarantine.count == 0


def test_a_long_text_under_a_strange_name_is_not_left_out_beside_a_title() -> None:
    prose = "Gout hurts the toe at night. " * 10
    for value in ({"title": "Gout", "summary": prose}, {"title": "Gout", "narrative": prose, "authors": "A, B"}):
        documents, quarantine = read(value)
        assert documents == []
        assert "looks like the text and would be left out" in quarantine.records[0].reason
    for value in ({"title": "Gout", "author_list": prose}, {"title": "Gout", "abstract": None, "summary": prose}):
        documents, quarantine = read(value)
        assert ([document.text for document in documents], quarantine.count) == (["Gout"], 0)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"text": TEXT, "mentions": [{"start": 0, "end": 4, "type": "X"}]}, "'mentions' looks like annotations"),
        # Dataturks, and spans grouped by their types.
        (
            {"text": TEXT, "annotation": [{"label": ["X"], "points": [{"start": 0, "end": 3}]}]},
            "'annotation' looks like annotations",
        ),
        ({"text": TEXT, "gold": {"X": [[0, 4], [6, 8]]}}, "'gold' looks like annotations"),
        ({"text": TEXT, "gold": {"X": [{"start": 0, "end": 4}]}}, "'gold' looks like annotations"),
        ({"version": "2", "data": [{"paragraphs": []}]}, "these are questions, as of SQuAD"),
        ({"title": "T", "abstract_inverted_index": {"a": [0.5]}}, "lists of whole numbers"),
        ({"title": "T", "abstract_inverted_index": {"a" * 1000: list(range(1001))}}, "more than 1,000,000 characters"),
        ({"text": TEXT, "label": [[0, 4, None]]}, "the type of an annotation: expected a text, found nothing (null)"),
        ({"text": TEXT, "label": [[0, 4, True]]}, "expected a text, found true"),
        ({"text": TEXT, "label": [[0, 4, 5]]}, "expected a text, found the number 5"),
        ({"text": TEXT, "label": [[0, 99, "X"]]}, "outside the text"),
        ({"text": TEXT, "spans": [{"start": 0, "end": "4", "label": "X"}]}, "expected whole numbers, found a text"),
        ({"text": None, "label": [[0, 4, "X"]]}, "text is nothing (null)"),
        ({"tokenized_text": ["Gout"], "ner": [[0, 0, "X"]]}, "their offsets need it"),
        ({"tokens": ["Gout"], "ner_tags": [3]}, "expected tags such as 'B-Disease', found the number 3"),
        ({"tokens": ["Gout"], "ner_tags": ["Z-Disease", "O"]}, "no member with a tag for each"),
        (task(region(0, 4, "gout", "Disease")), "says 'gout' at 0-4, but the text there is 'Gout'"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 4}]}, "the type of an annotation: expected a text"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_record(value: Any, reason: str) -> None:
    documents, quarantine = read(f'"first"\n{json.dumps(value)}\n"third"\n')
    assert [document.text for document in documents] == ["first", "third"]
    (record,) = quarantine.records
    assert record.position == "line 2"
    assert reason in record.reason


def test_offsets_of_label_studio_may_count_utf_16_units() -> None:
    text = "\U0001f9ec gene and gout"
    value = task(region(12, 16, "gout", "Disease")) | {"data": {"text": text}}
    documents, quarantine = read([value])
    assert quarantine.records == []
    assert [(entity.start, entity.text) for entity in documents[0].entities] == [(11, "gout")]


def test_labels_of_a_whole_text_become_labels_of_the_document() -> None:
    lines = (
        '{"text": "Gout.", "label": "yes"}',
        '{"text": "Gout.", "labels": ["a", "b"]}',
        '{"data": "Gout.", "label": ["a"]}',
    )
    documents, _ = read("\n".join(lines))
    assert [[label.name for label in document.labels] for document in documents] == [["yes"], ["a", "b"], ["a"]]
