"""Whether a model betrays what it was trained on: the attack by loss (Yeom et al. 2018, "Privacy risk in machine
learning").

Who holds a model and a record guesses that the record was trained on where its loss is low. What the guess is worth shows
on records of both kinds; a model that keeps its data to itself leaves it at chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Attack:
    """How well losses tell members from others.

    auc          the probability that a member has a lower loss than another record, ties count half; 0.5 is chance
    low, high    the 95 % bootstrap interval of it
    advantage    the largest difference of true and false positive rate over all thresholds (Yeom et al. 2018, definition 4)
    recognised   the share of members found where one of a hundred others is taken for one (Carlini et al. 2022)
    """

    auc: float
    low: float
    high: float
    advantage: float
    recognised: float


def loss_attack(members: ArrayLike, others: ArrayLike, resamples: int = 1000, seed: int = 0) -> Attack:
    """The attack on the losses of records that were trained on, and of others from the same source.

    Raises ValueError where one side is empty or a loss is NaN.
    """
    inside, outside = np.asarray(members, np.float64), np.asarray(others, np.float64)
    if not len(inside) or not len(outside) or not (np.isfinite(inside).all() and np.isfinite(outside).all()):
        raise ValueError("the attack needs losses of members and of others, all of them finite numbers")
    generator = np.random.default_rng(seed)
    drawn = [
        _auc(generator.choice(inside, len(inside)), generator.choice(outside, len(outside))) for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975)) if drawn else (np.nan, np.nan)
    thresholds = np.unique(np.concatenate([inside, outside]))
    true, false = (np.searchsorted(np.sort(side), thresholds, side="right") / len(side) for side in (inside, outside))
    allowed = true[false <= 0.01]
    return Attack(
        _auc(inside, outside),
        float(low),
        float(high),
        max(0.0, float((true - false).max())),
        float(allowed.max()) if len(allowed) else 0.0,
    )


def _auc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    ordered = np.sort(outside)
    above = len(ordered) - np.searchsorted(ordered, inside, side="right")
    equal = np.searchsorted(ordered, inside, side="right") - np.searchsorted(ordered, inside, side="left")
    return float((above + equal / 2).mean() / len(ordered))
