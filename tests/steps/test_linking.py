"""Entities get the identifiers of the concepts that they name."""

from __future__ import annotations

import pickle

import pytest

from textome.documents import Document, Identifier
from textome.errors import InputError
from textome.linking.candidates import shortened
from textome.steps import load_step
from textome.vocabularies import Concept, build_vocabulary

CONCEPTS = [
    Concept("mesh:D1", "Breast Neoplasms", "Disease", ("breast cancer",), xrefs=("omim:1", "mondo:1")),
    Concept("mesh:D2", "Ovarian Neoplasms", "Disease", ("ovarian cancer",)),
    Concept("mesh:D3", "Blue Fever", "Disease", ("azure fever",)),
    Concept("mesh:D4", "Bluish Fly Fever", "Disease", ("BF",)),
    Concept("mesh:C1", "bluemycin", "Chemical", ("BM-1",)),
    Concept("ncbigene:1", "BLU1", "Gene", ("blue protein 1",), taxon=9606),
    Concept("ncbigene:2", "Blu1", "Gene", ("blue protein 1", "az"), taxon=10090),
    Concept("ncbitaxon:9606", "Homo sapiens", "Species", ("human", "patients")),
    Concept("ncbitaxon:10090", "Mus musculus", "Species", ("mouse", "mice")),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "a.vocab"
    build_vocabulary(CONCEPTS, path)
    return str(path)


def document(text, *mentions):
    """A document whose mentions are (text, type), each at all its places."""
    plain = Document.from_text(text, "d")
    entities = []
    for name, type in mentions:
        start = text.find(name)
        while start >= 0:
            entities.append(plain.entity([(start, start + len(name))], type))
            start = text.find(name, start + 1)
    return plain.with_annotations(sorted(entities, key=lambda entity: entity.start))


def link(path, text, *mentions, **settings):
    (linked,) = load_step("linking", vocabularies=[path], **settings)([document(text, *mentions)])
    return [list(entity.curies) for entity in linked.entities]


@pytest.mark.parametrize(
    ("name", "curies"),
    [
        ("breast cancers", ["mesh:D1"]),
        ("cancer of the breast", ["mesh:D1"]),
        ("breast and ovarian cancer", ["mesh:D1", "mesh:D2"]),
        ("familial breast cancer", ["mesh:D1"]),
        ("ovarian metastases", ["mesh:D2"]),
        ("breast carcinoma", ["mesh:D1"]),
        ("breast (mammary) cancer", ["mesh:D1"]),
        ("blues fevers", ["mesh:D3"]),
        ("granite", []),
    ],
)
def test_a_name_is_linked_in_the_ways_that_texts_write_it(path, name, curies):
    assert link(path, f"We saw {name} there.", (name, "Disease")) == [curies]


def test_a_composite_name_comes_before_a_name_of_its_words_in_another_order(tmp_path):
    both = Concept("mesh:D9", "Breast and Ovarian Cancer Syndrome", "Disease", ("ovarian and breast cancer",))
    build_vocabulary([*CONCEPTS, both], tmp_path / "a.vocab")
    path = str(tmp_path / "a.vocab")
    assert link(path, "breast or ovarian cancer", ("breast or ovarian cancer", "Disease")) == [["mesh:D1", "mesh:D2"]]
    assert link(path, "ovarian and breast cancer", ("ovarian and breast cancer", "Disease")) == [["mesh:D9"]]


def test_the_strain_of_a_species_is_left_out_and_no_word_of_a_disease():
    assert "Vibrio vulnificus" in shortened("Vibrio vulnificus CMCP6", "Species")
    assert "Autosomal dominant" not in shortened("Autosomal dominant granite", "Disease")


def test_capitals_that_the_text_does_not_define_stand_for_the_name_with_these_initials(path):
    mentions = [("Blue fever", "Disease"), ("OC", "Disease"), ("ovarian cancer", "Disease"), ("XO", "Disease")]
    assert link(path, "Blue fever and OC, or ovarian cancer; XO", *mentions) == [
        ["mesh:D3"],
        ["mesh:D2"],
        ["mesh:D2"],
        [],
    ]


def test_an_identifier_has_a_score_and_a_label(path):
    (linked,) = load_step("linking", vocabularies=[path])([document("azure fever", ("azure fever", "Disease"))])
    (identifier,) = linked.entities[0].identifiers
    assert identifier.label == "Blue Fever"
    assert 0.5 < identifier.score <= 1


def test_a_short_form_is_linked_by_its_long_form(path):
    text = "Blue fever (BF) is rare. BF is mild."
    assert link(path, text, ("BF", "Disease")) == [["mesh:D3"], ["mesh:D3"]]
    assert link(path, "BF is mild.", ("BF", "Disease")) == [["mesh:D4"]]


@pytest.mark.parametrize(
    ("text", "mentions", "expected"),
    [
        ("bluemycin (QX 9) and QX 9", [("bluemycin", "Chemical"), ("QX 9", "Chemical")], "mesh:C1"),
        ("2,3-granite (BM-1) and 2,3-granite", [("2,3-granite", "Chemical"), ("BM-1", "Chemical")], "mesh:C1"),
        ("blued factor one (BLU1)", [("blued factor one", "Gene"), ("BLU1", "Gene")], "ncbigene:1"),
        ("azured factor [BLU1]", [("azured factor", "Gene"), ("BLU1", "Gene")], "ncbigene:1"),
    ],
)
def test_what_stands_in_brackets_behind_a_name_names_the_same(path, text, mentions, expected):
    assert set(map(tuple, link(path, text, *mentions))) == {(expected,)}


@pytest.mark.parametrize(
    ("name", "is_two"),
    [
        ("bluish hepatitis", True),
        ("bluish infection", False),  # says no more than that it is one
        ("bluish green rash", False),  # a blue fever is a kind of green rash
        ("bilateral hepatitis", False),  # only HPO has "bilateral"
        ("hepatitis in bluish", False),
    ],
)
def test_a_name_may_say_two_conditions_at_once(tmp_path, name, is_two):
    concepts = [
        Concept("mesh:D1", "Blue Fever", "Disease", ("bluish",), parents=("mesh:D4",)),
        Concept("mesh:D2", "Hepatitis", "Disease"),
        Concept("mesh:D3", "Infections", "Disease"),
        Concept("mesh:D4", "green rash", "Disease"),
        Concept("hp:1", "Bilateral", "Disease"),
    ]
    build_vocabulary(concepts, tmp_path / "two.vocab")
    (curies,) = link(str(tmp_path / "two.vocab"), name, (name, "Disease"), min_score=0.0)
    assert (curies == ["mesh:D1", "mesh:D2"]) is is_two


def test_a_short_form_goes_by_the_name_in_the_document_that_it_may_be_short_for(tmp_path):
    concepts = [
        Concept("mesh:D1", "Gray Thumb", "Disease", related=("GT",)),
        Concept("mesh:D2", "Green Toe", "Disease"),
        Concept("mesh:D3", "Blue Thumb", "Disease", ("BT",)),
        Concept("mesh:D4", "Black Toe", "Disease"),
        Concept("mesh:C1", "gallium tartrate", "Chemical", ("GT",)),
        Concept("mesh:C2", "glow toxin", "Chemical"),
    ]
    build_vocabulary(concepts, tmp_path / "short.vocab")
    path = str(tmp_path / "short.vocab")
    assert link(path, "green toe, then GT", ("green toe", "Disease"), ("GT", "Disease")) == [["mesh:D2"], ["mesh:D2"]]
    assert link(path, "GT", ("GT", "Disease"), min_score=0.0) == [["mesh:D1"]]
    assert link(path, "black toe, then BT", ("black toe", "Disease"), ("BT", "Disease")) == [["mesh:D4"], ["mesh:D3"]]
    assert link(path, "glow toxin, GT", ("glow toxin", "Chemical"), ("GT", "Chemical")) == [["mesh:C2"], ["mesh:C2"]]
    assert link(path, "glow toxin, GT2", ("glow toxin", "Chemical"), ("GT2", "Chemical")) == [["mesh:C2"], []]  # no 2


def test_a_short_name_in_brackets_goes_by_the_name_that_it_explains(tmp_path):
    concepts = [
        Concept("x:1", "bluemycin", "Chemical"),
        Concept("x:2", "PG", "Chemical"),
        Concept("x:3", "azurine", "Chemical"),
    ]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    path = str(tmp_path / "a.vocab")
    names = [("bluemycin", "Chemical"), ("PG", "Chemical"), ("azurine", "Chemical")]
    assert link(path, "PG was given.", names[1]) == [["x:2"]]
    assert link(path, "bluemycin (PG) was given. PG helped.", *names[:2]) == [["x:1"]] * 3
    assert link(path, "bluemycin (azurine) was given.", names[0], names[2]) == [["x:1"], ["x:3"]]
    assert link(path, "bluemycin, PG", *names[:2]) == [["x:1"], ["x:2"]]


def test_a_short_form_of_a_chemical_stands_for_itself_where_its_long_form_is_unknown(path):
    text = "Brown mineral one (BM-1) was given."
    assert link(path, text, ("BM-1", "Chemical")) == [["mesh:C1"]]


def test_a_code_of_a_chemical_is_none_that_differs_in_a_sign(tmp_path):
    names = ["QX-RS-TU-VW-YZ-1", "blued redded greened azured reddine-1"]
    concepts = [Concept(f"x:{number}", name, "Chemical") for number, name in enumerate(names)]
    build_vocabulary(concepts, tmp_path / "a.vocab", has_near_names=lambda concept: True)
    path = str(tmp_path / "a.vocab")
    code, words = (name.replace("1", "2") for name in names)
    assert link(path, words, (words, "Chemical")) == [["x:1"]]
    assert link(path, code, (code, "Chemical")) == [[]]
    assert link(path, code, (code, "Chemical"), min_score=0) == [["x:0"]]


def test_of_chemicals_mesh_comes_before_chebi_and_a_combination_has_its_own_concept(tmp_path):
    concepts = [
        Concept("chebi:1", "blued blue", "Chemical"),
        Concept("mesh:C7", "azurate", "Chemical", ("blue salt",)),
        Concept("mesh:D7", "Blue", "Chemical", ("blued blue", "blue salt")),
        Concept("mesh:D8", "Reddine", "Chemical"),
        Concept("mesh:C8", "blue, reddine drug combination", "Chemical"),
        Concept("mesh:D9", "Greenine", "Chemical"),
    ]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    path = str(tmp_path / "a.vocab")
    assert link(path, "blued blue", ("blued blue", "Chemical"), candidates=2) == [["mesh:D7", "chebi:1"]]
    assert link(path, "blue salt", ("blue salt", "Chemical")) == [["mesh:D7"]]
    assert link(path, "reddine/blue", ("reddine/blue", "Chemical")) == [["mesh:C8"]]
    assert link(path, "reddine/greenine", ("reddine/greenine", "Chemical")) == [["mesh:D8", "mesh:D9"]]


def test_a_latin_letter_may_stand_for_a_greek_one(tmp_path):
    build_vocabulary([Concept("x:1", "beta-Bluemia", "Disease")], tmp_path / "a.vocab")
    assert link(str(tmp_path / "a.vocab"), "b-bluemia", ("b-bluemia", "Disease")) == [["x:1"]]


def test_a_gene_is_of_the_species_that_the_text_speaks_of(path):
    assert link(path, "In human cells BLU1 was seen.", ("BLU1", "Gene")) == [["ncbigene:1"]]
    assert link(path, "In mice, murine Blu1 was seen.", ("Blu1", "Gene")) == [["ncbigene:2"]]
    assert link(path, "In mice, BLU1 of mouse liver. BLU1 in mice.", ("BLU1", "Gene")) == [["ncbigene:2"]] * 2


def test_a_name_of_one_species_is_known_for_the_gene_with_its_symbol_in_another(path):
    assert link(path, "In human patients az was seen.", ("az", "Gene")) == [["ncbigene:1"]]


def test_of_genes_with_one_name_the_text_may_name_one_otherwise_too(tmp_path):
    genes = [
        Concept("ncbigene:3", "GRA1", "Gene", ("p9",), taxon=9606),
        Concept("ncbigene:4", "GRB1", "Gene", ("p9", "azurin"), taxon=9606),
        Concept("ncbigene:5", "GRC1", "Gene", ("p9", "azure"), taxon=9606, uses=2),
    ]
    build_vocabulary([*CONCEPTS, *genes], tmp_path / "a.vocab")
    path = str(tmp_path / "a.vocab")
    assert link(path, "p9 and azurin", ("p9", "Gene"), ("azurin", "Gene")) == [["ncbigene:4"]] * 2
    assert link(path, "p9 and GRA1", ("p9", "Gene"), ("GRA1", "Gene")) == [["ncbigene:3"]] * 2
    assert link(path, "p9 alone", ("p9", "Gene")) == [["ncbigene:5"]]


def test_types_are_told_apart_and_may_be_chosen(path):
    mentions = [("bluemycin", "ChemicalEntity"), ("blue fever", "SpecificDisease"), ("blue fever", "Place")]
    assert link(path, "bluemycin for blue fever", *mentions) == [["mesh:C1"], ["mesh:D3"], []]
    assert link(path, "bluemycin for blue fever", *mentions, types=["Chemical"]) == [["mesh:C1"], [], []]
    with pytest.raises(InputError, match="no vocabulary has concepts of the type Star"):
        link(path, "bluemycin", ("bluemycin", "Chemical"), types=["Star"])


def test_patients_can_be_left_alone(path):
    assert link(path, "two patients", ("patients", "Species")) == [["ncbitaxon:9606"]]
    assert link(path, "two patients", ("patients", "Species"), patients=False) == [[]]


def test_identifiers_of_the_input_are_kept_unless_replaced(path):
    plain = Document.from_text("blue fever")
    known = plain.with_annotations([plain.entity([(0, 10)], "Disease", identifiers=[Identifier("my:1")])])
    (kept,) = load_step("linking", vocabularies=[path])([known])
    (replaced,) = load_step("linking", vocabularies=[path], replace=True)([known])
    assert kept == known
    assert replaced.entities[0].curies == ("mesh:D3",)


def test_cross_references_follow_on_demand(path):
    assert link(path, "breast cancer", ("breast cancer", "Disease"), xrefs=["omim"]) == [["mesh:D1", "omim:1"]]


def test_the_first_vocabulary_is_preferred(path, tmp_path):
    build_vocabulary([Concept("my:1", "blue fever", "Disease")], tmp_path / "my.vocab")
    mine = str(tmp_path / "my.vocab")
    (linked,) = load_step("linking", vocabularies=[mine, path])(
        [document("blue fever and azure fever", ("blue fever", "Disease"), ("azure fever", "Disease"))]
    )
    assert [entity.curies for entity in linked.entities] == [("my:1",), ("mesh:D3",)]


def test_of_a_concept_that_two_vocabularies_have_the_place_in_the_first_counts(tmp_path):
    first, second = tmp_path / "first.vocab", tmp_path / "second.vocab"
    build_vocabulary([Concept("x:1", "grey rock", "Disease"), Concept("x:2", "rock", "Disease", ("grey rock",))], first)
    build_vocabulary(
        [Concept("x:2", "grey rock", "Disease"), Concept("x:1", "rock", "Disease", ("grey rock",))], second
    )
    for vocabularies, curie in (([first, second], "x:1"), ([second, first], "x:2")):
        step = load_step("linking", vocabularies=[str(path) for path in vocabularies])
        (linked,) = step([document("grey rock", ("grey rock", "Disease"))])
        assert linked.entities[0].curies == (curie,)


def test_a_document_without_entities_stays_as_it_is(path):
    assert link(path, "nothing here") == []


def test_a_step_that_has_linked_can_go_to_another_process(path):
    step = load_step("linking", vocabularies=[path], xrefs=["omim,mondo"])
    assert step.xrefs == ("omim", "mondo")
    given = [document("azure fever", ("azure fever", "Disease"))]
    assert (
        list(pickle.loads(pickle.dumps(step))(given))
        == list(step(given))
        == list(pickle.loads(pickle.dumps(step))(given))
    )


def test_an_abbreviated_genus_is_the_one_that_the_text_writes_out(tmp_path):
    concepts = [Concept("ncbitaxon:1", "Bluea minor", "Species"), Concept("ncbitaxon:2", "Borea minor", "Species")]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    mention = ("B. minor", "Species")
    assert link(str(tmp_path / "a.vocab"), "Borea minor lives here; B. minor is small.", mention) == [["ncbitaxon:2"]]
    assert link(str(tmp_path / "a.vocab"), "B. minor is small.", mention) == [[]]
    strain = ("Bluea minor K-12", "Species")
    assert link(str(tmp_path / "a.vocab"), "Bluea minor K-12", strain) == [["ncbitaxon:1"]]


@pytest.fixture(scope="module")
def corners(tmp_path_factory):
    concepts = [
        Concept("mesh:D10", "Bluenols", "Chemical", ("bluenol compounds",), learnt=("bluenol",)),
        Concept("mesh:D11", "Bluenol", "Chemical"),
        Concept("mesh:D12", "Azures", "Chemical", learnt=("azure",)),
        Concept("mesh:C13", "azure", "Chemical"),
        Concept("mesh:D20", "Carbon Dioxide", "Chemical", curated=("CO2",)),
        Concept("mesh:D21", "Cobalt", "Chemical", curated=("Co", "Co2+")),
        Concept("mesh:C14", "bluine", "Chemical"),
        Concept("mesh:D14", "Bluines", "Chemical", related=("mesh:C99",)),
        Concept("mesh:D22", "Oxygen", "Chemical", curated=("O2",)),
        Concept("mesh:D23", "Superoxides", "Chemical"),
        Concept("mesh:D24", "Tritium", "Chemical", curated=("3H",)),
        Concept("ncbitaxon:1", "Bluea", "Species"),
        Concept("ncbitaxon:2", "Bluea minor", "Species", parents=("ncbitaxon:1",)),
        Concept("ncbitaxon:3", "Bluea minor XY12", "Species", parents=("ncbitaxon:2",)),
        Concept("ncbitaxon:4", "Bluea minor subsp. alba", "Species", parents=("ncbitaxon:2",)),
        Concept("ncbitaxon:5", "Azure spot virus", "Species"),
    ]
    path = tmp_path_factory.mktemp("corners") / "a.vocab"
    build_vocabulary(concepts, path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "curie"),
    [
        ("bluenol", "mesh:D11"),
        ("bluenols", "mesh:D10"),
        ("azure", "mesh:D12"),
        ("CO2", "mesh:D20"),
        ("Co2+", "mesh:D21"),
        ("bluine", "mesh:C14"),
        ("O2", "mesh:D22"),
        ("O2-", "mesh:D23"),
        ("·O2−", "mesh:D23"),
    ],
)
def test_a_compound_and_its_class_and_an_ion_and_a_formula_are_told_apart(corners, name, curie):
    assert link(corners, name, (name, "Chemical")) == [[curie]]


def test_a_compound_with_an_isotope_is_both(corners):
    assert link(corners, "[3H]bluenol", ("[3H]bluenol", "Chemical")) == [["mesh:D11", "mesh:D24"]]


def test_an_identifier_that_has_been_replaced_has_a_successor(corners):
    step = load_step("linking", vocabularies=[corners])
    assert step.current("mesh:C99") == "mesh:D14"
    assert step.current("mesh:D14") == "mesh:D14"
    assert step.current("mesh:D99") == "mesh:D99"


def test_what_is_only_like_a_name_is_asked_for_once(path):
    step = load_step("linking", vocabularies=[path])
    (unsure,) = step.unsure(
        document("blues fevr, azure fever", ("blues fevr", "Disease"), ("azure fever", "Disease")), "Disease"
    )
    assert (unsure.name, unsure.indices, unsure.context.curies) == ("blues fevr", (0,), {"mesh:D3"})
    assert {"blue", "fevr", "azure"} <= set(unsure.context.words)


@pytest.mark.parametrize(
    ("text", "name", "curie"),
    [
        ("Bluea minor XY12 grew.", "Bluea minor XY12", "ncbitaxon:2"),
        ("Bluea minor strain XY12 grew.", "Bluea minor strain XY12", "ncbitaxon:2"),
        ("Bluea minor subsp. alba grew.", "Bluea minor subsp. alba", "ncbitaxon:4"),
        ("Azure spot viruses grew.", "Azure spot viruses", "ncbitaxon:5"),
        ("Bluea grew.", "Bluea", "ncbitaxon:1"),
    ],
)
def test_a_strain_goes_by_its_species_and_a_group_by_itself(corners, text, name, curie):
    assert link(corners, text, (name, "Species")) == [[curie]]


def test_a_genus_is_the_only_species_of_it_in_the_document(corners):
    mentions = ("Bluea minor", "Species"), ("Bluea", "Species")
    assert link(corners, "Bluea minor grew; so the Bluea cells.", *mentions)[0] == ["ncbitaxon:2"]
    assert link(corners, "So the Bluea cells, of Bluea minor.", ("Bluea cells", "Species"), mentions[0])[1] == [
        "ncbitaxon:2"
    ]


def test_names_of_one_letter_and_of_marks_alone_link_only_what_has_them(tmp_path):
    concepts = [Concept("x:1", "K", "Chemical"), Concept("x:2", "kappa", "Chemical", ("β",))]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    path = str(tmp_path / "a.vocab")
    text = "K, k, κ, β, q, + and \u0301"
    mentions = [(name, "Chemical") for name in ("K", "κ", "β", "q", "+", "\u0301")]
    assert link(path, text, *mentions) == [["x:1"], ["x:2"], ["x:2"], [], [], []]


@pytest.mark.parametrize("name", ["مرض السكري", "סוכרת", "e\u0301tat ble\u0301", "糖尿病", "\u202eabc\u202c"])
def test_names_in_any_script_are_linked(tmp_path, name):
    build_vocabulary([Concept("x:1", name, "Disease")], tmp_path / "a.vocab")
    assert link(str(tmp_path / "a.vocab"), f"({name})", (name, "Disease")) == [["x:1"]]


def test_of_two_concepts_with_one_name_the_first_is_taken_and_both_are_given_on_request(tmp_path):
    concepts = [Concept("x:2", "blue", "Disease"), Concept("x:1", "blue", "Disease")]
    build_vocabulary(concepts, tmp_path / "a.vocab")
    path = str(tmp_path / "a.vocab")
    assert link(path, "blue", ("blue", "Disease")) == [["x:1"]]
    assert link(path, "blue", ("blue", "Disease"), candidates=5) == [["x:1", "x:2"]]


@pytest.mark.parametrize("type", ["FamilyName", "DomainMotif", "Place"])
def test_a_family_of_genes_is_no_gene(path, type):
    assert link(path, "BLU1 of humans", ("BLU1", type)) == [[]]


def test_a_variant_is_tied_to_the_gene_beside_it(path):
    plain = document("In human cells BLU1 V600E was seen.", ("BLU1", "Gene"))
    variant = plain.entity([(20, 25)], "Variant", metadata={"tmvar": "p|SUB|V|600|E"})
    (linked,) = load_step("linking", vocabularies=[path])([plain.with_new_entities([variant])])
    assert [item.metadata["gene"] for item in linked.entities if item.type == "Variant"] == ["ncbigene:1"]
