"""Bundles that were written before version 2 of `textome.json`, as those that users have."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from one_model import entities_of, labels_of, labels_of_sentences, related
from textome.documents import Document
from textome.errors import ModelError
from textome.runtime.answerer import Answerer
from textome.runtime.bundle import Bundle, Description, described, reads_records
from textome.runtime.export import export_bundle
from textome.runtime.model import Model
from textome.tasks import AnyTask
from textome.tasks.labels import Classified

FOLDER = Path(__file__).resolve().parent.parent / "data" / "version_1"


def read(name: str) -> dict[str, AnyTask]:
    values = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    description = Description.model_validate(described(values))
    window = values.get("window") or values["translation"]["longest"]
    assert (description.input.kind, description.input.window) == ("text", window)
    return description.tasks


def test_entities_keep_types_temperatures_and_thresholds() -> None:
    (task,) = read("entities.json").values()
    assert task.model_dump(exclude_defaults=True) == {
        "types": ("Disease", "Chemical"),
        "default_types": ("Disease", "Chemical"),
        "temperature": {"Chemical": 1.5},
        "thresholds": {"Disease": 0.5},
    }


def test_embeddings_keep_their_pooling() -> None:
    (task,) = read("embeddings.json").values()
    assert (task.kind, task.model_dump()["pooling"]) == ("embedding", "cls")


def test_tasks_keep_their_labels_under_the_new_names() -> None:
    tasks = read("bundle/textome.json")
    assert {name: task.kind for name, task in tasks.items()} == {
        "entities": "entities",
        "single": "classification",
        "roles": "sentence_classification",
        "treats": "relations",
        "answers": "question_answering",
        "topics": "classification",
    }
    assert tasks["treats"].label_names == ("none", "treats")
    assert tasks["treats"].negative_labels == ("none",)
    assert tasks["single"].negative_labels == ("drug",)
    assert tasks["answers"].model_dump()["max_answer_words"] == 4


def test_models_of_signals_and_dna_keep_what_they_read_and_answer(tmp_path: Path) -> None:
    for name, kind, labels in (("sensors", "sequence_classification", 2), ("dna", "masked_tokens", 0)):
        folder = tmp_path / name
        folder.mkdir()
        old = json.loads(shutil.copy(FOLDER / f"{name}.json", folder / "textome.json").read_text())
        (folder / "config.json").write_text("{}")
        assert reads_records(folder)
        bundle = Bundle.load(folder)
        assert bundle.modality.model_dump(mode="json") == old["modality"]
        assert (bundle.target.kind, len(bundle.target.labels), bundle.target.pooling) == (kind, labels, old["pooling"])
        assert bundle.target.temperature == old["target"]["temperature"]
        with pytest.raises(ModelError, match=f"this model reads {name}, and not text; ask it with: textome predict"):
            Model.load(folder)


def test_translations_keep_their_languages(tmp_path: Path) -> None:
    task = read("translation.json")["translation"]
    assert (task.kind, task.label_names) == ("translation", ("en to de",))
    assert task.model_dump()["max_length"] == 32
    shutil.copy(FOLDER / "translation.json", tmp_path / "textome.json")
    (tmp_path / "config.json").write_text('{"model_type": "textome-transformer"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    bundle = Bundle.load(tmp_path)
    assert list(bundle.tasks) == ["translation"]
    with pytest.raises(ModelError, match="runs on PyTorch alone, so there is no graph to export"):
        export_bundle(bundle, tmp_path / "out", "int8")


def test_what_is_read_is_what_is_written() -> None:
    for name in ("entities.json", "embeddings.json", "bundle/textome.json"):
        for task in read(name).values():
            assert type(task).model_validate(task.model_dump(mode="json")) == task


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("old") / "bundle"
    shutil.copytree(FOLDER / "bundle", folder)
    export_bundle(Bundle.load(folder), folder, "fp32")
    return Model.load(folder)


def test_a_bundle_says_what_it_said(runner: Model) -> None:
    """Against the outputs of the version that wrote it."""
    expected: dict[str, Any] = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))

    def rounded(predictions: list[Classified]) -> list[Any]:
        return [[list(item.labels), pytest.approx(dict(item.scores), abs=2e-5)] for item in predictions]

    document = entities_of(runner.bundle.directory).annotate(expected["text"])
    assert [[it.start, it.end, it.type, pytest.approx(it.confidence, abs=2e-5)] for it in document.entities] == (
        expected["entities"]
    )
    assert rounded(labels_of(runner, "single", [expected["text"]])) == expected["single"]
    assert rounded(labels_of(runner, "topics", ["patients aspirin and gout daily"])) == expected["topics"]
    abstract = ["patients took aspirin", "no gout was seen"]
    assert rounded(labels_of_sentences(runner, "roles", [abstract])[0]) == expected["roles"]
    (annotated,) = related(runner, [document])
    assert [
        [it.type, [target for _, target in it.arguments], pytest.approx(it.confidence, abs=2e-5)]
        for it in annotated.relations
    ] == expected["treats"]
    answers = Answerer(runner).ask("for", [Document.from_text("patients took insulin daily with gout", "1")])
    assert [[it.text, it.start, it.end, pytest.approx(it.confidence, abs=2e-5)] for it in answers[:2]] == (
        expected["answers"]
    )


def test_tasks_annotate_documents(runner: Model) -> None:
    """What predictions become in a document."""
    document = Document.from_text("aspirin is given for malaria. Patients took insulin daily with gout", "1")

    def annotated(name: str, document: Document, question: str | None = None) -> Document:
        task = runner.task(name)
        records = task.records(document, question)
        return task.annotate(name, document, records, runner.predictions(name, records))

    with_entities = entities_of(runner.bundle.directory).annotate(document)
    related = annotated("treats", with_entities)
    assert {relation.type for relation in related.relations} <= {"treats"}
    labelled = annotated("single", related)
    assert labelled.relations == related.relations
    (label,) = labelled.labels
    assert (label.task, label.span) == ("single", None)
    assert label.confidence == label.scores[label.name]
    roles = annotated("roles", document)
    assert [document.text[item.span.start : item.span.end] for item in roles.labels if item.span] == [
        "aspirin is given for malaria.",
        "Patients took insulin daily with gout",
    ]
    answers = annotated("answers", document, "for").labels
    assert all(item.span and document.text[item.span.start : item.span.end] == item.name for item in answers)
