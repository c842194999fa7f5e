"""The attack by loss against a plain count over all pairs and all thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.evaluation.membership import loss_attack

losses = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0, 7.5]) | st.floats(0, 10), min_size=1, max_size=30)


@given(losses, losses)
def test_it_counts_pairs_and_thresholds(members: list[float], others: list[float]) -> None:
    found = loss_attack(members, others, resamples=0)
    pairs = [(one < other) + (one == other) / 2 for one in members for other in others]
    assert found.auc == pytest.approx(sum(pairs) / len(pairs))
    rates = [
        (sum(one <= at for one in members) / len(members), sum(other <= at for other in others) / len(others))
        for at in [-1.0, *members, *others]
    ]
    assert found.advantage == pytest.approx(max(true - false for true, false in rates))
    assert found.recognised == pytest.approx(max(true for true, false in rates if false <= 0.01))


def test_the_interval_covers_the_auc_of_normal_losses() -> None:
    generator = np.random.default_rng(1)
    # Normal losses one standard deviation apart have an AUC of Phi(1 / sqrt 2).
    covered = [
        attack.low <= 0.7602 <= attack.high
        for attack in (
            loss_attack(generator.normal(0, 1, 150), generator.normal(1, 1, 150), 200, number) for number in range(40)
        )
    ]
    assert sum(covered) >= 34


def test_losses_that_are_none_are_refused() -> None:
    for members, others in (([], [1.0]), ([1.0], [float("nan")])):
        with pytest.raises(ValueError, match="finite numbers"):
            loss_attack(members, others)
