"""The n-gram model that language models are compared with (benchmarks/language_models.py)."""

from __future__ import annotations

import math
import runpy
from itertools import product
from pathlib import Path

import numpy as np
import pytest

KneserNey = runpy.run_path(str(Path(__file__).parent.parent / "benchmarks" / "language_models.py"))["KneserNey"]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_the_probabilities_of_what_follows_sum_to_one(order: int) -> None:
    """After every context, those that no text has among them."""
    draw = np.random.default_rng(order)
    model = KneserNey([draw.integers(1, 6, size) for size in (40, 7, 1)], order, vocabulary=7, start=0)
    for context in product(range(7), repeat=order - 1):
        chances = [model.probability(np.array([*context, token], np.uint16)) for token in range(7)]
        assert sum(chances) == pytest.approx(1)


def test_a_bigram_model_worked_out_by_hand() -> None:
    """Bigrams 01, 12 (twice), 21 (twice), 13: discounts 1/3 and 3/2 (y = 1/3). Tokens that stand behind so many others:
    1: 2, 2: 1, 3: 1, discounts 1/2 and 1/2 (y = 1/2)."""
    model = KneserNey([np.array([1, 2, 1, 2, 1, 3])], 2, vocabulary=4, start=0)
    left = (0.5 + 0.5 + 0.5) / 4
    one, two = (2 - 0.5) / 4 + left / 4, (1 - 0.5) / 4 + left / 4
    one_at_start = (1 - 1 / 3) / 1 + 1 / 3 * one
    two_behind_one = (2 - 3 / 2) / 3 + (3 / 2 + 1 / 3) / 3 * two
    assert model.probability(np.array([1, 2], np.uint16)) == pytest.approx(two_behind_one)
    assert model.probability(np.array([3, 2], np.uint16)) == pytest.approx(two), "nothing follows 3: the lower order"
    assert model.log_probability(np.array([1, 2])) == pytest.approx(math.log(one_at_start) + math.log(two_behind_one))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_counts_that_give_no_discount_leave_something_for_what_was_not_seen(order: int) -> None:
    """Every n-gram stands there four times: the discount of those would be 3 - 4 * (1 / 3) * 4 / 1, which is below 0."""
    model = KneserNey([np.array([1, 2, 3])] * 4, order, vocabulary=6, start=0)
    assert math.isfinite(model.log_probability(np.array([1, 3, 5])))
    after_start = [model.probability(np.array([0] * (order - 1) + [token], np.uint16)) for token in range(6)]
    assert sum(after_start) == pytest.approx(1)
