"""Scores of labels against scikit-learn, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from textome.evaluation.calibration import expected_calibration_error
from textome.metrics.labels import interval, paired_p_value, score_labels, value_of

LABELS = ("a", "b", "c")
SINGLE = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)
SEVERAL = st.lists(
    st.tuples(st.frozensets(st.sampled_from(LABELS)), st.frozensets(st.sampled_from(LABELS))), min_size=1, max_size=40
)
METRICS = ("micro_f1", "macro_f1", "weighted_f1", "accuracy", "example_f1")


@given(SINGLE)
def test_single_labels_score_as_scikit_learn_scores_them(pairs):
    gold, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    scores = score_labels([frozenset([name]) for name in gold], [frozenset([name]) for name in predicted], LABELS)
    for average, value in (("macro", scores.macro_f1), ("weighted", scores.weighted_f1), ("micro", scores.micro.f1)):
        expected = metrics.f1_score(gold, predicted, labels=LABELS, average=average, zero_division=0)
        assert value == pytest.approx(expected)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(gold, predicted))
    assert (scores.confusion == metrics.confusion_matrix(gold, predicted, labels=LABELS)).all()
    table = metrics.precision_recall_fscore_support(gold, predicted, labels=LABELS, zero_division=0)
    for name, *expected in zip(LABELS, *table, strict=True):
        item = scores.classes[name]
        assert [item.precision, item.recall, item.f1, item.support] == pytest.approx(expected)


@given(SINGLE)
def test_a_negative_class_does_not_count(pairs):
    gold, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    sets = [[frozenset([name]) for name in side] for side in (gold, predicted)]
    scores = score_labels(*sets, LABELS, negative=("a",))
    expected = metrics.f1_score(gold, predicted, labels=("b", "c"), average="micro", zero_division=0)
    assert scores.micro.f1 == pytest.approx(expected)


@given(SEVERAL)
def test_several_labels_score_as_scikit_learn_scores_them(pairs):
    gold, predicted = ([pair[side] for pair in pairs] for side in (0, 1))
    scores = score_labels(gold, predicted, LABELS)
    matrices = [np.array([[name in item for name in LABELS] for item in side]) for side in (gold, predicted)]
    for average, value in (("macro", scores.macro_f1), ("micro", scores.micro.f1)):
        assert value == pytest.approx(metrics.f1_score(*matrices, average=average, zero_division=0))
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(*matrices))


def test_example_f1_by_hand():
    gold = [frozenset("ab"), frozenset("c"), frozenset()]
    predicted = [frozenset("a"), frozenset("bc"), frozenset("a")]
    # Precision 1 and 1/2, recall 1/2 and 1; the text without a gold label does not count.
    assert score_labels(gold, predicted, LABELS).example_f1 == pytest.approx(0.75)


@given(SINGLE, st.sampled_from(METRICS))
def test_the_interval_is_around_the_score_and_always_the_same(pairs, metric):
    gold, predicted = ([frozenset([pair[side]]) for pair in pairs] for side in (0, 1))
    # One draw that takes every text once has the score itself: the quick way must give what the slow one gives.
    from textome.metrics.labels import _matrix, _metric

    kept = np.array([name != "a" for name in LABELS])
    quick = _metric(_matrix(gold, LABELS), _matrix(predicted, LABELS), kept, metric)
    assert (
        quick == pytest.approx(value_of(score_labels(gold, predicted, LABELS, ("a",)), metric))
        or metric == "example_f1"
    )


def test_the_interval_holds_the_score():
    generator = np.random.default_rng(1)
    gold = [frozenset([LABELS[index]]) for index in generator.integers(0, 3, 300)]
    predicted = [truth if generator.random() < 0.7 else frozenset("a") for truth in gold]
    low, high = interval(gold, predicted, LABELS, (), "accuracy")
    score = score_labels(gold, predicted, LABELS).accuracy
    assert low < score < high
    assert 0.05 < high - low < 0.2
    assert (low, high) == interval(gold, predicted, LABELS, (), "accuracy")


def test_a_paired_test_tells_a_difference_from_none():
    generator = np.random.default_rng(2)
    gold = [frozenset([LABELS[index]]) for index in generator.integers(0, 3, 300)]
    good = [truth if generator.random() < 0.9 else frozenset("a") for truth in gold]
    poor = [truth if generator.random() < 0.6 else frozenset("a") for truth in gold]
    same = [truth if generator.random() < 0.9 else frozenset("a") for truth in gold]
    assert paired_p_value(gold, good, poor, LABELS, (), "accuracy") < 0.01
    assert paired_p_value(gold, good, same, LABELS, (), "accuracy") > 0.05
    assert paired_p_value(gold, good, good, LABELS, (), "accuracy") == 1.0


def test_calibration_error_by_hand():
    confidence, right = np.array([0.95, 0.95, 0.55, 0.55]), np.array([1, 1, 1, 0])
    assert expected_calibration_error(confidence, right) == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)
    assert expected_calibration_error(np.array([1.0, 1.0]), np.array([0, 0])) == 1.0
