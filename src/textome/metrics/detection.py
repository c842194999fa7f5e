"""Scores of boxes: average precision by COCO's own program, and the confidence from which boxes are right most often."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from textome.errors import MissingExtraError

# Boxes of an image that count, the surest ones; COCO's own limit of 100 is too few for cells.
MAX_BOXES = 500


class Located(NamedTuple):
    """The boxes of an image.

    labels   (N,) the number of each box's label, from 0
    sides    (N, 4) left, upper, right, lower, in pixels
    scores   (N,) confidences; 1 of gold boxes
    """

    labels: NDArray[np.int64]
    sides: NDArray[np.float64]
    scores: NDArray[np.float64]


def average_precision(gold: Sequence[Located], predicted: Sequence[Located], labels: Sequence[str]) -> dict[str, float]:
    """`map` and `map50`: means over labels of the average precision at an intersection over union of 0.5 to 0.95 and of 0.5
    (Lin et al. 2014), by pycocotools; `map50 LABEL` for each of several labels. A label without gold boxes has no score.

    Raises MissingExtraError without pycocotools.
    """
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ModuleNotFoundError as error:
        raise MissingExtraError("scoring boxes", "pixels") from error
    if not any(len(image.labels) for image in gold):
        return {"map": float("nan"), "map50": float("nan")}
    with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
        truth, answers = COCO(), COCO()
        for store, images in ((truth, gold), (answers, predicted)):
            store.dataset = _dataset(images, len(labels))
            store.createIndex()
        run = COCOeval(truth, answers, "bbox")
        run.params.maxDets = [1, 10, MAX_BOXES]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]  # thresholds, recalls, labels
    precision = np.where(precision < 0, np.nan, precision)
    present: NDArray[np.bool_] = np.asarray(np.isfinite(precision).any((0, 1)))
    means = precision[:, :, present].mean(1)
    scores = {"map": float(means.mean()), "map50": float(means[0].mean())}
    if len(labels) > 1:
        named = [label for label, there in zip(labels, present, strict=True) if there]
        scores |= {f"map50 {label}": float(value) for label, value in zip(named, means[0], strict=True)}
    return scores


def _dataset(images: Sequence[Located], num_labels: int) -> dict[str, Any]:
    """Boxes as COCO's dictionaries; ids count from 1, since 0 is not a match there."""
    annotations: list[dict[str, Any]] = []
    for number, image in enumerate(images, 1):
        for label, (left, upper, right, lower), score in zip(*(part.tolist() for part in image), strict=True):
            width, height = right - left, lower - upper
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": label + 1,
                    "bbox": [left, upper, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                    "score": score,
                }
            )
    return {
        "images": [{"id": number} for number in range(1, 1 + len(images))],
        "annotations": annotations,
        "categories": [{"id": number} for number in range(1, 1 + num_labels)],
    }


def intersections(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) the intersection over union of boxes (N, 4) and (M, 4)."""
    upper = np.maximum(first[:, None, :2], second[None, :, :2])
    lower = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.maximum(lower - upper, 0), 2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], 1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12), np.float64)


def matched(gold: Located, predicted: Located) -> NDArray[np.bool_]:
    """(N,) which predicted boxes are right: the surest first, each with a gold box of its label that is free and shares at
    least half of their union."""
    right = np.zeros(len(predicted.labels), bool)
    if not len(gold.labels):
        return right
    overlap = intersections(predicted.sides, gold.sides)
    overlap[predicted.labels[:, None] != gold.labels[None]] = 0
    for number in np.argsort(-predicted.scores, kind="stable").tolist():
        best = int(overlap[number].argmax())
        if overlap[number, best] >= 0.5:
            right[number] = True
            overlap[:, best] = 0
    return right


def best_threshold(gold: Sequence[Located], predicted: Sequence[Located]) -> float | None:
    """The confidence from which boxes have the best F1 over all images, rounded to two places; None where none is right."""
    scores = np.concatenate([image.scores for image in predicted])
    right = np.concatenate([matched(one, other) for one, other in zip(gold, predicted, strict=True)])
    count = sum(len(image.labels) for image in gold)
    if not right.any():
        return None
    order = np.argsort(-scores, kind="stable")
    hits = right[order].cumsum()
    f1 = 2 * hits / (count + np.arange(1, 1 + len(hits)))
    return float(np.floor(100 * scores[order[int(f1.argmax())]]) / 100)
