"""Where sections begin and end, and what kind they are."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.text.sections import find_sections, kind_of


def sections(text: str) -> list[tuple[str, str]]:
    return [(item.kind, text[slice(*item.span)].strip()) for item in find_sections(text)]


def test_a_note_with_lines():
    text = (
        "Chief Complaint:\nrash\n\nFamily History\nMother: gout\n\nREVIEW OF SYSTEMS\n"
        "• Cardiovascular: no pain\n• Skin: dry\n\n"
        "FAVOURITE COLOURS\nblue\nPlan: rest"
    )
    assert sections(text) == [
        ("chief_complaint", "Chief Complaint:\nrash"),
        ("family_history", "Family History\nMother: gout"),
        ("review_of_systems", "REVIEW OF SYSTEMS\n• Cardiovascular: no pain\n• Skin: dry"),
        ("body_system", "Cardiovascular: no pain\n•"),
        ("body_system", "Skin: dry"),
        ("", "FAVOURITE COLOURS\nblue"),
        ("plan", "Plan: rest"),
    ]


def test_a_note_that_lost_its_line_breaks():
    assert sections("HISTORY: a rash. FAMILY HISTORY: gout. Allergies: none.  Plan: rest") == [
        ("history_of_present_illness", "HISTORY: a rash."),
        ("family_history", "FAMILY HISTORY: gout."),
        ("allergies", "Allergies: none."),
        ("plan", "Plan: rest"),
    ]


def test_headings_without_text_hold_nothing():
    assert sections("FAMILY HISTORY:\nPLAN:\nrest") == [("family_history", "FAMILY HISTORY:"), ("plan", "PLAN:\nrest")]
    assert sections("Plan: rest\nFamily history:") == [("plan", "Plan: rest"), ("family_history", "Family history:")]
    assert sections("PLAN:") == [("plan", "PLAN:")]


def test_an_abstract():
    assert [kind for kind, _ in sections("BACKGROUND: It is. METHODS: We did. RESULTS: It was. CONCLUSIONS: So.")] == [
        "background",
        "methods",
        "results",
        "conclusions",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The plan is good.",
        "He has a family history of gout.",
        "Ratio 2:1 of DNA: RNA was",
        "It was seen at 10:30",
        "Plan B",
    ],
)
def test_prose_has_none(text):
    assert [item for item in sections(text) if item[0]] == []


def test_kinds_by_name():
    assert kind_of("Materials and  Methods") == "methods"
    assert kind_of("title") == ""


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from(["PLAN", "Plan", ":", "\n", "\r\n", " ", ". ", "gout", "FAMILY HISTORY", "Skin", "İ"])
    ).map("".join)
)
def test_sections_lie_in_the_text_in_order(text):
    found = find_sections(text)
    starts = [item.span.start for item in found]
    assert starts == sorted(set(starts))
    for item in found:
        assert item.span.start == item.heading.start < item.heading.end <= item.span.end <= len(text)


@pytest.mark.parametrize("unit", ["A ", "PLAN: ", "A:\n", "AB CD EF GH IJ KL MN ", "Plan\n", " \n", "a" * 100])
def test_a_megabyte_is_not_slow(unit):
    text = unit * (1_000_000 // len(unit))
    started = time.process_time()
    find_sections(text)
    assert time.process_time() - started < 20
