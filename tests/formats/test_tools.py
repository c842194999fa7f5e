"""What is written for annotation tools: offsets and types come back, and the layout is the tool's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings

from strategies import documents
from textome.documents import Document, Identifier, Label, Relation
from textome.formats import format_of_name, guess_format, read_documents, write_documents
from textome.formats.reading.sources import Source

TOOLS = ("label-studio", "doccano", "prodigy")


@pytest.fixture(scope="module", autouse=True)
def no_waiting_for_the_disk() -> Iterator[None]:
    """Hundreds of small files are written here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        yield


def example(confidence: float | None = None) -> Document:
    draft = Document.from_text("𝒳 Aspirin, not for acute gout.", "7")
    entities = [
        draft.entity([(2, 9)], "Chemical", id="T1", confidence=confidence, identifiers=[Identifier("mesh:D001241")]),
        draft.entity([(25, 29)], "Disease", id="T2", confidence=confidence, attributes={"negated": "true", "a": "b"}),
    ]
    return draft.with_annotations(entities, [Relation("treats", (("drug", "T1"), ("disease", "T2")), "R1")])


@pytest.mark.parametrize("format", TOOLS)
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents())
def test_offsets_and_types_come_back(document: Document, format: str, tmp_path: Path) -> None:
    assume(document.text.strip())  # a record without text is none
    assert write_documents([document], tmp_path / "file", format) == 1
    (back,) = read_documents(tmp_path / "file", "jsonl")
    assert back.text == document.text
    if format == "doccano" and not document.entities:
        return
    expected = {(entity.start, entity.end, entity.type) for entity in document.entities}
    if format == "prodigy":  # white space at the ends of an entity is not a part of its tokens
        expected = {(*_trimmed(document, start, end), kind) for start, end, kind in expected}
    by_people = {item.confidence is None for item in (*document.entities, *document.labels)}
    if format == "label-studio" and len(by_people) > 1:
        return  # a person's annotation hides the prediction beside it
    assert {(entity.start, entity.end, entity.type) for entity in back.entities} == expected


def _trimmed(document: Document, start: int, end: int) -> tuple[int, int]:
    text = document.text[start:end]
    if not text.strip():
        return start, end
    return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())


def test_a_member_without_a_name_is_not_the_text(tmp_path: Path) -> None:
    write_documents([Document.from_text("Gout.", "1")], tmp_path / "a.json", "label-studio")
    task = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    task[0]["data"][""] = "other"
    (tmp_path / "a.json").write_text(json.dumps(task), encoding="utf-8")
    assert [document.text for document in read_documents(tmp_path / "a.json")] == ["Gout."]


@pytest.mark.parametrize("format", TOOLS)
def test_relations_and_ids_come_back(format: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_documents([example(), Document.from_text("Nothing.", "8")], path, format)
    assert guess_format(Source.of(path)) == "jsonl"
    first, second = read_documents(path, format)
    assert (first.id, second.id, second.text) == ("7", "8", "Nothing.")
    texts = {entity.id: entity.text for entity in first.entities}
    (relation,) = first.relations
    assert (relation.type, [texts[target] for _, target in relation.arguments]) == ("treats", ["Aspirin", "gout"])


def test_label_studio_shows_predictions_and_annotations(tmp_path: Path) -> None:
    path = tmp_path / "a.labelstudio.json"
    assert format_of_name(str(path)) == "label-studio"
    write_documents([example(0.75), example()], path)
    guess, human = json.loads(path.read_text(encoding="utf-8"))
    assert guess["data"] == {"text": example().text, "document_id": "7"}
    assert set(guess) == {"data", "predictions"}
    assert set(human) == {"data", "annotations"}
    region = guess["predictions"][0]["result"][0]
    assert region["value"] == {"start": 2, "end": 9, "text": "Aspirin", "labels": ["Chemical"]}
    assert (region["type"], region["from_name"], region["to_name"], region["score"]) == (
        "labels",
        "label",
        "text",
        0.75,
    )
    back, again = read_documents(path)
    assert [entity.confidence for entity in back.entities] == [0.75, 0.75]
    assert [entity.confidence for entity in again.entities] == [None, None]
    for document in (back, again):
        assert [entity.curies for entity in document.entities] == [("mesh:D001241",), ()]
        assert [entity.attributes for entity in document.entities] == [{}, {"negated": "true", "a": "b"}]


def test_doccano_has_labels_of_texts_and_spans(tmp_path: Path) -> None:
    path = tmp_path / "a.doccano.jsonl"
    document = Document.from_text("Gout.", "1")
    spans = document.with_annotations([document.entity([(0, 4)], "Disease")])
    write_documents([spans, document.with_labels([Label("A"), Label("B")])], path)
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first == {"id": "1", "text": "Gout.", "label": [[0, 4, "Disease"]]}
    assert second["label"] == ["A", "B"]
    assert [label.name for label in list(read_documents(path))[1].labels] == ["A", "B"]


def test_prodigy_has_tokens_that_entities_are_made_of(tmp_path: Path) -> None:
    path = tmp_path / "a.prodigy.jsonl"
    document = Document.from_text("anti-TNFalpha drug", "1")
    entity = document.entity([(5, 8)], "Gene", id="T1")
    write_documents([document.with_annotations([entity]).with_labels([Label("A")])], path)
    record = json.loads(path.read_text(encoding="utf-8"))
    assert [token["text"] for token in record["tokens"]] == ["anti", "-", "TNF", "alpha", "drug"]
    assert [token["ws"] for token in record["tokens"]] == [False, False, False, True, False]
    assert record["spans"] == [{"start": 5, "end": 8, "token_start": 2, "token_end": 2, "label": "Gene"}]
    (back,) = read_documents(path)
    assert [label.name for label in back.labels] == ["A"]
    assert [entity.text for entity in back.entities] == ["TNF"]
