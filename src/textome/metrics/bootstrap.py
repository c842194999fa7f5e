"""How sure a score is, and which of two models is better, by scores of the same records drawn again and again."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
# The same data give the same interval and the same p-value.
DRAWS, SEED = 1000, 0


def interval(score: Callable[[Rows], float], count: int) -> tuple[float, float]:
    """The 95 % interval of a score by the percentile bootstrap (Efron and Tibshirani 1993).

    score   over the records of these numbers, of which some may come several times
    count   of records
    """
    generator = np.random.default_rng(SEED)
    low, high = np.quantile([score(generator.integers(0, count, count)) for _ in range(DRAWS)], [0.025, 0.975])
    return float(low), float(high)


def paired_p_value(difference: Callable[[Rows], float], count: int) -> float:
    """How often, in bootstrap draws of the same records for both models, their difference turns or vanishes; two-sided.

    Berg-Kirkpatrick et al. 2012: the share of draws whose difference is more than twice the observed one. A draw that has
    no score, as one without any positive record, counts against a difference.

    difference   of the two models' scores, over the records of these numbers, of which some may come several times
    count        of records
    """
    observed = difference(np.arange(count))
    generator = np.random.default_rng(SEED)
    beyond = 0
    for _ in range(DRAWS):
        drawn = difference(generator.integers(0, count, count))
        beyond += not abs(drawn - observed) < abs(observed)
    return (beyond + 1) / (DRAWS + 1)
