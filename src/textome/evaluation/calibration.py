"""Confidence that means what it says; tasks fit their temperature themselves (see tasks.labels)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def expected_calibration_error(confidence: NDArray[Any], right: NDArray[Any], bins: int = 15) -> float:
    """The mean distance of confidence from accuracy over equal bins of confidence (Guo et al. 2017, equation 3)."""
    edges = np.minimum((np.asarray(confidence) * bins).astype(int), bins - 1)
    total = 0.0
    for number in range(bins):
        chosen = edges == number
        if chosen.any():
            total += chosen.mean() * abs(np.mean(right[chosen]) - np.mean(confidence[chosen]))
    return float(total)
