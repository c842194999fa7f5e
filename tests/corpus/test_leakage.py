"""Test sentences are found in whatever spelling a corpus has them, and nothing else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from textome.corpus.leakage import TestSets, pmid_of
from textome.documents import Document, Passage

LONG = (
    "Treatment of 24 rats with low doses of quinine for 6 weeks led to a marked fall of arterial pressure and of heart "
    "rate (P < 0.01)."
)
SHORT = "Quinine did not change the weight of treated animals."
OTHER = "Our trial looked at the effect of a quite different drug on the sleep of elderly people living alone."


@pytest.fixture
def sets() -> TestSets:
    made = TestSets()
    made.add("exam", [LONG, SHORT, "No change."], pmids=["123"])
    return made


@pytest.mark.parametrize(
    "text",
    [
        LONG,
        LONG.upper(),
        LONG.replace(" ", "  ").replace("(", "( "),
        "treatment of <dig> rats with low doses of quinine for <dig> weeks led to a marked fall <cit> .",
        "As was shown before, treatment of 30 rats with low doses of quinine for 8 weeks led to nothing",
        f"{OTHER} {LONG} {OTHER}",
    ],
)
def test_a_long_sentence_is_found_in_other_spellings(sets, text):
    assert sets.found_in([OTHER, text, OTHER]) == ("exam",)


def test_a_run_is_found_over_the_bounds_of_sentences(sets):
    words = LONG.split()
    assert sets.found_in([" ".join(words[:9]), " ".join(words[9:])]) == ("exam",)


def test_a_short_sentence_counts_only_as_a_whole(sets):
    assert sets.found_in([SHORT.lower()]) == ("exam",)
    assert sets.found_in([f"{SHORT[:-1]} in our hands"]) == ()


def test_other_texts_pass(sets):
    assert sets.found_in([OTHER, "No change.", "Treatment of rats with low doses of quinine was not our aim."]) == ()


def test_a_pmid_is_enough(sets):
    assert sets.found_in([OTHER], pmid="123") == ("exam",)
    assert sets.found_in([OTHER], pmid="124") == ()


def test_a_sentence_of_several_sets_is_told_of_each(sets):
    sets.add("second", [LONG, OTHER])
    assert sets.found_in([LONG]) == ("exam", "second")
    assert sets.found_in([OTHER]) == ("second",)
    assert sets.names == ["exam", "second"]


def test_a_set_made_in_one_process_serves_in_another(sets):
    """Python hashes strings differently in each process; runs of words must not depend on it."""
    program = (
        "import sys; from textome.corpus.leakage import _runs, words_of; print(list(_runs(words_of(sys.argv[1]), 12)))"
    )
    done = [
        subprocess.run(
            [sys.executable, "-c", program, LONG], capture_output=True, text=True, check=True, env=env
        ).stdout
        for env in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})
    ]
    assert done[0] == done[1] != "[]\n"


def test_the_pmid_is_the_metadata_or_a_number_as_id():
    passage = (Passage("text", 0),)
    assert pmid_of(Document("17041", passage)) == "17041"
    assert pmid_of(Document("PMC17041", passage)) is None
    assert pmid_of(Document("17", passage)) is None  # a running number
    assert pmid_of(Document("x", passage, metadata={"pmid": "5"})) == "5"
