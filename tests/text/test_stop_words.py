"""Stop words go, negations stay."""

from __future__ import annotations

import pytest

from textome.text.stop_words import STOP_WORDS, remove_stop_words


def test_function_words_go_and_the_rest_keeps_order_and_case():
    words = ["The", "effect", "of", "Metformin", "on", "THE", "liver", "was", "not", "seen", "in", "any"]
    assert remove_stop_words(words) == ["effect", "Metformin", "liver", "not", "seen"]


@pytest.mark.parametrize(
    "word", ["no", "not", "nor", "without", "never", "none", "neither", "cannot", "absent", "against", "denies"]
)
def test_words_that_turn_a_finding_round_stay(word):
    assert word not in STOP_WORDS
    assert remove_stop_words([word, word.upper()]) == [word, word.upper()]


def test_own_stop_words_replace_the_list():
    assert remove_stop_words(["the", "patient", "Patient"], {"patient"}) == ["the"]
    assert remove_stop_words(["the", "of"], frozenset()) == ["the", "of"]


def test_any_iterable_will_do():
    assert remove_stop_words(word for word in ("with", "fever")) == ["fever"]
    assert remove_stop_words([]) == []


def test_all_are_written_as_they_are_compared():
    assert all(word.isalpha() and word == word.casefold() for word in STOP_WORDS)
    assert len(STOP_WORDS) > 100
