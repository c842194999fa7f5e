"""Temperatures and thresholds of entities, fitted to annotated texts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, log_loss

from letters import letter_tokenizer
from textome.tasks.confidences import EQUAL, TEMPERATURES, THRESHOLDS, Candidates, fitted
from textome.tasks.entities import Entities
from textome.tasks.examples import Floats
from textome.tasks.spans.iob import Mention
from textome.tasks.spans.mentions import Sentence
from textome.tasks.task import Choice

TOKENIZER = letter_tokenizer()


def test_an_overconfident_model_gets_a_temperature_that_fits_what_is_right() -> None:
    generator = np.random.default_rng(3)
    margins = generator.normal(0, 3, 4000)
    right = generator.random(4000) < 1 / (1 + np.exp(-margins / 2))  # so twice as sure as it should be
    confidences = 1 / (1 + np.exp(-margins[:, None] / TEMPERATURES))
    fit = fitted(Candidates(confidences, right, int(right.sum())))
    assert fit.temperature == pytest.approx(2, rel=0.15)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60), st.integers(0, 20))
def test_the_threshold_and_temperature_are_the_best_by_another_implementation(
    rows: list[tuple[float, bool]], missed: int
) -> None:
    base = np.clip([share for share, _ in rows], 1e-3, 1 - 1e-3)
    right = np.array([is_right for _, is_right in rows])
    confidences = 1 / (1 + ((1 - base) / base)[:, None] ** (1 / TEMPERATURES.astype(float)))
    fit = fitted(Candidates(confidences, right, int(right.sum()) + missed))
    column = [round(float(value), 4) for value in TEMPERATURES].index(fit.temperature)
    losses = [log_loss(right, confidences[:, number], labels=[False, True]) for number in range(len(TEMPERATURES))]
    assert losses[column] == pytest.approx(min(losses))
    truth = np.concatenate([right, np.ones(missed, bool)])

    def f1(threshold: float) -> float:
        kept = np.concatenate([confidences[:, column] >= threshold, np.zeros(missed, bool)])
        return float(f1_score(truth, kept, zero_division=0))

    scores = {threshold: f1(threshold) for threshold in THRESHOLDS.tolist()}
    best = max(scores.values())
    assert scores[fit.threshold] >= best - EQUAL - 1e-9
    nearer = [it for it in scores if abs(it - best / 2) < abs(fit.threshold - best / 2) - 1e-9]
    assert all(scores[it] < best - EQUAL + 1e-9 for it in nearer)


def calibrated(task: Entities, certain: float, wrong: int) -> Entities:
    """The task fitted to 60 sentences of two words with one drug each, which it finds with a margin of `certain`; in
    `wrong` of them it finds the other word."""
    text = "aspirin helped"
    records = [Sentence(text, (Mention(0, 7, 1),), (1,)) for _ in range(60)]
    examples = task.examples(records, TOKENIZER, 32, 8)
    scores: list[Floats] = []
    for number in range(60):
        rows = np.zeros((2, 2, 3), np.float32)
        rows[:, :, 0] = certain
        rows[int(number < wrong), 1] = [0, certain, 0]
        rows[:, 0] = [0, certain, 0]  # of the type that the records are not annotated for
        scores.append(rows.reshape(2, -1))
    return task.calibrated(records, examples, scores)


def test_entities_are_fitted_by_the_types_that_records_are_annotated_for() -> None:
    task = Entities(types=("Disease", "Chemical"), temperature={"Disease": 3.0})
    fit = calibrated(task, certain=6.0, wrong=20)
    assert fit.temperature["Chemical"] > 2  # 99 % sure, and right in two thirds
    assert fit.temperature["Disease"] == 3.0  # no mention of its own
    assert set(fit.thresholds) == {"Chemical"}
    assert calibrated(task, certain=6.0, wrong=0).temperature["Chemical"] < 1
    chosen = calibrated(task.with_choice(Choice(("Chemical",))), certain=6.0, wrong=20)
    assert chosen.temperature == fit.temperature


def test_too_few_mentions_change_nothing() -> None:
    task = Entities(types=("Drug",))
    record = Sentence("aspirin helped", (Mention(0, 7, 0),), (0,))
    examples = task.examples([record], TOKENIZER, 32, 8)
    assert task.calibrated([record], examples, [np.zeros((2, 3), np.float32)]) == task
