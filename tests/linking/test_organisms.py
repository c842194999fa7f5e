"""Names of organisms that only their document explains."""

from __future__ import annotations

import pytest

from textome.documents import Document
from textome.linking.binomials import any_genus, full_binomials, nouns_of
from textome.steps import load_step
from textome.vocabularies import Concept, build_vocabulary

CONCEPTS = [
    Concept("ncbitaxon:1", "Blueus", "Species", ("blue fish",)),
    Concept("ncbitaxon:2", "Blueus caeruleus", "Species", parents=("ncbitaxon:1",)),
    Concept("ncbitaxon:3", "Azurella cyanea", "Species", related=("anygenus cyane",), curated=("azures",)),
    Concept("ncbitaxon:4", "Indigo fever virus", "Species", ("IFV",)),
    Concept("ncbitaxon:10", "Blueidae", "Species"),
    Concept("ncbitaxon:11", "Blueonia", "Species", parents=("ncbitaxon:10",)),
    Concept("ncbitaxon:12", "Ultrella maritima", "Species", related=("anygenus ncbitaxon:10 maritim",)),
    Concept("ncbitaxon:13", "Streptobacteria", "Species"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "a.vocab"
    build_vocabulary(CONCEPTS, path)
    return str(path)


def link(path, text, *names):
    plain = Document.from_text(text, "d")
    entities = [plain.entity([(text.index(name), text.index(name) + len(name))], "Species") for name in names]
    document = plain.with_annotations(sorted(entities, key=lambda entity: entity.start))
    (linked,) = load_step("linking", vocabularies=[path])([document])
    return {entity.text: list(entity.curies) for entity in linked.entities}


@pytest.mark.parametrize(
    ("text", "names", "last"),
    [
        ("The sea minnow (Blueus caeruleus) swims.", ("Blueus caeruleus", "sea minnow"), "ncbitaxon:2"),
        ("Blueus caeruleus and a toad.", ("Blueus caeruleus", "toad"), None),
        ("In Blueus caeruleus, blue fish swim.", ("Blueus caeruleus", "blue fish"), "ncbitaxon:2"),
        ("Of Azurella cyanea the strain JX-21 grew.", ("Azurella cyanea", "JX-21"), "ncbitaxon:3"),
        ("The wild northern azures grew.", ("wild northern azures",), "ncbitaxon:3"),
        ("IFV and IFV09-2 isolates", ("IFV", "IFV09-2 isolates"), None),
        ("indigo fever", ("indigo fever",), "ncbitaxon:4"),
        ("Coerulea cyaneus was renamed.", ("Coerulea cyaneus",), "ncbitaxon:3"),
        ("Blueonia maritimus was renamed.", ("Blueonia maritimus",), "ncbitaxon:12"),
        ("Azurella maritimus was not.", ("Azurella maritimus",), None),
        ("A streptobacterial colony.", ("streptobacterial",), "ncbitaxon:13"),
    ],
)
def test_a_name_goes_by_its_document(path, text, names, last):
    found = link(path, text, *names)
    assert found[names[-1]] == ([last] if last else [])


def test_a_name_alone_stays_unknown(path):
    assert link(path, "The sea minnow swims.", "sea minnow") == {"sea minnow": []}


@pytest.mark.parametrize(
    ("name", "text", "names", "full"),
    [
        ("B. caeruleus", "Blueus caeruleus", (), ["Blueus caeruleus"]),
        ("B. niger", "Blueus caeruleus", ("Blueus caeruleus", "Rana"), ["Blueus niger"]),
        ("R. niger", "Blueus caeruleus", ("Blueus caeruleus",), []),
        ("Blueus niger", "", ("Blueus",), []),
    ],
)
def test_an_abbreviated_genus_is_one_of_the_document(name, text, names, full):
    assert full_binomials(name, text, names) == full


def test_the_epithet_is_kept_without_its_ending():
    assert any_genus("Azurella cyanea").split() == any_genus("Coerulea cyaneus").split() == ["anygenus", "cyane"]
    assert any_genus("Azurella cyanea", "ncbitaxon:1") == "anygenus ncbitaxon:1 cyane"
    assert any_genus("azures") is None


@pytest.mark.parametrize(
    ("name", "noun"),
    [("streptococcal", "streptococcus"), ("mycobacterial", "mycobacterium"), ("adenoviral", "adenovirus")],
)
def test_an_adjective_is_made_from_a_noun(name, noun):
    assert noun in nouns_of(name)


def test_a_noun_is_no_adjective():
    assert nouns_of("bluefish") == nouns_of("viral") == []
