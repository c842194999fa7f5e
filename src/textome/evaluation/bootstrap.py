"""How sure a score is: percentile bootstrap over units of text (Efron and Tibshirani 1993)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from textome.metrics.entities import Counts, Entity, count_entities

Interval = tuple[float, float]
Floats = NDArray[np.float64]


def bootstrap_intervals(
    gold: Sequence[Collection[Entity]],
    predicted: Sequence[Collection[Entity]],
    samples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of F1 for each type and for "micro", by drawing units with replacement `samples` times.

    The same seed gives the same intervals. A unit is what is drawn as a whole: documents give honest intervals where
    mentions repeat within a document, sentences narrower ones.
    """
    names, counts = count_entities(gold, predicted)
    if not len(counts):
        return {"micro": (0.0, 0.0)}
    drawn = _resampled(counts, samples, np.random.default_rng(seed))
    bounds = [(1 - level) / 2, (1 + level) / 2]
    scores = {str(name): f1_of(drawn[:, index]) for index, name in enumerate(names)}
    scores["micro"] = f1_of(drawn.sum(axis=1))
    return {
        name: (float(low), float(high))
        for name, (low, high) in ((name, np.quantile(values, bounds)) for name, values in scores.items())
    }


def paired_bootstrap(
    gold: Sequence[Collection[Entity]],
    first: Sequence[Collection[Entity]],
    second: Sequence[Collection[Entity]],
    samples: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """The difference in micro F1, first minus second, and a one-sided p-value for the better one being better.

    Both systems are scored on the same draws; the p-value is the share of draws whose difference is on the other side
    of zero or at it.
    """
    both = np.concatenate([count_entities(gold, system)[1].sum(axis=1)[:, None] for system in (first, second)], axis=1)
    observed = np.subtract(*f1_of(both.sum(axis=0)))
    drawn = f1_of(_resampled(both, samples, np.random.default_rng(seed)))
    differences = (drawn[:, 0] - drawn[:, 1]) * (1 if observed >= 0 else -1)
    return float(observed), float((differences <= 0).mean())


def f1_of(counts: NDArray[np.integer] | Floats) -> Floats:
    """F1 from true positives, false positives and false negatives in the last axis; 0 where all are 0."""
    tp, fp, fn = (counts[..., index].astype(np.float64) for index in range(3))
    return np.divide(2 * tp, 2 * tp + fp + fn, out=np.zeros_like(tp), where=(2 * tp + fp + fn) > 0)


def _resampled(counts: Counts, samples: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Totals of `samples` draws of as many units as there are: shape (samples, ...) for counts (units, ...).

    A draw is a vector of how often each unit was taken, so that all totals are one matrix product.
    """
    units = len(counts)
    flat = counts.reshape(units, -1).astype(np.float64)
    totals = np.empty((samples, flat.shape[1]))
    for row in range(samples):
        totals[row] = np.bincount(generator.integers(units, size=units), minlength=units) @ flat
    return totals.reshape(samples, *counts.shape[1:])
