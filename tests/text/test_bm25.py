"""BM25 beside the formula written out, and what a user may count on."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.text.bm25 import bm25


def test_it_is_the_formula() -> None:
    texts = ["Gout hurts. Gout!", "asthma is no gout", "nothing here at all"]
    scores = bm25("Does gout hurt?", texts)
    mean = (3 + 4 + 4) / 3
    weight = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    assert scores[0] == pytest.approx(weight * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / mean)))
    assert scores[1] == pytest.approx(weight * 1 * 2.2 / (1 + 1.2 * (0.25 + 0.75 * 4 / mean)))
    assert scores[2] == 0


@given(st.text(max_size=60), st.lists(st.text(max_size=60), max_size=8))
def test_any_text_has_a_score_that_is_not_negative(question: str, texts: list[str]) -> None:
    scores = bm25(question, texts)
    assert scores.shape == (len(texts),)
    assert (scores >= 0).all()


@given(st.lists(st.sampled_from(["gout", "asthma", "pain", "fever"]), min_size=1, max_size=6))
def test_a_rare_word_of_the_question_decides(words: list[str]) -> None:
    texts = [" ".join(words), " ".join(words) + " lupus", "pain pain"]
    assert int(bm25("lupus", texts).argmax()) == 1
