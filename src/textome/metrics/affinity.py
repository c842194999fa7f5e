"""Scores of how strongly two things bind, as drugs and their targets: the concordance index and r_m^2."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A deviation that a model gives is kept within e ** -MAX_LOG_DEVIATION and e ** MAX_LOG_DEVIATION of that of all values.
MAX_LOG_DEVIATION = 4.0


def concordance_index(gold: ArrayLike, answers: ArrayLike) -> float:
    """Of two records with different values, how often the larger one gets the larger answer; ties of answers count half.

    gold, answers   (N,) numbers without NaN. NaN where no two values differ.

    Source: Gönen and Heller 2005; for affinities Pahikkala et al. 2015, equation 2. Counted by a merge sort, in
    N log(N)^2 steps: records are sorted by value, and each block of them is compared with the one that follows it.
    """
    values, ranks = np.asarray(gold, np.float64), np.unique(np.asarray(answers, np.float64), return_inverse=True)[1]
    count = len(values)
    # Of equal values those with larger answers go first, so that none of them counts as in order.
    order = np.lexsort((-ranks, values))
    ranks = ranks[order].astype(np.int64)
    pairs = count * (count - 1) // 2 - _equal_pairs(values)
    right, ties, size = 0, -_equal_pairs(values, ranks[np.argsort(order, kind="stable")]), 1
    numbers, width = np.arange(count), count + 1
    while size < count:
        block, is_right = numbers // (2 * size), numbers // size % 2 == 1
        keys = block * width + ranks
        first, second = np.sort(keys[~is_right]), keys[is_right]
        before = np.searchsorted(first, second)
        up_to = np.searchsorted(first, second, side="right")
        right += int((before - np.searchsorted(first, block[is_right] * width)).sum())
        ties += int((up_to - before).sum())
        size *= 2
    return (right + 0.5 * ties) / pairs if pairs else float("nan")


def r_m_squared(gold: ArrayLike, answers: ArrayLike) -> float:
    """r^2 (1 - sqrt(|r^2 - r_0^2|)), with r^2 the squared correlation and r_0^2 that of the best line through the origin.

    gold, answers   (N,) numbers without NaN. NaN where either is constant.

    Source: Roy and Roy 2008, QSAR & Combinatorial Science 27:302, equation 3. The scripts of DeepDTA take the squares of
    both r^2 under the root; these are the equation's.
    """
    values, predicted = np.asarray(gold, np.float64), np.asarray(answers, np.float64)
    spread, spread_answers = values - values.mean(), predicted - predicted.mean()
    if not spread.any() or not spread_answers.any():
        return float("nan")
    squared = float((spread @ spread_answers) ** 2 / ((spread @ spread) * (spread_answers @ spread_answers)))
    slope = float(values @ predicted / (predicted @ predicted))
    through_origin = 1 - float(((values - slope * predicted) ** 2).sum() / (spread @ spread))
    return squared * (1 - float(np.sqrt(abs(squared - through_origin))))


def _equal_pairs(*columns: NDArray[np.generic]) -> int:
    """How many pairs of rows are equal in all columns."""
    numbers = np.stack([np.unique(column, return_inverse=True)[1] for column in columns])
    counts = np.unique(numbers, axis=1, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())
