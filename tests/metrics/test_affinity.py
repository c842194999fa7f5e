"""The concordance index and r_m^2 against plain loops, Harrell's C and scikit-learn."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from textome.metrics.affinity import concordance_index, r_m_squared
from textome.metrics.outputs import score_outputs
from textome.metrics.survival import concordance

ROWS = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=1, max_size=40)


@given(ROWS)
def test_concordance_is_the_share_of_pairs_in_order(rows: list[tuple[int, int]]) -> None:
    right = pairs = 0.0
    for (gold, answer), (other, second) in combinations(rows, 2):
        if gold != other:
            pairs += 1
            right += 0.5 if answer == second else (answer < second) == (gold < other)
    gold, answers = zip(*rows, strict=True)
    assert concordance_index(gold, answers) == pytest.approx(right / pairs if pairs else np.nan, nan_ok=True)


def test_concordance_of_many_agrees_with_harrell() -> None:
    generator = np.random.default_rng(3)
    gold, noise = np.round(generator.normal(size=1501), 2), generator.normal(size=1501)
    answers = np.round(gold + noise, 1)
    assert concordance_index(gold, answers) == pytest.approx(concordance(gold, np.ones(1501), -answers), abs=1e-12)
    assert concordance_index(gold, gold) == 1
    assert concordance_index(gold, -gold) == 0


def test_r_m_squared_takes_both_lines() -> None:
    generator = np.random.default_rng(4)
    gold = generator.normal(5, 1, 50)
    answers = gold + generator.normal(0.5, 0.4, 50)
    both = answers[:, None]
    squared = LinearRegression().fit(both, gold).score(both, gold)
    origin = LinearRegression(fit_intercept=False).fit(both, gold).score(both, gold)
    assert r_m_squared(gold, answers) == pytest.approx(squared * (1 - np.sqrt(abs(squared - origin))))
    assert np.isnan(r_m_squared([1, 1], [1, 2]))


def test_scores_of_affinities_leave_unknown_values_out() -> None:
    gold = np.array([[1, np.nan], [2, 5], [4, 7]], np.float32)
    answers = np.array([[1, 0, 0.5, 9], [3, 5, 0.5, 0], [5, 7, 2, 0]], np.float32)
    found = score_outputs("affinity", gold, answers)
    assert found["concordance"] == 1
    assert found["mse"] == pytest.approx((2 / 3 + 0) / 2)
    assert found["coverage"] == pytest.approx(4 / 5)
