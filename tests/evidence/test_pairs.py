"""From statements to ranked pairs: support, contradiction, supposition, years, probabilities, the hierarchy, bridges."""

from __future__ import annotations

from pathlib import Path

import pytest

from stated_documents import NAMES, results_of, stated
from textome.bulk.query import Results
from textome.documents import Identifier, Relation
from textome.errors import InputError
from textome.evidence.concepts import Concepts
from textome.evidence.known import read_known
from textome.evidence.pairs import Pair, gather, in_common, read_pairs
from textome.evidence.statements import Reading, read_co_mentions, read_statements
from textome.formats import Quarantine


def pairs_of(folder: Path, reading: Reading | None = None, **options: object) -> dict[tuple[str, str, str], Pair]:
    pairs = gather(read_statements(Results(folder), reading), **options)  # type: ignore[arg-type]
    return {(pair.head.name, pair.verb, pair.tail.name): pair for pair in pairs}


def test_statements_keep_sentence_offsets_section_and_year(folder: Path) -> None:
    found = {item.document_id: item for item in read_statements(Results(folder))}
    one = found["12"]
    assert one.sentences[0].text == "In 𝔘 trials lisinopril lowered hypertension."
    assert one.sentences[0].start == 6
    assert (one.section, one.year, one.confidence, one.assertion) == ("RESULTS", 1999, 0.8, "asserted")
    start, end = one.head_span
    assert one.sentences[0].text[start - 6 : end - 6] == "lisinopril"
    assert {name: item.assertion for name, item in found.items() if name in ("13", "14", "15")} == {
        "13": "negated", "14": "speculated", "15": "asserted"
    }  # fmt: skip
    assert found["17"].confidence == 1.0


def test_support_contradiction_and_supposition_are_counted_by_document(folder: Path) -> None:
    reading = Reading()
    pairs = pairs_of(folder, reading)
    assert reading.retracted == {"19": 1}
    best = pairs["Lisinopril", "treats", "Hypertension"]
    assert best.document_ids == ["11", "12"]
    assert best.first_year == 1999
    assert best.probability == pytest.approx(1 - (1 - 0.81) * (1 - 0.72))
    other = pairs["Metformin", "treats", "Hypertension"]
    assert [list(item) for item in (other.supporting, other.contradicting, other.speculated)] == [
        ["15"],
        ["13"],
        ["14"],
    ]
    assert other.probability == pytest.approx(0.54 * (1 - 0.63))
    assert ("Naloxone", "treats", "Hypertension") not in pairs  # of a retracted article alone
    assert pairs["Naloxone", "causes", "Hypertension"].probability == pytest.approx(0.855)
    assert pairs["Lisinopril", "inhibits", "ACE"].tail.type == "Gene"
    assert not pairs["zorbium", "causes", "Nausea"].head.has_identifier
    ranking = [pair for pair in gather(read_statements(Results(folder))) if pair.supporting]
    assert [pair.score for pair in ranking] == sorted((pair.score for pair in ranking), reverse=True)
    assert (best.score, other.score) == (pytest.approx(0.9 + 0.8), pytest.approx(0.6 - 0.7))


def test_an_opposite_statement_contradicts(tmp_path: Path) -> None:
    folder = results_of(
        tmp_path / "out",
        stated("1", "We saw metformin treat nausea.", ("metformin", "Negative_Correlation", "nausea", 0.5)),
        stated("2", "We saw metformin cause nausea.", ("metformin", "CID", "nausea", 0.8)),
    )
    pairs = pairs_of(folder)
    assert list(pairs["Metformin", "treats", "Nausea"].contradicting) == ["2"]
    assert pairs["Metformin", "treats", "Nausea"].probability == pytest.approx(0.45 * (1 - 0.72))
    assert pairs["Metformin", "causes", "Nausea"].probability == pytest.approx(0.72 * (1 - 0.45))


HYPERTENSION, METFORMIN, NAUSEA = "mesh:D006973", "mesh:D008687", "mesh:D009325"


def test_co_mentions_count_beyond_chance_and_without_retracted_articles(folder: Path) -> None:
    """Nine documents are left, of which six name hypertension, four metformin and three lisinopril."""
    counts = read_co_mentions(Results(folder))
    disease, drugs = ("Disease", HYPERTENSION), {name: ("Chemical", f"mesh:{name}") for name in ("D009270", "D017706")}
    assert counts[frozenset((("Chemical", "zorbium"), ("Disease", NAUSEA)))] == pytest.approx(1 - 1 / 9)
    assert counts[frozenset((disease, ("Chemical", METFORMIN)))] == pytest.approx(3 - 6 * 4 / 9)
    assert counts[frozenset((disease, drugs["D009270"]))] == pytest.approx(1 - 6 / 9)  # article 19 does not count
    assert frozenset((disease, drugs["D017706"])) not in counts  # 2, and chance explains 6 * 3 / 9


def test_treatments_are_ranked_by_documents_that_mention_both_too(tmp_path: Path) -> None:
    treats, causes = "Negative_Correlation", "CID"
    silent = [stated(str(number), "We gave lisinopril for hypertension.") for number in range(10, 13)]
    folder = results_of(
        tmp_path / "out",
        stated("1", "We gave lisinopril for hypertension.", ("lisinopril", treats, "hypertension", 0.5)),
        stated("2", "We gave metformin for diabetes.", ("metformin", treats, "diabetes", 0.9)),
        stated("3", "In them metformin caused nausea.", ("metformin", causes, "nausea", 0.9)),
        stated("4", "Of old, naloxone caused nausea.", ("naloxone", causes, "nausea", 0.5)),
        stated("5", "Then naloxone treated nausea.", ("naloxone", treats, "nausea", 0.4)),
        *silent,
        stated("13", "Nothing is named here. But ACE is."),
    )
    pairs = {(pair.head.name, pair.verb, pair.tail.name): pair for pair in read_pairs(Results(folder))}
    scores = {name: round(pair.score, 3) for name, pair in pairs.items()}
    assert scores == {
        ("Lisinopril", "treats", "Hypertension"): round(0.5 + 4 - 4 * 4 / 9, 3),
        ("Metformin", "treats", "Diabetes Mellitus, Type 2"): round(0.9 + 1 - 2 * 1 / 9, 3),
        ("Metformin", "causes", "Nausea"): 0.9,
        ("Naloxone", "causes", "Nausea"): round(0.5 - 0.4, 3),
        ("Naloxone", "treats", "Nausea"): round(0.4 - 0.5, 3),  # more is said against it: co-mentions do not count
    }
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert pairs["Lisinopril", "treats", "Hypertension"].probability < 0.5


def test_a_broader_disease_has_the_co_mentions_of_its_narrower_ones(tmp_path: Path, concepts: Concepts) -> None:
    texts = [stated(str(number), "We saw lisinopril treat hypertension.", ("lisinopril", "Negative_Correlation",
             "hypertension", 0.5)) for number in (1, 2)]  # fmt: skip
    pairs = read_pairs(Results(results_of(tmp_path / "out", *texts, stated("3", "Later ACE."))), None, concepts.broader)
    found = {pair.tail.name: pair.co_mentions for pair in pairs}
    assert found["Hypertension"] == found["Vascular Diseases"] == pytest.approx(2 - 4 / 3)


def test_a_document_counts_once_whatever_file_it_came_from(tmp_path: Path) -> None:
    """Two files have one article, with another identifier for the drug in the second."""
    text = "We saw metformin treat nausea."
    relation = ("metformin", "Negative_Correlation", "nausea", 0.5)
    other = NAMES | {"metformin": ("Chemical", "chebi:6801", "metformin")}
    folder = results_of(
        tmp_path / "out",
        stated("1", text, relation),
        stated("1", text, relation),
        stated("1", text, relation, names=other),
    )
    reading = Reading()
    pairs = pairs_of(folder, reading)
    assert {key: len(pair.supporting) for key, pair in pairs.items()} == {
        ("Metformin", "treats", "Nausea"): 1, ("metformin", "treats", "Nausea"): 1
    }  # fmt: skip
    assert pairs["Metformin", "treats", "Nausea"].probability == pytest.approx(0.45)
    assert reading.several_vocabularies() == {"Chemical": {"metformin": ["mesh", "chebi"]}}
    assert reading.disagreeing == {"1"}


def test_one_mention_of_two_types_is_no_disagreement_of_files(tmp_path: Path) -> None:
    document = stated("1", "We saw metformin treat nausea.", ("metformin", "Negative_Correlation", "nausea", 0.5))
    (start, end), *_ = document.entities[0].spans
    gene = document.entity([(start, end)], "Gene", id="G", identifiers=(Identifier("ncbigene:1"),))
    both = (*document.relations, Relation("Negative_Correlation", (("head", "G"), ("tail", "nausea"))))
    folder = results_of(tmp_path / "out", document.with_annotations([*document.entities, gene], both))
    reading = Reading()
    assert len(list(read_statements(Results(folder), reading))) == 2
    assert not reading.disagreeing


def test_relations_between_concepts_have_their_closest_mentions_as_evidence(tmp_path: Path) -> None:
    path = tmp_path / "one.pubtator"
    text = "Invented drug\nWe saw zorbine. Other zorbine lowered grumpitis by half. Then grumpitis was gone."
    path.write_text(
        f"7|t|{text.splitlines()[0]}\n7|a|{text.splitlines()[1]}\n"
        + "".join(
            f"7\t{(start := text.index(name, begin))}\t{start + len(name)}\t{name}\t{type}\t{concept}\n"
            for name, begin, type, concept in (
                ("zorbine", 0, "ChemicalEntity", "D000001"),
                ("zorbine", 30, "ChemicalEntity", "MESH:D000001"),
                ("grumpitis", 0, "DiseaseOrPhenotypicFeature", "D000002"),
                ("grumpitis", 65, "DiseaseOrPhenotypicFeature", "D000002"),
            )
        )
        + "7\tNegative_Correlation\tD000001\tD000002\tNovel\n7\tAssociation\tD000001\tD999999\tNo\n\n"
    )
    from textome.formats import read_documents

    (document,) = read_documents(path, "pubtator", Quarantine())
    (statement,) = read_statements(Results(results_of(tmp_path / "out", document)))
    assert (statement.head.key, statement.verb, statement.tail.key) == ("mesh:D000001", "treats", "mesh:D000002")
    assert [item.text for item in statement.sentences] == ["Other zorbine lowered grumpitis by half."]
    assert (statement.head_span.start, statement.novel) == (text.index("zorbine", 30), 1.0)


def test_what_is_said_of_a_concept_counts_for_broader_ones(folder: Path, concepts: Concepts) -> None:
    pairs = pairs_of(folder, broader=concepts.broader)
    vascular = pairs["Lisinopril", "treats", "Vascular Diseases"]
    assert vascular.document_ids == ["11", "12"]
    assert vascular.probability == pairs["Lisinopril", "treats", "Hypertension"].probability


def test_relations_of_reversed_ends_and_corpus_types_are_turned(tmp_path: Path) -> None:
    names = {
        "metformin": ("ChemicalEntity", "mesh:D008687", "Metformin"),
        "nausea": ("DiseaseOrPhenotypicFeature", "mesh:D009325", "Nausea"),
    }
    item = stated("1", "Of nausea by metformin.", ("nausea", "Positive_Correlation", "metformin", 0.5), names=names)
    assert list(pairs_of(results_of(tmp_path / "out", item))) == [("Metformin", "causes", "Nausea")]


def test_bridges_join_two_lists(folder: Path) -> None:
    pairs = gather(read_statements(Results(folder)))
    (bridge,) = in_common(pairs, {"mesh:D017706"}, {"mesh:D008687", "mesh:D009270"})
    assert bridge.concept.name == "Hypertension"
    assert {pair.head.name for pair in bridge.second} == {"Metformin", "Naloxone"}
    one, *others = (pair.probability for pair in (*bridge.first, *bridge.second))
    assert bridge.score == pytest.approx(one * (1 - (1 - others[0]) * (1 - others[1])))


def test_known_pairs_are_found_by_name_and_below_a_known_disease(
    folder: Path, concepts: Concepts, tmp_path: Path
) -> None:
    table = tmp_path / "known.tsv"
    table.write_text(
        "drug\tdisease\tcategory\nlisinopril\tvascular disease\tDM\nmetformin\ttype 2 diabetes mellitus\tSYM\n"
        "grumpol\tgout\tDM\nbroken\n"
    )
    quarantine = Quarantine()
    known = read_known(str(table), concepts, quarantine)
    assert quarantine.count == 1
    assert known.unnamed == ("grumpol",)
    pairs = gather(read_statements(Results(folder)))
    known.mark(pairs, concepts)
    marks = {(pair.head.name, pair.tail.name): pair.known for pair in pairs if pair.verb == "treats"}
    assert marks == {
        ("Lisinopril", "Hypertension"): True,
        ("Metformin", "Diabetes Mellitus, Type 2"): True,
        ("Metformin", "Hypertension"): False,
    }
    assert {pair.known for pair in pairs if pair.verb == "inhibits"} == {None}
    only = read_known(str(table), concepts, Quarantine(), categories=["DM"])
    assert not any(only.holds(pair, concepts) for pair in pairs if pair.tail.name.startswith("Diabetes"))
    table.write_text("drug\tvirus\na\tb\n")
    with pytest.raises(InputError, match="names a disease"):
        read_known(str(table), concepts, Quarantine())


def test_names_curies_and_unknown_words_become_keys(concepts: Concepts) -> None:
    assert concepts.keys("mesh:D006973") == {"mesh:D006973"}
    assert "mesh:D006973" in concepts.keys("high  blood pressure")
    assert concepts.keys("zorbium") == {"zorbium"}
