"""Test sets are found in whatever spelling, read in whatever format, and counted for each of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textome.corpus.held_out import read_test_sets
from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document
from textome.errors import InputError

TEST = "In 12 of 40 patients (30%) the concentration of IL-2 in serum fell below 5 ng/ml after one infusion of Drug-7."
# As SumPubMed writes it: lower-cased, brackets and citations gone, digits as <dig>.
SAME = (
    "in <dig> of <dig> patients  the concentration of il- <dig> in serum fell below <dig> ng/ml after one infusion "
    "of drug- <dig> <cit>."
)
TOKENISED = " ".join(TEST.replace("(", "( ").replace("%)", " % )").replace("-", " - ").replace(".", " .").split())
OTHER = "Nothing in this sentence was ever part of any test set that somebody made for a model of entities, we hope."


@pytest.mark.parametrize("text", [TEST, SAME, TOKENISED, TEST.upper(), f"{OTHER} {TEST[20:]} {OTHER}"])
def test_a_sentence_is_found_in_every_spelling(text: str) -> None:
    sets = TestSets()
    sets.add("first", [TEST])
    assert sets.sets_with([OTHER]) == ()
    assert sets.sets_with([OTHER, text]) == ("first",)
    words = text.split()
    assert sets.sets_with([" ".join(words[:9]), " ".join(words[9:])]) == ("first",), "also where it is split otherwise"


def test_every_set_that_shares_something_is_named() -> None:
    sets = TestSets()
    sets.add("first", [TEST])
    sets.add("second", [OTHER])
    sets.add("third", [TEST], ["123"])
    assert sets.sets_with([TEST]) == ("first", "third")
    assert sets.sets_with([TEST, OTHER]) == ("first", "second", "third")
    assert sets.sets_with(["No words in common."], "123") == ("third",)
    assert sets.sets_with(["No words in common."], "124") == ()


def test_short_sentences_count_only_as_a_whole() -> None:
    short = "The rare syndrome was seen in three young sisters."
    sets = TestSets()
    sets.add("set", [short, "Gout was seen."])
    assert sets.sets_with([short]) == ("set",)
    assert sets.sets_with([f"We know that {short}"]) == ()
    assert sets.sets_with(["Gout was seen."]) == (), "too short to be told from chance"


def test_long_formulas_are_no_leak_either() -> None:
    formula = (
        "The funders had no role in study design, data collection and analysis, decision to publish, or preparation of "
        "the manuscript."
    )
    sets = TestSets()
    sets.add("set", [formula, f"{TEST} {formula}"])
    assert sets.sets_with([OTHER, formula]) == ()
    assert sets.sets_with([OTHER, TEST, formula]) == ("set",)


def test_pmids() -> None:
    assert pmid_of(Document("12345678", ())) == "12345678"
    assert pmid_of(Document("PMC3", (), metadata={"pmid": "77"})) == "77"
    assert pmid_of(Document("3", ())) is None, "more likely a number of a line"


FILES = {
    "a.tsv": "\n".join(f"{word}\tO" for word in TOKENISED.split()) + "\n\n",
    "a.pubtator": f"7654321|t|{TEST}\n7654321|a|{OTHER}\n\n",
    "a.txt": f"{TEST}\n",
    "lines.txt": f"label\t{TEST}\nlabel\t{OTHER}\n",
    "a.jsonl": json.dumps({"id": "7654321", "text": TEST}) + "\n",
    "other.jsonl": json.dumps({"sentence": TEST, "label": 3}) + "\n" + json.dumps({"sentence": "x"}) + "\n",
    "qa.json": json.dumps({"7654321": {"QUESTION": "Why?", "CONTEXTS": [TEST], "n": 3}}, indent=1),
    "bioasq.json": json.dumps(
        {"questions": [{"documents": ["http://www.ncbi.nlm.nih.gov/pubmed/7654321"], "snippets": [{"text": TEST}]}]}
    ),
    "nested.json": json.dumps([{"documents": ["http://x"], "pmid": 7654321, "deep": [[TEST]]}]),
    "bioc.json": json.dumps({"documents": [{"id": "7654321", "passages": [{"offset": 0, "text": TEST}]}]}),
}
WITH_PMID = {"a.pubtator", "a.jsonl", "qa.json", "bioasq.json", "nested.json", "bioc.json"}


@pytest.mark.parametrize("name", FILES)
def test_test_sets_of_every_kind_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    sets = read_test_sets([str(tmp_path / name)])
    assert sets.names == [f"{tmp_path.name}/{name}"]
    assert len(sets.sets_with([SAME])) == 1
    assert sets.sets_with(["Something else."]) == ()
    assert bool(sets.sets_with(["Something else."], "7654321")) is (name in WITH_PMID)


def test_brat_and_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "brat").mkdir()
    (tmp_path / "brat" / "7654321.txt").write_text(TEST)
    (tmp_path / "brat" / "7654321.ann").write_text("")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.txt").write_text(TEST)
    (tmp_path / "set" / "b.json").write_text(FILES["qa.json"])
    for folder in ("brat", "set"):
        sets = read_test_sets([str(tmp_path / folder)])
        assert sets.sets_with([SAME], "7654321") == (f"{tmp_path.name}/{folder}",)


def test_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    places = []
    for folder in ("a", "b"):
        (tmp_path / folder / "ner").mkdir(parents=True)
        places.append(str(tmp_path / folder / "ner" / "test.txt"))
        Path(places[-1]).write_text(TEST)
    assert read_test_sets(places).sets_with([SAME]) == ("ner/test.txt", places[1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1|t|Gout\n1|a|x\n1\t0\t4\tGoat\tDisease\n\n", "a test set must be read whole"),
        ('{"a": [1, 2}', "neither JSON nor JSON lines"),
        ("[" * 100_000, "nested too deeply"),
        ("", "the file is empty"),
    ],
)
def test_a_test_set_that_cannot_be_read_whole_is_an_error(content: str, message: str, tmp_path: Path) -> None:
    """A filter with holes would say that a corpus is clean."""
    (tmp_path / "a").write_text(content)
    with pytest.raises(InputError, match=message):
        read_test_sets([str(tmp_path / "a")])
    with pytest.raises(InputError, match="no such file"):
        read_test_sets([str(tmp_path / "b")])


def test_what_every_article_says_proves_nothing() -> None:
    sets = TestSets()
    sets.add("full texts", ["The authors declare that they have no competing interests.", TEST])
    assert sets.sets_with(["The authors declare that they have no competing interests."]) == ()
    assert sets.sets_with([TEST]) == ("full texts",)
