"""DocBin: what Textome writes comes back exactly, and what spaCy wrote is read."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from spacy.tokens import DocBin

from strategies import documents
from textome.documents import Document, Identifier, Label
from textome.errors import InputError
from textome.formats import read_documents, write_documents
from textome.formats.docbin import annotate_doc, document_of

NLP = spacy.blank("en")


@settings(max_examples=40, deadline=None)
@given(documents())
def test_a_document_comes_back_from_a_doc_and_its_bytes(document: Document) -> None:
    doc = NLP.tokenizer(document.text)
    annotate_doc(doc, document)
    assert doc.text == document.text
    again = spacy.tokens.Doc(NLP.vocab).from_bytes(doc.to_bytes())
    for found in (document_of(doc), document_of(again)):
        assert found.text == document.text
        assert [entity.spans for entity in found.entities] == [entity.spans for entity in document.entities]
        assert found.labels == document.labels
        assert found.metadata == document.metadata


def example() -> Document:
    draft = Document.from_text("Severe gout. Allopurinol helped 𝒳-linked gout.", "7")
    entities = [
        draft.entity([(0, 11)], "Disease", id="T1", confidence=0.9, attributes={"negated": "true"}),
        draft.entity([(7, 11)], "Disease", id="T2", identifiers=[Identifier("mesh:D006073", 0.8, "Gout")]),
        draft.entity([(13, 24)], "Chemical", id="T3"),
    ]
    return draft.with_annotations(entities).with_labels([Label("treatment", "topic", 0.7)])


def test_a_file_comes_back_and_spacy_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "notes.spacy"
    assert write_documents([example(), Document.from_text("", "8")], path) == 2
    assert list(read_documents(path)) == [example(), Document.from_text("", "8")]
    doc, empty = DocBin().from_disk(path).get_docs(NLP.vocab)
    assert [(span.text, span.label_) for span in doc.ents] == [("Severe gout", "Disease"), ("Allopurinol", "Chemical")]
    assert [(span.text, span.kb_id_) for span in doc.spans["textome"]][1] == ("gout", "mesh:D006073")
    assert doc.cats == {"treatment": 0.7}
    assert len(empty) == 0


def test_what_spacy_wrote_is_read(tmp_path: Path) -> None:
    doc = NLP("Quinine against malaria.")
    doc.ents = [doc.char_span(0, 7, "Chemical", kb_id="mesh:D011803")]
    doc.spans["sc"] = [doc.char_span(0, 7, "Chemical"), doc.char_span(16, 23, "Disease")]
    doc.cats = {"A": 1.0, "B": 0.0}
    path = tmp_path / "a.spacy"
    DocBin(docs=[doc]).to_disk(path)
    (document,) = read_documents(path)
    assert [(entity.text, entity.type, entity.curies) for entity in document.entities] == [
        ("Quinine", "Chemical", ("mesh:D011803",)),
        ("malaria", "Disease", ()),
    ]
    assert [(label.name, label.confidence) for label in document.labels] == [("A", 1.0)]


@pytest.mark.parametrize("data", [b"no DocBin", zlib.compress(b"\x80"), zlib.compress(b"x" * 100)[:9]])
def test_a_damaged_file_is_one_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.spacy"
    path.write_bytes(data)
    with pytest.raises(InputError, match="not a DocBin of spaCy"):
        list(read_documents(path))


def test_a_doc_whose_text_changed_is_refused() -> None:
    doc, other = NLP("gout"), NLP("asthma")
    annotate_doc(doc, Document.from_text("gout"))
    other.user_data = doc.user_data
    with pytest.raises(InputError, match="not the one that Textome annotated"):
        document_of(other)
