"""UIMA CAS: what is written comes back, offsets beyond 16 bits included, and layers of INCEpTION are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from cassis import Cas, TypeSystem

from textome.documents import Document, Identifier, Relation
from textome.errors import InputError
from textome.formats import guess_format, read_documents, write_documents
from textome.formats.reading.sources import Source

ENDINGS = {"uima-json": ".json", "uima-xmi": ".xmi"}


def example() -> Document:
    draft = Document.from_text("𝒳 Aspirin for acute gout.", "a")
    entities = [
        draft.entity([(2, 9)], "Chemical", id="T1", identifiers=[Identifier("mesh:D001241")]),
        draft.entity([(20, 24)], "Disease", id="T2"),
    ]
    return draft.with_annotations(entities, [Relation("treats", (("Governor", "T1"), ("Dependent", "T2")))])


@pytest.mark.parametrize("format", ENDINGS)
def test_what_is_written_comes_back(format: str, tmp_path: Path) -> None:
    other = Document.from_text("Nothing.", "b/c")
    assert write_documents([example(), other], tmp_path / "out", format) == 2
    path = tmp_path / "out" / f"a{ENDINGS[format]}"
    assert guess_format(Source.of(path)) == format
    assert list(read_documents(path)) == [example()]
    (back,) = read_documents(tmp_path / "out" / f"b_c{ENDINGS[format]}")
    assert (back.text, back.entities) == ("Nothing.", ())


def test_layers_of_a_project_are_read(tmp_path: Path) -> None:
    types = TypeSystem()
    layer = types.create_type("custom.Finding", supertypeName="uima.tcas.Annotation")
    types.create_feature(layer, "label", "uima.cas.String")
    cas = Cas(types)
    cas.sofa_string, cas.sofa_mime = "No fever.", "text/plain"
    cas.add(layer(begin=3, end=8, label="Symptom"))
    path = tmp_path / "note.json"
    path.write_text(cas.to_json(), encoding="utf-8")
    (document,) = read_documents(path)
    assert [(entity.text, entity.type) for entity in document.entities] == [("fever", "Symptom")]


def test_what_is_missing_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.xmi"
    path.write_text('<?xml version="1.0"?><xmi:XMI xmlns:xmi="http://www.omg.org/XMI"/>')
    with pytest.raises(InputError, match=r"there is no TypeSystem.xml"):
        list(read_documents(path))
    damaged = tmp_path / "b.json"
    damaged.write_text('{"%TYPES": 7}')
    with pytest.raises(InputError, match="this is not a UIMA CAS"):
        list(read_documents(damaged))
    with pytest.raises(InputError, match="needs a folder"):
        write_documents([example()], "-", "uima-json")
