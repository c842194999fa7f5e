"""Token-budget batches: as many examples as fit a number of tokens, laid end to end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# How many batches are drawn together and sorted by length: large enough that lengths in a batch are nearly equal, small
# against an epoch, so that batches stay random.
POOL = 50


def plan(
    lengths: Sequence[int], token_budget: int, generator: np.random.Generator | None, pool_size: int = POOL
) -> list[list[int]]:
    """Which examples go together: lists of indices, each of at most `token_budget` tokens (or one longer example).

    With a generator, examples are shuffled, sorted by length within pools of `pool_size` batches, and the batches shuffled;
    without one, all are sorted by length. The same generator state gives the same plan.
    """
    sizes = np.asarray(lengths)
    if generator is None:
        return cut_in_order(np.argsort(sizes, kind="stable"), sizes, token_budget)
    order = generator.permutation(len(sizes))
    pools = np.cumsum(sizes[order]) // (pool_size * token_budget)
    batches: list[list[int]] = []
    for number in np.unique(pools):
        pool = order[pools == number]
        batches += cut_in_order(pool[np.argsort(sizes[pool], kind="stable")], sizes, token_budget)
    return [batches[index] for index in generator.permutation(len(batches))]


def cut(indices: Sequence[int], lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Some of the examples, sorted by length, in batches of at most `token_budget` tokens (or one longer example)."""
    chosen = sorted(indices, key=lambda index: lengths[index])
    return cut_in_order(np.asarray(chosen, np.int64), np.asarray(lengths), token_budget)


def cut_in_order(order: NDArray[np.int64], sizes: NDArray[np.int64], token_budget: int) -> list[list[int]]:
    """Examples in this order, by their `sizes`, in batches of at most `token_budget` tokens (or one longer example)."""
    batches: list[list[int]] = []
    used = token_budget + 1
    for index in order.tolist():
        size = int(sizes[index])
        if used + size > token_budget:
            batches.append([])
            used = 0
        batches[-1].append(index)
        used += size
    return batches
