"""Which line breaks end a sentence: those of lists, headings and forms, and not those of wrapped prose."""

from __future__ import annotations

import textwrap
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.formats import read_documents
from textome.text.lines import hard_breaks
from textome.text.sentences import split_sentences

# Texts with "|" before each line that begins anew.
EXAMPLES = [
    "Medicines\n|Aspirin\n|Ibuprofen\n|Warfarin",
    "Visit\n|Allergies: none known\n|Aspirin 81 mg daily\n|Ibuprofen 200 mg as needed for the knee",
    "Problems:\n|- gout\n|- chronic kidney\n  disease\n|-2 days of fever\n|-more of it",
    "• gout\n|• asthma and\nfever\n|• Other",
    "1. Gout is stable now.\n|2. Asthma\n|3) Fever\nwas seen",
    "a) gout\n|b) asthma",
    "HISTORY\n|The man has gout and was\nseen in Spring",
    "PLAN:\n|rest",
    "Name: A\n|Born: 1950\n|Note: the wound of the\nleft leg has healed",
    "Give aspirin 81 mg by mouth once a day for the heart\n|Give ibuprofen 200 mg\n|Give no warfarin",
    "Gout\r\n|Asthma\r\n|Fever",
    "The wound was cleaned with\nRinger solution and then with\nAlcohol, and after that\nIodine",
    "We saw many patients with Parkinson disease or with\nAlzheimer disease in this hospital, and all of them\nAgreed",
    "The coefficient was high in all of our measurements (R =\n-0.95), and the others were as well, as one can see in\n"
    "Figure 2",
    "The best of these groups in the second study was group\n2. The others were worse than it, all of them, and more",
    "one\ntwo three",
    "The score was 9:\n30 more",
]


@pytest.mark.parametrize("marked", EXAMPLES)
def test_breaks(marked):
    text = marked.replace("|", "")
    expected = [index - number for number, index in enumerate(i for i, c in enumerate(marked) if c == "|")]
    found = [offset - (len(text[:offset]) - len(text[:offset].rstrip(" "))) for offset in hard_breaks(text)]
    assert found == expected


def test_a_blank_line_is_no_business_of_lines():
    assert hard_breaks("Gout\n\nAsthma") == []
    assert hard_breaks("Gout, asthma") == []


@pytest.mark.parametrize("width", [60, 72, 80, 100])
def test_wrapped_abstracts_are_cut_as_before(shared_data, width):
    documents = list(read_documents(shared_data / "re" / "BC5CDR-relations" / "CDR_TestSet.PubTator.txt.gz"))[:150]
    for text in (document.passages[-1].text for document in documents):
        wrapped = textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
        if len(wrapped) == len(text):
            assert {end for _, end in split_sentences(wrapped)} <= {end for _, end in split_sentences(text)}


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(["\n", "\r\n", "\n\n", " ", "- ", "1. ", "A", "b", ":", ".", "\u2028", "İ"])).map("".join)
)
def test_a_break_is_the_first_character_of_a_line(text):
    breaks = hard_breaks(text)
    assert breaks == sorted(set(breaks))
    for offset in breaks:
        assert not text[offset].isspace()
        assert text[:offset].rstrip(" \t").endswith(("\n", "\r", "\u2028"))


@pytest.mark.parametrize("unit", ["\n", "a\n", "- a\n", "1. A\n", "A: \n", "A" * 30 + "\n", " \n", "- \n", "\r"])
def test_a_megabyte_is_not_slow(unit):
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    hard_breaks(text)
    assert time.process_time() - started < 20
