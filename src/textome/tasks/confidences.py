"""Honest confidences of entities, and thresholds by which entities are kept, both fitted to annotated texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TEMPERATURES = np.round(np.geomspace(0.5, 4, 25), 4).astype(np.float32)
THRESHOLDS = np.round(np.arange(0.1, 0.951, 0.05), 2)
# What is kept of a type for which no threshold was fitted: not what the model itself holds for wrong.
DEFAULT_MIN_CONFIDENCE = 0.1
# Differences of F1 that do not count between thresholds.
EQUAL = 0.01
# Fewer annotated mentions than these do not tell one temperature or threshold from another.
MIN_MENTIONS = 50


class Candidates(NamedTuple):
    """The entities that a model finds of a type, with any confidence, in n places of texts that are annotated for it.

    confidences   (n, len(TEMPERATURES)) at each temperature
    right         (n,) whether the corpus has just this entity
    num_gold      entities that the corpus has
    """

    confidences: NDArray[np.float64]
    right: NDArray[np.bool_]
    num_gold: int

    @property
    def suffice(self) -> bool:
        return self.num_gold >= MIN_MENTIONS and len(self.right) >= MIN_MENTIONS


class Fitted(NamedTuple):
    """What scores are divided by before probabilities are taken, and the least confidence that is kept."""

    temperature: float
    threshold: float


def fitted(candidates: Candidates) -> Fitted:
    """The temperature at which confidences have the least log loss against what is right (Guo et al. 2017, section 4, with
    whole entities in place of classes), and the best threshold there."""
    confidences, right, num_gold = candidates
    shares = np.clip(confidences, 1e-6, 1 - 1e-6)
    losses = -np.where(right[:, None], np.log(shares), np.log(1 - shares)).mean(axis=0)
    best = int(losses.argmin())
    kept = zip(confidences[:, best].tolist(), right.tolist(), strict=True)
    return Fitted(round(float(TEMPERATURES[best]), 4), best_threshold(list(kept), num_gold))


def best_threshold(entities: Sequence[tuple[float, bool]], num_gold: int) -> float:
    """Of the thresholds with the best F1 but for EQUAL, the one nearest to half of the best.

    entities   the confidence of each, and whether it is right

    With true confidences the best threshold is half of the best F1 (Lipton, Elkan and Narayanaswamy 2014, theorem 1), so
    that decides between thresholds which a few texts cannot tell apart.
    """
    rows = np.array(entities, float).reshape(-1, 2)
    kept = rows[:, :1] >= THRESHOLDS
    f1 = 2 * (kept * rows[:, 1:]).sum(axis=0) / np.maximum(1, kept.sum(axis=0) + num_gold)
    distances = np.where(f1 >= f1.max() - EQUAL, np.abs(THRESHOLDS - f1.max() / 2), np.inf)
    return float(THRESHOLDS[int(distances.argmin())])
