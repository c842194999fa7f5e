"""What sentences say of two mentions: asserted, denied, supposed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.documents import Span
from textome.evidence.assertion import assertion_of


def spans(sentence: str, first: str, second: str) -> tuple[Span, Span]:
    return tuple(Span(start := sentence.index(word), start + len(word)) for word in (first, second))  # type: ignore[return-value]


SENTENCES = [
    ("Aspirin causes ulcers.", "asserted"),
    ("Aspirin does not cause ulcers.", "negated"),
    ("Aspirin didn't cause ulcers.", "negated"),
    ("Aspirin failed to prevent ulcers.", "negated"),
    ("No association between Aspirin and ulcers was found.", "negated"),
    ("There was no significant effect of Aspirin on ulcers.", "negated"),
    ("We saw a lack of efficacy of Aspirin in ulcers.", "negated"),
    ("Aspirin and ulcers were not significantly associated.", "negated"),
    ("Neither Aspirin nor placebo changed ulcers.", "negated"),
    ("Aspirin may not cause ulcers.", "negated"),
    ("Aspirin not only causes ulcers but heals nothing.", "asserted"),
    ("The drug did not work, but Aspirin causes ulcers.", "asserted"),
    ("Aspirin causes ulcers, but did not cause fever.", "asserted"),
    ("Aspirin may cause ulcers.", "speculated"),
    ("We asked whether Aspirin causes ulcers.", "speculated"),
    ("The study aimed to measure how Aspirin causes ulcers.", "speculated"),
    ("It is unclear how often Aspirin causes ulcers.", "speculated"),
    ("Aspirin causes ulcers, although it could help elsewhere.", "asserted"),
    ("Aspirin was effective against ulcers in patients without fever.", "asserted"),
]


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES)
def test_what_a_sentence_says_of_two_mentions(sentence: str, expected: str) -> None:
    assert assertion_of(sentence, *spans(sentence, "Aspirin", "ulcers")) == expected


@pytest.mark.parametrize(("sentence", "expected"), SENTENCES)
def test_the_order_of_the_mentions_does_not_matter(sentence: str, expected: str) -> None:
    first, second = spans(sentence, "Aspirin", "ulcers")
    assert assertion_of(sentence, second, first) == expected


@given(st.text(max_size=80), st.integers(0, 80), st.integers(0, 80))
def test_any_text_and_spans_have_an_answer(text: str, one: int, two: int) -> None:
    assert assertion_of(text, Span(one, one + 3), Span(two, two + 5)) in ("asserted", "negated", "speculated")
