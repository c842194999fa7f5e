"""Scores of masks: how far areas agree, and how many things are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
# Over which the precision of things is averaged (Caicedo et al. 2019, "Evaluation metric").
THRESHOLDS = tuple(round(0.5 + 0.05 * number, 2) for number in range(10))


def dice_and_iou(gold: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> tuple[float, float]:
    """2 |A and B| / (|A| + |B|) (Dice 1945) and |A and B| / |A or B| (Jaccard 1912); both are 1 where both are empty."""
    both, sizes = int((gold & predicted).sum()), int(gold.sum()) + int(predicted.sum())
    return (2 * both / sizes, both / (sizes - both)) if sizes else (1.0, 1.0)


def overlaps(gold: Ids, predicted: Ids) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(G, P) pixels that each two things share, and the sizes (G,) and (P,) of the things; 0 is not a thing."""
    gold_ids, gold_index = np.unique(gold, return_inverse=True)
    ids, index = np.unique(predicted, return_inverse=True)
    counts = np.bincount(gold_index.ravel() * len(ids) + index.ravel(), minlength=len(gold_ids) * len(ids))
    shared = counts.reshape(len(gold_ids), len(ids))
    rows, columns = gold_ids != 0, ids != 0
    return shared[rows][:, columns], shared.sum(1)[rows], shared.sum(0)[columns]


def aggregated_jaccard(gold: Ids, predicted: Ids) -> float:
    """The aggregated Jaccard index (Kumar et al. 2017, algorithm 1): each gold thing with the predicted one of the largest
    intersection over union; predicted ones that are nobody's add their pixels to the union. 1 where there are no things."""
    shared, sizes, predicted_sizes = overlaps(gold, predicted)
    if not len(sizes) or not len(predicted_sizes):
        return float(len(sizes) == len(predicted_sizes))
    unions = sizes[:, None] + predicted_sizes[None] - shared
    best = (shared / unions).argmax(1)
    rows = np.arange(len(sizes))
    touched = shared[rows, best] > 0
    intersection = int(shared[rows, best][touched].sum())
    union = int(unions[rows, best][touched].sum()) + int(sizes[~touched].sum())
    unused = np.setdiff1d(np.arange(len(predicted_sizes)), best[touched])
    return intersection / (union + int(predicted_sizes[unused].sum()))


def matches(gold: Ids, predicted: Ids) -> NDArray[np.int64]:
    """(thresholds, 3) for each of THRESHOLDS the things that are in both, those missing, and those too many. Two are the
    same where their intersection over union is above the threshold, so that none has two others."""
    shared, sizes, predicted_sizes = overlaps(gold, predicted)
    ious = shared / (sizes[:, None] + predicted_sizes[None] - shared)
    right = np.array([int((ious > threshold).sum()) for threshold in THRESHOLDS])
    return np.stack([right, len(sizes) - right, len(predicted_sizes) - right], 1)


def object_scores(gold: Sequence[Ids], predicted: Sequence[Ids]) -> dict[str, float]:
    """Means over images: `aji`; `object_f1` at 0.5; `object_precision`, TP / (TP + FP + FN) averaged over THRESHOLDS.

    An image without things in both counts 1.
    """
    jaccard = [aggregated_jaccard(one, other) for one, other in zip(gold, predicted, strict=True)]
    counts = np.array([matches(one, other) for one, other in zip(gold, predicted, strict=True)], np.float64)
    right, errors = counts[:, :, 0], counts[:, :, 1] + counts[:, :, 2]
    nothing = right + errors == 0
    precision = np.where(nothing, 1.0, right / np.maximum(right + errors, 1))
    f1 = np.where(nothing, 1.0, 2 * right / np.maximum(2 * right + errors, 1))
    return {
        "aji": float(np.mean(jaccard)),
        "object_f1": float(f1[:, 0].mean()),
        "object_precision": float(precision.mean()),
    }
