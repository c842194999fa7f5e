"""Detection: boxes around things, found by their centres (Zhou et al. 2019, "Objects as Points")."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from textome.documents import Document, Label
from textome.inputs.pixels.regions import Box, Picture, Regions
from textome.metrics.detection import Located, average_precision, best_threshold, intersections
from textome.tasks.pixels.maps import Floats, MapTask, located

# The heat around a centre reaches as far as a box there still shares so much with the gold one (Law and Deng 2018, section
# 3.2): three standard deviations.
_MIN_OVERLAP = 0.7
# Scores that centres begin with, so that the many pixels that are none do not drown the few (Lin et al. 2017, section 4.1).
_PRIOR = -math.log(9)
# Peaks of the heat map below it are not boxes at all, and of an image at most so many are.
_MIN_CONFIDENCE, _MAX_BOXES = 0.05, 500

Boxes = tuple[Box, ...]


class Detection(MapTask[Boxes]):
    """Boxes around things of `labels`. The maps are a heat map of centres for each label, then width, height, and the
    offset of the centre across and down, in pixels of the maps.

    cell            pixels of an image along a side of a pixel of the maps
    min_confidence  boxes below it are left out of what is written; fitted to the validation data when training ends
    max_overlap     of two boxes of a label with a larger intersection over union only the more confident one is kept
    metric          "map50" or "map": the mean over labels of the average precision at an intersection over union of 0.5, or
                    its mean over 0.5 to 0.95 (Lin et al. 2014)
    """

    needs: ClassVar[str] = "boxes, or a mask for each thing"

    kind: Literal["detection"] = "detection"
    metric: Literal["map", "map50"] = "map50"
    cell: Literal[1, 2, 4] = 4
    min_confidence: float = Field(0.3, ge=0, le=1)
    max_overlap: float = Field(0.6, gt=0, le=1)

    @property
    def stride(self) -> int:
        return self.cell

    @property
    def biases(self) -> tuple[float, ...]:
        return (_PRIOR,) * len(self.labels) + (0.0,) * 4

    @property
    def loss(self) -> str:
        return "centres"

    def is_labelled(self, record: Picture) -> bool:
        regions = record.regions
        return regions is not None and (regions.boxes is not None or regions.objects is not None)

    def planes(self, regions: Regions, tile: int) -> Floats:
        """The same maps of the gold boxes, and a last one that is 1 where a centre is."""
        side, labels = tile // self.cell, {label: number for number, label in enumerate(self.labels)}
        planes = np.zeros((len(labels) + 5, side, side), np.float32)
        for box in sorted(regions.all_boxes(), key=lambda box: -box.width * box.height):
            small = box.scaled(1 / self.cell)
            across, down = (small.left + small.right) / 2, (small.upper + small.lower) / 2
            column, row = (min(int(value), side - 1) for value in (across, down))
            heat = planes[labels[box.label]]
            deviation = max(_radius(small.width, small.height), 1.0) / 3
            rows, columns = (
                np.exp(-((np.arange(side) - centre) ** 2) / (2 * deviation**2)) for centre in (row, column)
            )
            np.maximum(heat, np.outer(rows, columns), out=heat)
            planes[len(labels) :, row, column] = small.width, small.height, across - column, down - row, 1
        return planes

    def activated(self, scores: Floats) -> Floats:
        heat = 1 / (1 + np.exp(-scores[: len(self.labels)].astype(np.float64)))
        return np.concatenate([heat, scores[len(self.labels) :]]).astype(np.float32)

    def read_off(self, maps: Floats, height: int, width: int, scale: float = 1.0) -> Boxes:
        """The boxes of peaks, the most confident first: pixels of which none of the eight around is higher (section 3)."""
        count = len(self.labels)
        heat, (widths, heights, across, down) = maps[:count], maps[count:]
        padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)))
        around = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)).max((3, 4))
        numbers, rows, columns = np.nonzero((heat == around) & (heat >= _MIN_CONFIDENCE))
        order = np.argsort(-heat[numbers, rows, columns], kind="stable")[: 4 * _MAX_BOXES]
        numbers, rows, columns = numbers[order], rows[order], columns[order]
        middle = np.stack([columns + across[rows, columns], rows + down[rows, columns]], 1)
        half = np.maximum(np.stack([widths[rows, columns], heights[rows, columns]], 1), 0.5) / 2
        sides = np.concatenate([middle - half, middle + half], 1) * (self.cell / scale)
        confidences = heat[numbers, rows, columns].tolist()
        boxes = [
            Box(self.labels[number], left, upper, right, lower, confidence).within(width, height)
            for number, (left, upper, right, lower), confidence in zip(
                numbers.tolist(), sides.tolist(), confidences, strict=True
            )
        ]
        return self._suppressed([box for box in boxes if box.width > 0 and box.height > 0])[:_MAX_BOXES]

    def _suppressed(self, boxes: Sequence[Box]) -> Boxes:
        """Without those that overlap too much with a more confident one of their label; the most confident come first."""
        if not boxes:
            return ()
        every = located(boxes, self.labels)
        overlap = intersections(every.sides, every.sides)
        overlap[every.labels[:, None] != every.labels[None]] = 0
        kept: list[int] = []
        for number in range(len(boxes)):
            if not kept or overlap[number, kept].max() <= self.max_overlap:
                kept.append(number)
        return tuple(boxes[number] for number in kept)

    def _gold(self, records: Sequence[Picture]) -> list[Located]:
        return [located(record.regions.all_boxes(), self.labels) for record in records if record.regions is not None]

    def score(self, records: Sequence[Picture], predictions: Sequence[Boxes]) -> dict[str, float]:
        return average_precision(
            self._gold(records), [located(boxes, self.labels) for boxes in predictions], self.labels
        )

    def with_thresholds(self, records: Sequence[Picture], maps: Sequence[Floats], scale: float = 1.0) -> Self:
        read = [
            located(self.read_off(each, record.content.shape[0], record.content.shape[1], scale), self.labels)
            for each, record in zip(maps, records, strict=True)
        ]
        threshold = best_threshold(self._gold(records), read)
        return self if threshold is None else self.model_copy(update={"min_confidence": threshold})

    def boxes(self, prediction: Boxes) -> Boxes:
        threshold = self._choice.min_confidence
        threshold = self.min_confidence if threshold is None else threshold
        return tuple(box for box in prediction if (box.confidence or 0.0) >= threshold)

    def described(self, prediction: Boxes) -> dict[str, Any]:
        """The boxes that are sure enough, each with its sides in pixels."""
        boxes = [
            {
                "label": box.label,
                "confidence": round(box.confidence or 0.0, 6),
                "box": [round(side, 2) for side in (box.left, box.upper, box.right, box.lower)],
            }
            for box in self.boxes(prediction)
        ]
        return {"boxes": boxes}

    @property
    def columns(self) -> tuple[str, ...]:
        return ("label", "confidence", "left", "upper", "right", "lower")

    def table_rows(self, described: Mapping[str, Any]) -> list[list[str]]:
        return [[box["label"], str(box["confidence"]), *map(str, box["box"])] for box in described["boxes"]]

    def annotate(
        self, name: str, document: Document, records: Sequence[Picture], predictions: Sequence[Boxes]
    ) -> Document:
        """The document with a label for each box, whose sides are in the label's metadata."""
        labels = [
            Label(
                box.label,
                name,
                box.confidence,
                metadata={side: f"{getattr(box, side):.2f}" for side in ("left", "upper", "right", "lower")},
            )
            for box in self.boxes(predictions[0])
        ]
        return document.with_labels([*document.labels, *labels])


def _radius(width: float, height: float) -> float:
    """How far both corners of a box may be moved so that it still shares _MIN_OVERLAP of the union with the box: the worst
    of three cases, both outwards, both inwards, or one each (Law and Deng 2018, section 3.2)."""
    total, area, share = width + height, width * height, _MIN_OVERLAP
    shifted = (total - math.sqrt(total**2 - 4 * area * (1 - share) / (1 + share))) / 2
    inside = (total - math.sqrt(total**2 - 4 * area * (1 - share))) / 4
    outside = (math.sqrt(total**2 + 4 * area * (1 / share - 1)) - total) / 4
    return min(shifted, inside, outside)
