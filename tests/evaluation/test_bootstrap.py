from __future__ import annotations

import time

import numpy as np
import pytest

from textome.evaluation.bootstrap import bootstrap_intervals, paired_bootstrap
from textome.metrics.entities import score_entities


def corpus(units=300, accuracy=0.8, seed=1, types=("Disease", "Gene")):
    """Gold entities, and predictions that are right with probability `accuracy` and otherwise one too long."""
    generator = np.random.default_rng(seed)
    gold, predicted = [], []
    for number in generator.poisson(3, units):
        entities = [(10 * place, 10 * place + 5, types[generator.integers(len(types))]) for place in range(number)]
        gold.append(set(entities))
        predicted.append({(start, end + int(generator.random() > accuracy), name) for start, end, name in entities})
    return gold, predicted


def test_intervals_equal_those_of_plain_resampling():
    """Against the definition: draw units with replacement and score them anew with `score_entities`."""
    gold, predicted = corpus(units=60)
    generator = np.random.default_rng(3)
    drawn = []
    for _ in range(2000):
        units = generator.integers(len(gold), size=len(gold))
        scores = score_entities([gold[unit] for unit in units], [predicted[unit] for unit in units])
        drawn.append([*(score.f1 for score in scores.types.values()), scores.micro.f1])
    expected = np.quantile(drawn, [0.025, 0.975], axis=0).T
    intervals = bootstrap_intervals(gold, predicted, samples=10_000)
    assert list(intervals) == ["Disease", "Gene", "micro"]
    np.testing.assert_allclose(list(intervals.values()), expected, atol=0.012)


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Predictions are right with probability 0.8, so the true F1 is 0.8 (one wrong span misses one and adds one)."""
    held = 0
    for seed in range(200):
        low, high = bootstrap_intervals(*corpus(units=150, seed=seed), samples=400)["micro"]
        held += low <= 0.8 <= high
    assert 0.90 <= held / 200 <= 0.99


def test_a_higher_level_is_wider_and_more_units_are_narrower():
    def width(units, **options):
        low, high = bootstrap_intervals(*corpus(units=units), **options)["micro"]
        return high - low

    assert width(50, level=0.99) > width(50, level=0.8)
    assert width(1000) < width(50)


def test_the_seed_decides():
    gold, predicted = corpus(units=80)
    assert bootstrap_intervals(gold, predicted, seed=5) == bootstrap_intervals(gold, predicted, seed=5)
    assert bootstrap_intervals(gold, predicted, seed=5) != bootstrap_intervals(gold, predicted, seed=6)


def test_perfect_and_empty_predictions_have_no_width():
    gold, _ = corpus(units=40)
    assert bootstrap_intervals(gold, gold)["micro"] == (1.0, 1.0)
    assert bootstrap_intervals(gold, [set()] * 40)["micro"] == (0.0, 0.0)
    assert bootstrap_intervals([set()], [set()]) == {"micro": (0.0, 0.0)}
    assert bootstrap_intervals([], []) == {"micro": (0.0, 0.0)}


def test_a_rare_type_is_uncertain():
    gold = [{(0, 1, "RNA")}, *[{(0, 1, "DNA")}] * 20]
    intervals = bootstrap_intervals(gold, gold)
    assert intervals["RNA"] == (0.0, 1.0)
    assert intervals["DNA"] == (1.0, 1.0)


def test_a_large_corpus_takes_seconds_at_most():
    gold, predicted = corpus(units=20_000, types=("A", "B", "C", "D", "E"))
    started = time.process_time()
    bootstrap_intervals(gold, predicted)
    assert time.process_time() - started < 10


def test_a_better_system_is_told_from_chance():
    gold, good = corpus(units=300, accuracy=0.85)
    _, bad = corpus(units=300, accuracy=0.70)
    difference, p_value = paired_bootstrap(gold, good, bad)
    assert difference == pytest.approx(score_entities(gold, good).micro.f1 - score_entities(gold, bad).micro.f1)
    assert p_value < 0.01
    assert paired_bootstrap(gold, bad, good) == (-difference, p_value)
    assert paired_bootstrap(gold, good, good) == (0.0, 1.0)


def test_equal_systems_are_seldom_told_apart():
    """The better of two equally good systems is found better at 0.05 (one-sided) in about one of ten comparisons."""
    values = []
    for seed in range(150):
        generator = np.random.default_rng(seed)
        gold = [{(10 * place, 10 * place + 5, "Gene") for place in range(3)} for _ in range(100)]
        first, second = (
            [{(start, end + int(generator.random() > 0.8), name) for start, end, name in sorted(unit)} for unit in gold]
            for _ in range(2)
        )
        values.append(paired_bootstrap(gold, first, second, samples=300, seed=seed)[1])
    assert 0.02 < np.mean(np.array(values) < 0.05) < 0.20
    assert max(values) < 0.7


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="1 units of gold entities, but 2 of predicted ones"):
        bootstrap_intervals([set()], [set(), set()])
