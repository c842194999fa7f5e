"""Which identifiers are found, and what must stay: numbers, genes, eponyms."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.text.deidentification.finding import mask
from textome.text.deidentification.rules import KINDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to jane.doe+x@clinic.example.org today.", "Write to [EMAIL] today."),
        ("See https://portal.example.org/p?id=3.", "See [URL]."),
        ("SSN 123-45-6789 on file", "SSN [ID] on file"),
        ("MRN: 00482913 was seen", "MRN: [ID] was seen"),
        ("Medical record number 48-29-13 here", "Medical record number [ID] here"),
        ("DOB: 03/14/1962. Male", "DOB: [DATE]. Male"),
        ("date of birth 14 March 1962 and", "date of birth [DATE] and"),
        ("was born on 1962-03-14 in", "was born on [DATE] in"),
        ("Call (555) 010-2368 or 555-010-2368.", "Call [PHONE] or [PHONE]."),
        ("Phone: +44 20 7946 0018, please", "Phone: [PHONE], please"),
        ("lives at 12 North Elm Street, Apt 4, now", "lives at [ADDRESS], now"),
        ("of 221 Baker St., Springfield, IL 62701 and", "of [ADDRESS] and"),
        ("Dr. John Q. Smith saw Mrs. O'Brien-Jones", "Dr. [NAME] saw Mrs. [NAME]"),
        ("Patient name: Doe, Jane is well", "Patient name: [NAME] is well"),
        ("Patient: Jane Doe is well", "Patient: [NAME] is well"),
        ("Name: Doe", "Name: [NAME]"),
        ("seen by dr. doe and ms. roe-smith today", "seen by dr. [NAME] and ms. [NAME] today"),
        ("Dictated by: Jane Doe, MD", "Dictated by: [NAME], MD"),
        ("signed, Jane A. Doe, M.D.", "signed, [NAME], M.D."),
    ],
)
def test_identifiers_become_placeholders(text: str, expected: str) -> None:
    findings, counts = mask(text)
    assert findings == expected
    assert sum(counts.values()) == expected.count("[")


@pytest.mark.parametrize(
    "text",
    [
        "Blood pressure was 120/80 mmHg and glucose 5.6-7.8 mmol/l in 2019.",
        "The patient was given 500 mg of metformin twice daily.",
        "Parkinson disease and the Guillain-Barre syndrome were ruled out.",
        "Expression of TP53, BRCA1 and IL-2 rose 1.5-fold (p = 0.003).",
        "In case 3 the lesion measured 12 x 14 mm.",
        "Doctor: How are you? Patient: No, Doctor. Nurse: Okay I see. Patient: Yes I do.",
        "a delay of 20 ms. the second dr. was late",
        "Physician visits fell by 12%.",
        "We drive 20 patients a day by the main road.",
    ],
)
def test_what_identifies_nobody_stays(text: str) -> None:
    assert mask(text)[0] == text


@settings(deadline=None)
@given(st.text(st.sampled_from("aB1 .-:@/(),#Dr MRN tel born 0123456789"), max_size=200))
def test_any_text_is_quick_and_twice_finds_nothing_new_of_the_sure_kinds(text: str) -> None:
    once, counts = mask(text)
    assert set(counts) <= set(KINDS)
    again = mask(once)[1]
    assert not {"EMAIL", "IP"} & set(again)


def test_time_is_linear() -> None:
    """Ten times the text takes about ten times as long, and not a hundred times."""
    pieces = ("Dr. A. ", "1 Main ", "a@", "555 ", "MRN 1", "(555) 0", "Aa Bb ")

    def seconds(number: int) -> float:
        started = time.process_time()
        for piece in pieces:
            mask(piece * number)
        return time.process_time() - started

    seconds(10)  # rules and lists are loaded
    assert seconds(20_000) < 40 * min(seconds(2_000) for _ in range(2))
