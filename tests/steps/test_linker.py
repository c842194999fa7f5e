"""Concepts of single names and of typed text."""

from __future__ import annotations

import pytest

from textome import Linker
from textome.errors import InputError
from textome.vocabularies import Concept, build_vocabulary

CONCEPTS = [
    Concept("mesh:D1", "Blue Fever", "Disease", ("azure fever", "BF"), xrefs=("omim:1",)),
    Concept("mesh:D2", "Blue Fever, Late", "Disease", parents=("mesh:D1",)),
    Concept("mesh:D3", "Ébauche of Blue", "Disease", ("BF",)),
    Concept("ncbigene:1", "BLU1", "Gene", taxon=9606),
    Concept("ncbigene:2", "Blu1", "Gene", taxon=10090),
]


@pytest.fixture(scope="module")
def linker(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "a.vocab"
    build_vocabulary(CONCEPTS, path)
    return Linker([str(path)])


def test_a_name_has_its_concepts(linker):
    assert [item.curie for item in linker.link("azure fevers", "Disease")] == ["mesh:D1"]
    assert [item.curie for item in linker.link("BF", "disease", candidates=2)] == ["mesh:D1", "mesh:D3"]
    assert linker.link("granite", "Disease") == []


def test_the_text_around_a_name_counts(linker):
    assert linker.link("Blu1", "Gene", "In mice, Blu1 was lost.")[0].curie == "ncbigene:2"
    assert linker.link("BF", "Disease", "Azure fever (AF) is no BF.")[0].curie == "mesh:D1"


@pytest.mark.parametrize(
    ("typed", "curies"),
    [
        ("mesh:D2", ["mesh:D2"]),
        ("azure fever", ["mesh:D1"]),
        ("blue fev", ["mesh:D1", "mesh:D2"]),
        ("BLUE", ["mesh:D1", "mesh:D2", "mesh:D3"]),
        ("éba", ["mesh:D3"]),
        ("blu", ["ncbigene:1", "ncbigene:2", "mesh:D1", "mesh:D2", "mesh:D3"]),
        ("lue", []),
        ("bl", []),
    ],
)
def test_typed_text_finds_names_that_begin_so(linker, typed, curies):
    assert [concept.curie for concept in linker.look_up(typed)] == curies


def test_a_concept_tells_what_it_is(linker):
    concept = linker.concept("mesh:D2")
    assert (concept.label, concept.type, concept.parents) == ("Blue Fever, Late", "Disease", ("mesh:D1",))
    assert linker.concept("mesh:D9") is None


@pytest.mark.parametrize(("typed", "type"), [("b", None), ("x" * 1001, None), ("  ", None), ("blue", "Colour")])
def test_what_cannot_be_looked_up_is_told(linker, typed, type):
    with pytest.raises(InputError):
        linker.look_up(typed, type)
