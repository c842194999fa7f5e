"""Scores of labels: accuracy, precision, recall and F1 of each class and their averages, the confusion matrix.

A text's gold and predicted labels are sets, so one label of several and several at once are scored alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textome.metrics import bootstrap
from textome.metrics.entities import PRF

Sets = Sequence[frozenset[str]]
METRICS = ("accuracy", "micro_f1", "macro_f1", "weighted_f1", "example_f1")


@dataclass(frozen=True, slots=True)
class ClassificationScores:
    """All scores of a set of texts.

    classes       by label, without the negative ones
    micro         over all decisions about these classes; with every class of a single-label task it is the accuracy
    macro_f1      mean over classes
    weighted_f1   mean over classes, weighted by how often each is the gold label
    accuracy      share of texts whose labels are all right
    example_f1    of several labels at once: harmonic mean of the mean precision and the mean recall of the texts that have
                  a gold label (as the Hallmarks of Cancer are scored in Peng et al. 2019)
    confusion     (classes + negatives, ...) rows gold, columns predicted, in the order of `labels`; None for several labels
    """

    labels: tuple[str, ...]
    classes: dict[str, PRF]
    micro: PRF
    macro_f1: float
    weighted_f1: float
    accuracy: float
    example_f1: float
    confusion: NDArray[np.int64] | None
    texts: int


def score_labels(
    gold: Sets, predicted: Sets, labels: Sequence[str], negative: Sequence[str] = ()
) -> ClassificationScores:
    """Score predicted against gold label sets over `labels`.

    negative   labels that mean "nothing", which do not count as classes (as relation extraction is scored)
    """
    positive = [name for name in labels if name not in negative]
    classes = {name: _count(name, gold, predicted) for name in positive}
    supports = np.array([item.support for item in classes.values()], float)
    f1 = np.array([item.f1 for item in classes.values()])
    single = all(len(item) == 1 for item in (*gold, *predicted))
    confusion = None
    if single and gold:
        confusion = np.zeros((len(labels), len(labels)), np.int64)
        for truth, guess in zip(gold, predicted, strict=True):
            confusion[labels.index(next(iter(truth))), labels.index(next(iter(guess)))] += 1
    return ClassificationScores(
        tuple(labels),
        classes,
        PRF(*(sum(getattr(item, key) for item in classes.values()) for key in ("tp", "fp", "fn"))),
        float(f1.mean()) if len(f1) else 0.0,
        float(np.average(f1, weights=supports)) if supports.any() else 0.0,
        float(np.mean([truth == guess for truth, guess in zip(gold, predicted, strict=True)])) if gold else 0.0,
        _example_f1(gold, predicted),
        confusion,
        len(gold),
    )


def interval(
    gold: Sets, predicted: Sets, labels: Sequence[str], negative: Sequence[str], metric: str
) -> tuple[float, float]:
    """The 95 % interval of a score by the percentile bootstrap over texts.

    metric   "micro_f1", "macro_f1", "weighted_f1", "accuracy" or "example_f1"
    """
    truth, guess = (_matrix(sets, labels) for sets in (gold, predicted))
    kept = np.array([name not in negative for name in labels])
    return bootstrap.interval(lambda rows: _metric(truth[rows], guess[rows], kept, metric), len(truth))


def value_of(scores: ClassificationScores, metric: str) -> float:
    """The score that a metric's name stands for."""
    return scores.micro.f1 if metric == "micro_f1" else float(getattr(scores, metric))


def all_scores(scores: ClassificationScores) -> dict[str, float]:
    """Every score by the name of its metric."""
    return {name: value_of(scores, name) for name in METRICS}


def paired_p_value(
    gold: Sets, first: Sets, second: Sets, labels: Sequence[str], negative: Sequence[str], metric: str
) -> float:
    """The p-value of the difference of two models, see `bootstrap.paired_p_value`."""
    truth, one, two = (_matrix(sets, labels) for sets in (gold, first, second))
    kept = np.array([name not in negative for name in labels])
    return bootstrap.paired_p_value(
        lambda rows: _metric(truth[rows], one[rows], kept, metric) - _metric(truth[rows], two[rows], kept, metric),
        len(truth),
    )


def _count(name: str, gold: Sets, predicted: Sets) -> PRF:
    pairs = [(name in truth, name in guess) for truth, guess in zip(gold, predicted, strict=True)]
    return PRF(pairs.count((True, True)), pairs.count((False, True)), pairs.count((True, False)))


def _example_f1(gold: Sets, predicted: Sets) -> float:
    pairs = [(truth, guess) for truth, guess in zip(gold, predicted, strict=True) if truth]
    if not pairs:
        return 0.0
    precision = float(np.mean([len(truth & guess) / len(guess) if guess else 0.0 for truth, guess in pairs]))
    recall = float(np.mean([len(truth & guess) / len(truth) for truth, guess in pairs]))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _matrix(sets: Sets, labels: Sequence[str]) -> NDArray[np.bool_]:
    return np.array([[name in item for name in labels] for item in sets], bool).reshape(len(sets), len(labels))


def _metric(truth: NDArray[np.bool_], guess: NDArray[np.bool_], kept: NDArray[np.bool_], metric: str) -> float:
    """A score from (texts, labels) matrices; equal to `value_of(score_labels(...))`, but quick."""
    if metric == "accuracy":
        return float((truth == guess).all(1).mean())
    truth, guess = truth[:, kept], guess[:, kept]
    if metric == "example_f1":
        rows = truth.any(1)
        if not rows.any():
            return 0.0
        shared = (truth & guess)[rows].sum(1)
        precision = float((shared / np.maximum(guess[rows].sum(1), 1)).mean())
        recall = float((shared / truth[rows].sum(1)).mean())
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    both, either = (truth & guess).sum(0), truth.sum(0) + guess.sum(0)
    if metric == "micro_f1":
        return float(2 * both.sum() / max(either.sum(), 1))
    f1 = 2 * both / np.maximum(either, 1)
    if metric == "macro_f1":
        return float(f1.mean())
    supports = truth.sum(0)
    return float(np.average(f1, weights=supports)) if supports.any() else 0.0
