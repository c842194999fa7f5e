"""Scores of several labels and of numbers against scikit-learn, SciPy and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, r2_score

from textome.metrics.outputs import average_precision, f_max, score_outputs, spearman

GOLD = arrays(np.float32, (7, 3), elements=st.sampled_from([0.0, 1.0]))
ANSWERS = arrays(np.float32, (7, 3), elements=st.integers(0, 20).map(lambda number: number / 20))


def by_hand(gold: np.ndarray, answers: np.ndarray) -> float:
    best = 0.0
    sets = [{label for label, holds in enumerate(row) if holds} for row in gold]
    for threshold in [step / 100 for step in range(1, 101)]:
        precisions, recalls = [], []
        for own, row in zip(sets, answers, strict=True):
            if not own:
                continue
            said = {label for label, value in enumerate(row) if value >= np.float32(threshold)}
            recalls.append(len(own & said) / len(own))
            if said:
                precisions.append(len(own & said) / len(said))
        if precisions and sum(recalls):
            precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
            best = max(best, 2 * precision * recall / (precision + recall))
    return best


@given(GOLD, ANSWERS)
def test_f_max_is_the_best_of_all_thresholds(gold: np.ndarray, answers: np.ndarray) -> None:
    value, threshold = f_max(gold, answers)
    assert value == (
        pytest.approx(by_hand(gold, answers), abs=1e-6) if gold.any() else pytest.approx(np.nan, nan_ok=True)
    )
    assert 0 < threshold <= 1


def test_f_max_leaves_out_what_is_not_known() -> None:
    gold = np.array([[1, 0], [np.nan, np.nan], [0, 0]], np.float32)
    answers = np.array([[0.9, 0.2], [0.9, 0.9], [0.9, 0.9]], np.float32)
    assert f_max(gold, answers) == (1.0, pytest.approx(0.21))


@given(GOLD, ANSWERS)
def test_average_precision_is_that_of_scikit_learn(gold: np.ndarray, answers: np.ndarray) -> None:
    value = average_precision(gold[:, 0], answers[:, 0])
    if gold[:, 0].any():
        assert value == pytest.approx(average_precision_score(gold[:, 0], answers[:, 0]))
    else:
        assert np.isnan(value)


@given(ANSWERS, ANSWERS)
def test_spearman_is_that_of_scipy(gold: np.ndarray, answers: np.ndarray) -> None:
    value, (one, two) = spearman(gold[:, 0], answers[:, 0]), (np.unique(item[:, 0]) for item in (gold, answers))
    if len(one) > 1 and len(two) > 1:
        assert value == pytest.approx(spearmanr(gold[:, 0], answers[:, 0]).statistic)
    else:
        assert np.isnan(value)


def test_numbers_are_scored_where_they_are_known() -> None:
    gold = np.array([[1, np.nan], [2, np.nan], [4, np.nan]], np.float32)
    answers = np.array([[1, 9], [3, 9], [2, 9]], np.float32)
    scores = score_outputs("regression", gold, answers)
    assert scores["rmse"] == pytest.approx(np.sqrt(5 / 3))
    assert scores["mae"] == pytest.approx(1)
    assert scores["r2"] == pytest.approx(r2_score(gold[:, 0], answers[:, 0]))
    assert scores["spearman"] == pytest.approx(0.5)


def test_several_labels_are_scored_over_all_cells_and_by_label() -> None:
    gold = np.array([[1, 0], [0, 0], [1, 0]], np.float32)
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.3]], np.float32)
    scores = score_outputs("sequence_labels", gold, answers)
    assert scores["f_max"] == 1.0
    assert scores["aupr"] == pytest.approx(average_precision_score(gold.ravel(), answers.ravel()))
    assert scores["macro_aupr"] == 1.0
