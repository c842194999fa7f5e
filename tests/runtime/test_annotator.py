"""From texts to entities: right places, whatever the text, its length or its neighbours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import textome
from one_model import entities_of
from strategies import documents
from textome.cli.main import application
from textome.documents import Document, Passage
from textome.errors import InputError, ModelError
from textome.pipeline import Pipeline
from textome.runtime.batching import batches
from tiny import with_twin_heads

TEXT = "Metformin is given for type 2 diabetes. Patients with breast cancer took aspirin daily."


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Path) -> Pipeline:
    return entities_of(tiny_bundle, threads=1)


def found(document: Document) -> list[tuple[str, str]]:
    return [(entity.text, entity.type) for entity in document.entities]


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_text_gives_its_entities_in_order_with_confidence(tiny_bundle: Path, precision: str) -> None:
    document = entities_of(tiny_bundle, precision=precision).annotate(TEXT)
    assert found(document) == [
        ("Metformin", "Chemical"), ("type 2 diabetes", "Disease"), ("breast cancer", "Disease"), ("aspirin", "Chemical"),
    ]  # fmt: skip
    assert all(entity.confidence is not None and 0.3 < entity.confidence <= 1 for entity in document.entities)
    assert [entity.id for entity in document.entities] == ["T1", "T2", "T3", "T4"]


def test_types_and_confidence_are_filters(tiny_bundle: Path) -> None:
    assert {name for _, name in found(entities_of(tiny_bundle, types=["Chemical"]).annotate(TEXT))} == {"Chemical"}
    assert found(entities_of(tiny_bundle, min_confidence=1.0).annotate(TEXT)) == []
    with pytest.raises(InputError, match="does not know the type 'Gene'"):
        textome.load(tiny_bundle, types=["Gene"])
    with pytest.raises(InputError, match="min_confidence"):
        entities_of(tiny_bundle, min_confidence=2)


def test_of_overlapping_entities_the_most_probable_is_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    annotator = entities_of(with_twin_heads(tiny_bundle, tmp_path / "twins"), precision="fp32")
    every = annotator.annotate(TEXT).entities
    flat = entities_of(tmp_path / "twins", precision="fp32", flat=True).annotate(TEXT).entities
    assert len(flat) == len({entity.spans for entity in every}) < len(every)
    for entity in flat:
        rivals = [other for other in every if other.start < entity.end and entity.start < other.end]
        assert entity.confidence == max(other.confidence or 0 for other in rivals)
    result = CliRunner().invoke(
        application(),
        ["annotate", "-", "--flat", "-m", str(tmp_path / "twins"), "--precision", "fp32", "--to", "csv"],
        input=TEXT,
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.count("\n") == 1 + len(flat)


def test_the_thresholds_of_a_bundle_hold_for_those_who_name_none(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    description = json.loads((bundle / "textome.json").read_text())
    every = entities_of(bundle, min_confidence=0.0).annotate(TEXT).entities
    least = sorted(entity.confidence or 0 for entity in every if entity.type == "Disease")[-1] - 1e-6
    description["tasks"]["entities"]["thresholds"] = {"Disease": least}
    (bundle / "textome.json").write_text(json.dumps(description))
    annotator = entities_of(bundle)
    kept = [entity.text for entity in every if entity.type == "Chemical" or (entity.confidence or 0) >= least]
    assert 0 < len(kept) < len(every)
    assert [text for text, _ in found(annotator.annotate(TEXT))] == kept
    assert [text for text, _ in found(entities_of(bundle, types=["Disease"]).annotate(TEXT))] == [
        entity.text for entity in every if entity.type == "Disease" and entity.text in kept
    ]
    assert len(entities_of(bundle, min_confidence=0.0).annotate(TEXT).entities) == len(every)
    description["tasks"]["entities"]["thresholds"] = {"Disease": 2}
    (bundle / "textome.json").write_text(json.dumps(description))
    with pytest.raises(ModelError, match="thresholds"):
        entities_of(bundle)


def test_many_texts_give_what_each_gives_alone(tiny_bundle: Path) -> None:
    annotator = entities_of(tiny_bundle, precision="fp32", token_budget=64)
    texts = [f"{'patients with ' * (number % 9)}gout took insulin daily ." for number in range(40)]
    for text, document in zip(texts, annotator.annotate(texts), strict=True):
        assert document.text == text
        assert found(document) == found(annotator.annotate(text))


def test_a_sentence_longer_than_the_window_keeps_its_end(annotator: Pipeline) -> None:
    """The window holds 32 tokens; no entity of a sentence of 400 words may be missing, at a seam or elsewhere."""
    text = " ".join(["patients with malaria took quinine daily"] * 70)
    assert annotator.annotate(text).entities[-1].start > len(text) - 20
    for length in range(20, 40):  # around the limit
        words = (["patients", "with", "malaria", "took", "quinine", "daily"] * 7)[-length:]
        words += ["patients", "took", "aspirin"]
        assert ("aspirin", "Chemical") in found(annotator.annotate(" ".join(words)))


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(documents(), max_size=4))
def test_offsets_hold_whatever_the_text(annotator: Pipeline, given_documents: list[Document]) -> None:
    """Document's own checks run on every result; texts, old entities and relations stay."""
    for before, after in zip(given_documents, annotator.annotate(given_documents), strict=True):
        assert after.passages == before.passages
        assert after.entities[: len(before.entities)] == before.entities
        assert after.relations == before.relations
    for before, after in zip(given_documents, annotator.annotate(given_documents, replace=True), strict=True):
        assert after.passages == before.passages
        assert all(entity.confidence is not None for entity in after.entities)


def test_offsets_count_from_the_document_not_the_passage(annotator: Pipeline) -> None:
    document = Document(
        "1", (Passage("Aspirin daily", 0, "title"), Passage("\u0301\U0001f9ec Gout. No asthma was seen", 20))
    )
    for entity in annotator.annotate(document).entities:
        assert document.text[entity.start : entity.end] == entity.text
    assert {text for text, _ in found(annotator.annotate(document))} >= {"Aspirin", "asthma"}


def test_accents_are_not_cut_from_their_letter(annotator: Pipeline) -> None:
    found = annotator.annotate("patients with asthma\u0301 took it daily").entities
    assert [entity.text for entity in found if "asthma" in entity.text] == ["asthma\u0301"]


def test_texts_without_words_are_annotated_too(annotator: Pipeline) -> None:
    assert [document.entities for document in annotator.annotate(["", " \n", "\u200b"])] == [(), (), ()]
    assert annotator.annotate([]) == []


def test_wrong_inputs_are_named(annotator: Pipeline) -> None:
    with pytest.raises(InputError, match="input 2: expected a text or a Document, found int"):
        annotator.annotate(["a", 3])  # type: ignore[list-item]


def test_an_annotated_document_annotated_again_is_the_same(annotator: Pipeline) -> None:
    once = annotator.annotate(TEXT)
    assert annotator.annotate(once) == once
    assert found(annotator.annotate(once, replace=True)) == found(once)


@given(st.lists(st.integers(1, 600), max_size=80), st.integers(1, 2000))
def test_batches_hold_each_input_once_within_the_budget(lengths: list[int], budget: int) -> None:
    made = batches(np.array(lengths, dtype=np.int64), budget)
    assert sorted(index for batch in made for index in batch) == list(range(len(lengths)))
    for batch in made:
        width = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * width <= budget
