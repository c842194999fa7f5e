"""The component of spaCy gives what Textome itself gives."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, Span

import textome
import textome.spacy
from textome.documents import Document, Relation
from textome.errors import InputError
from textome.pipeline import Pipeline
from textome.spacy import TextomeComponent

TEXTS = ["Aspirin is given for gout .", "", "patients with asthma took 𝒳 insulin daily", "no gout was seen"]


@pytest.fixture(scope="module")
def nlp(tiny_bundle: Path) -> spacy.Language:
    built = spacy.blank("en")
    built.add_pipe("textome", config={"model": str(tiny_bundle), "settings": {"model": {"threads": 1}}})
    return built


def test_entities_are_those_of_textome(nlp: spacy.Language, tiny_bundle: Path) -> None:
    expected = textome.load(tiny_bundle, threads=1).annotate(TEXTS)
    docs = list(nlp.pipe(TEXTS, batch_size=3))
    assert sum(len(document.entities) for document in expected) > 3
    for doc, document in zip(docs, expected, strict=True):
        spans = doc.spans["textome"]
        assert [span.text for span in spans] == [entity.text for entity in document.entities]
        assert [span._.confidence for span in spans] == [entity.confidence for entity in document.entities]
        assert [span._.attributes for span in spans] == [entity.attributes for entity in document.entities]
        assert [tuple(span._.identifiers) for span in spans] == [entity.identifiers for entity in document.entities]
        assert [entity.spans for entity in doc._.textome.entities] == [entity.spans for entity in document.entities]
        assert {span.text for span in doc.ents} <= {entity.text for entity in document.entities}


def test_a_doc_survives_storing_and_other_processes(nlp: spacy.Language) -> None:
    doc = nlp(TEXTS[3])
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert again._.textome == doc._.textome
    assert [span._.attributes for span in again.ents] == [{"negated": "true"}]


def _related(documents: Iterator[Document]) -> Iterator[Document]:
    for document in documents:
        entities = [
            document.entity([(0, 7)], "Chemical", id="T1"),
            document.entity([(8, 14)], "Action"),
            document.entity([(21, 25)], "Disease", id="T2"),
        ]
        yield document.with_annotations(entities, [Relation("treats", (("drug", "T1"), ("disease", "T2")), "R1", 0.8)])


def test_relations_are_between_spans_and_other_components_keep_their_entities() -> None:
    blank = spacy.blank("en")
    doc = blank("Aspirin treats acute gout in Berlin")
    doc.ents = [Span(doc, 3, 4, "DISEASE"), Span(doc, 5, 6, "GPE")]
    doc = TextomeComponent(Pipeline([_related]))(doc)
    (relation,) = doc._.relations
    assert (relation.type, relation.confidence) == ("treats", 0.8)
    assert [(role, span.text) for role, span in relation.arguments] == [("drug", "Aspirin"), ("disease", "gout")]
    assert [(span.text, span.label_) for span in doc.ents] == [
        ("Aspirin", "Chemical"),
        ("treats", "Action"),
        ("gout", "Disease"),
        ("Berlin", "GPE"),
    ]


def test_a_stored_pipeline_is_loaded_again(nlp: spacy.Language, tmp_path: Path) -> None:
    nlp.to_disk(tmp_path / "nlp")
    again = spacy.load(tmp_path / "nlp")
    assert [span.text for span in again(TEXTS[0]).ents] == [span.text for span in nlp(TEXTS[0]).ents]


def test_wrong_settings_are_one_sentence() -> None:
    with pytest.raises(InputError, match="there is no step 'nonsense'"):
        spacy.blank("en").add_pipe("textome", config={"add": ["nonsense"]})


def test_spacy_finds_the_component_by_its_entry_point() -> None:
    root = Path(__file__).resolve().parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["spacy_factories"] == {"textome": "textome.spacy:create"}
    assert spacy.Language.get_factory_meta("textome").assigns == ["doc.ents", "doc.spans"]
