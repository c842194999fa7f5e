"""Confidence that means what it says: temperature scaling (Guo et al. 2017) and the threshold of several labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.evaluation.answers import score_answers
from textome.evaluation.classification import score_labels
from textome.evaluation.task_scores import label_sets
from textome.tasks.inputs import Floats, Unit
from textome.tasks.question_answering import Answers

_TEMPERATURES = np.geomspace(0.25, 8, 61)
_THRESHOLDS = np.arange(0.1, 0.91, 0.05)


def calibrated(task: Any, items: Sequence[Any], units: Sequence[Unit], scores: Sequence[Floats]) -> Any:
    """The task with the temperature that makes gold labels most probable, and the threshold with the best micro F1.

    Of question answering, only the threshold of list questions is fitted.
    """
    if isinstance(task, Answers):
        found = [
            (score_answers(items, task.predictions(items, units, scores), threshold).list_f1, float(threshold))
            for threshold in _THRESHOLDS
        ]
        return replace(task, threshold=round(max(found)[1], 2))
    best = min(
        (_loss(at, items, units, scores), at.temperature)
        for at in (replace(task, temperature=t) for t in _TEMPERATURES)
    )
    task = replace(task, temperature=round(float(best[1]), 4))
    if getattr(task, "multi_label", False):
        found = []
        for threshold in _THRESHOLDS:
            at = replace(task, threshold=round(float(threshold), 2))
            gold, guessed = label_sets(items, at.predictions(items, units, scores))
            found.append((score_labels(gold, guessed, task.labels).micro.f1, at.threshold))
        task = replace(task, threshold=max(found)[1])
    return task


def expected_calibration_error(confidence: NDArray[Any], right: NDArray[Any], bins: int = 15) -> float:
    """The mean distance of confidence from accuracy over equal bins of confidence (Guo et al. 2017, equation 3)."""
    edges = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        chosen = edges == number
        if chosen.any():
            total += chosen.mean() * abs(np.mean(right[chosen]) - np.mean(confidence[chosen]))
    return float(total)


def _loss(task: Any, items: Sequence[Any], units: Sequence[Unit], scores: Sequence[Floats]) -> float:
    """The mean negative log-likelihood of the gold labels."""
    losses: list[float] = []
    for item, found in zip(items, task.predictions(items, units, scores), strict=True):
        pairs = (
            zip(((name,) for name in item.labels), found, strict=True)
            if isinstance(found, list)
            else [(item.labels, found)]
        )
        for gold, guess in pairs:
            for name, share in guess.scores.items():
                if getattr(task, "multi_label", False):
                    losses.append(-np.log(max(share if name in gold else 1 - share, 1e-12)))
                elif name in gold:
                    losses.append(-np.log(max(share, 1e-12)))
    return float(np.mean(losses)) if losses else 0.0
