"""Which bucket the distance between two tokens falls in, for biases of attention (Raffel et al. 2020, section 2.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bucket_of_distance(
    distance: NDArray[np.int64], buckets: int = 32, max_distance: int = 128, causal: bool = False
) -> NDArray[np.int64]:
    """The bucket of the distance j - i of a key j from a query i, in the shape given.

    buckets        how many there are; half of them are for keys behind the query, unless `causal`
    max_distance   keys that are at least so far away share the last bucket of their half
    causal         a query attends to no key behind it; these have bucket 0

    In each half (with `causal`, in all) the first half of the buckets have one distance each; longer distances share
    theirs, on a logarithmic scale. Computed in float32, as published models were.
    """
    half = buckets if causal else buckets // 2
    exact = half // 2
    size = np.maximum(-distance, 0) if causal else np.abs(distance)
    share = np.log(np.maximum(size, exact).astype(np.float32) / exact) / np.float32(np.log(max_distance / exact))
    shared = np.minimum(exact + (share * (half - exact)).astype(np.int64), half - 1)
    near_or_far = np.where(size < exact, size, shared)
    return near_or_far if causal else np.where(distance > 0, half, 0) + near_or_far
