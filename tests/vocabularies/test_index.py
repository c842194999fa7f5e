"""An index gives a concept by every spelling of its names, has the same bytes each time, and says when it is broken."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.errors import InputError
from textome.vocabularies import Concept, NameKind, Vocabulary, build, build_vocabulary
from textome.vocabularies.keys import bag_of, hash_of, key_of

CONCEPTS = [
    Concept("x:1", "Breast Neoplasms", "Disease", ("breast cancer", "Neoplasms, Breast"), tree_numbers=("C04.5",)),
    Concept("x:2", "Neoplasms", "Disease", ("tumours",), tree_numbers=("C04",), xrefs=("mondo:7", "omim:9")),
    Concept("x:3", "Interleukin 1 beta", "Gene", ("IL-1β",), taxon=9606),
    Concept("x:4", "Interleukin 1 beta", "Gene", taxon=10090),
]


@pytest.fixture
def path(tmp_path):
    build_vocabulary(CONCEPTS, tmp_path / "a.vocab", "of the tests", [{"file": "a.tsv"}])
    return tmp_path / "a.vocab"


def curies(section, name):
    return [section.curie(hit.number) for hit in section.look_up(name)]


@pytest.mark.parametrize("name", ["breast cancer", "Breast-Cancer", "breast  cancers", "BREAST NEOPLASM"])
def test_a_name_is_found_however_it_is_spelled(path, name):
    assert curies(Vocabulary.open(path).section("Disease"), name) == ["x:1"]


def test_concepts_that_share_a_name_are_all_given(path):
    genes = Vocabulary.open(path).section("Gene")
    assert curies(genes, "interleukin-1-beta") == ["x:3", "x:4"]
    assert [genes.taxon(hit.number) for hit in genes.look_up("Interleukin 1 beta")] == [9606, 10090]
    assert curies(genes, "IL-1 beta") == curies(genes, "il1β") == ["x:3"]


def test_each_type_has_its_own_names(path):
    vocabulary = Vocabulary.open(path)
    assert vocabulary.types == ("Disease", "Gene")
    assert vocabulary.section("Chemical") is None
    assert curies(vocabulary.section("Gene"), "breast cancer") == []


def test_words_of_diseases_may_stand_in_any_order(path):
    diseases = Vocabulary.open(path).section("Disease")
    assert [hit.kind for hit in diseases.look_up_reordered("cancer of the breast")] == [NameKind.REORDERED]
    assert diseases.look_up("cancer of the breast") == []


def test_a_concept_is_found_by_its_curie_with_parents_and_cross_references(path):
    section, number = Vocabulary.open(path).find("x:1")
    assert section.label(number) == "Breast Neoplasms"
    assert section.parents(number) == ["x:2"]
    assert list(section.ancestors("x:1")) == ["x:2"]
    assert section.xrefs(section.find("x:2")) == ["mondo:7", "omim:9"]
    assert section.find("x:11") is None
    assert Vocabulary.open(path).find("y:1") is None


def test_the_card_names_sources_and_counts(path):
    card = Vocabulary.open(path).card
    assert card.title == "of the tests"
    assert card.sources == ({"file": "a.tsv"},)
    assert card.counts["Disease"]["concepts"] == 2


def test_the_preferred_kind_of_name_comes_first(tmp_path):
    concepts = [
        Concept("x:1", "a", "Disease", related=("cold",)),
        Concept("x:2", "b", "Disease", synonyms=("cold",)),
        Concept("x:3", "cold", "Disease"),
        Concept("x:4", "c", "Disease", learnt=("cold",)),
        Concept("x:5", "d", "Disease", curated=("cold",)),
    ]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    section = Vocabulary.open(tmp_path / "a.vocab").section("Disease")
    assert curies(section, "cold") == ["x:5", "x:4", "x:3", "x:2", "x:1"]


def test_records_with_one_curie_are_one_concept(tmp_path):
    concepts = [Concept("x:1", "cold", "Disease", ("chill",)), Concept("x:1", "common cold", "Disease", xrefs=("y:1",))]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    section = Vocabulary.open(tmp_path / "a.vocab").section("Disease")
    assert section.num_concepts == 1
    assert section.label(0) == "cold"
    assert section.xrefs(0) == ["y:1"]
    assert all(curies(section, name) == ["x:1"] for name in ("cold", "chill", "common cold"))


def test_the_same_concepts_give_the_same_bytes(tmp_path, monkeypatch):
    """In any order, and also where sorting needs the disk."""
    concepts = [Concept(f"x:{n}", f"name {n}", "Disease", (f"other {n // 2}",)) for n in range(300)]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    random.Random(1).shuffle(concepts)
    monkeypatch.setattr(build, "_NAMES_IN_MEMORY", 7)
    build_vocabulary(concepts, tmp_path / "b.vocab")
    assert (tmp_path / "a.vocab").read_bytes() == (tmp_path / "b.vocab").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"a.vocab", "b.vocab"}


@given(st.lists(st.text(max_size=30), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_every_name_is_found_whatever_its_letters(tmp_path_factory, names):
    """Right-to-left and combining letters, single ones, and signs without any."""
    path = tmp_path_factory.mktemp("any") / "a.vocab"
    concepts = [Concept(f"x:{number}", name, "Disease") for number, name in enumerate(names)]
    if not any(map(key_of, names)):
        with pytest.raises(InputError, match="no concept with a name"):
            build_vocabulary(concepts, path)
        return
    build_vocabulary(concepts, path)
    section = Vocabulary.open(path).section("Disease")
    for number, name in enumerate(names):
        assert (f"x:{number}" in curies(section, name)) is bool(key_of(name))


def test_a_concept_may_have_a_hundred_thousand_names(tmp_path):
    many = Concept("x:1", "many", "Chemical", tuple(f"name {n}" for n in range(100_000)))
    build_vocabulary([many], tmp_path / "a.vocab")
    section = Vocabulary.open(tmp_path / "a.vocab").section("Chemical")
    assert section.num_names == 100_001
    assert curies(section, "name 77777") == ["x:1"]


def test_types_that_are_copied_have_the_bytes_of_those_that_are_built(tmp_path):
    others = [Concept("z:1", "zebra", "Animal"), Concept("a:1", "blue fever", "Gene", taxon=9606)]
    build_vocabulary([*CONCEPTS, *others], tmp_path / "whole.vocab")
    whole = Vocabulary.open(tmp_path / "whole.vocab")
    for type in whole.types:
        unchanged = {name: whole for name in whole.types if name != type}
        concepts = [concept for concept in [*CONCEPTS, *others] if concept.type == type]
        build_vocabulary(concepts, tmp_path / "new.vocab", unchanged=unchanged)
        assert (tmp_path / "new.vocab").read_bytes() == (tmp_path / "whole.vocab").read_bytes()


def test_an_empty_vocabulary_is_not_written(tmp_path):
    with pytest.raises(InputError, match="no concept with a name"):
        build_vocabulary([], tmp_path / "a.vocab")
    with pytest.raises(InputError, match="--type"):
        build_vocabulary([replace(CONCEPTS[0], type="")], tmp_path / "a.vocab")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[: len(data) // 2], "cut short"),
        (lambda data: data[:20], "not a vocabulary index"),
        (lambda data: b"", "not a vocabulary index"),
        (lambda data: b"PK\x03\x04" + data[4:], "not a vocabulary index"),
        (lambda data: data[:8] + struct.pack("<I", 99) + data[12:], "format 99"),
        (lambda data: data[:-9] + b"x" + data[-8:], "damaged"),
    ],
)
def test_a_file_that_is_no_whole_index_is_refused(path, change, message):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputError, match=message):
        Vocabulary.open(path)


def test_damage_among_the_names_is_seen_by_a_check_of_the_file(path):
    data = bytearray(path.read_bytes())
    data[70] ^= 1
    Vocabulary.open(path).verify()
    path.unlink()
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        Vocabulary.open(path).verify()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TNF-α", "TNFalpha"),
        ("leukaemias", "Leukemia"),
        ("tumours", "TUMOR"),
        ("Sjögren's", "sjogren s"),
        ("β-catenin", "beta catenin"),
        ("e\u0301", "é"),
    ],
)
def test_spellings_of_one_name_have_one_key(one, other):
    assert key_of(one) == key_of(other)


def test_numbers_side_by_side_stay_apart():
    assert key_of("1,2-dichloroethane") != key_of("12-dichloroethane")


def test_a_symbol_is_no_plural():
    assert key_of("KRAS", "symbols") != key_of("KRA", "symbols")


def test_the_order_of_words_does_not_count_in_a_bag():
    assert bag_of("carcinoma of the kidney") == bag_of("Renal Carcinoma")


def test_the_hash_is_that_of_the_format():
    """BLAKE2b of no bytes, cut to 64 bits: another value would make all old indexes useless."""
    assert hash_of("") == 0xE4A6A0577479B2B4


def test_a_name_that_a_corpus_confirms_is_preferred_to_one_that_it_only_learnt(tmp_path):
    concepts = [
        Concept("x:1", "b", "Disease", learnt=("cold",)),
        Concept("x:2", "cold", "Disease", learnt=("cold",)),
        Concept("x:3", "cold", "Disease"),
    ]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    hits = Vocabulary.open(tmp_path / "a.vocab").section("Disease").look_up("cold")
    assert [hit.kind for hit in hits] == [NameKind.CONFIRMED, NameKind.LEARNT, NameKind.LABEL]


def test_uses_in_corpora_are_summed_and_capped(tmp_path):
    concepts = [Concept("x:1", "blue", "Disease", uses=3), Concept("x:1", "", "Disease", learnt=("azure",), uses=4)]
    build_vocabulary([*concepts, Concept("x:2", "red", "Disease", uses=1000)], tmp_path / "a.vocab")
    section = Vocabulary.open(tmp_path / "a.vocab").section("Disease")
    assert [section.uses(0), section.uses(1)] == [7, 255]


def test_a_concept_without_uses_has_none(path):
    assert Vocabulary.open(path).section("Disease").uses(0) == 0


def test_a_replaced_identifier_is_a_name_of_its_successor(tmp_path):
    build_vocabulary([Concept("mesh:D1", "blue", "Disease", related=("mesh:C1",))], tmp_path / "a.vocab")
    section = Vocabulary.open(tmp_path / "a.vocab").section("Disease")
    assert [section.current(curie) for curie in ("mesh:C1", "mesh:D1", "mesh:C2")] == ["mesh:D1", "mesh:D1", "mesh:C2"]
