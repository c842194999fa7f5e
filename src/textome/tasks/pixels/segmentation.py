"""Segmentation: the class of each pixel, and where things touch, which thing it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from textome.documents import Document, Label
from textome.errors import InputError
from textome.inputs.pixels.regions import Box, Mask, Objects, Picture, Regions, boxes_of
from textome.metrics.detection import average_precision
from textome.metrics.segmentation import dice_and_iou, object_scores
from textome.tasks.pixels.maps import Floats, MapTask, located

# Among which the thresholds of a trained model are chosen.
_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
_DEPTHS = (0.25, 0.5, 0.75, 1.0, 1.5)


@dataclass(frozen=True, slots=True)
class Segmented:
    """What each pixel of an image is.

    classes   (height, width) uint8, 0 for nothing, else one more than the number of the label
    objects   (height, width) int32, the number of the thing, 0 for none; None where they are not told apart
    confidences  (things,) the mean probability that a pixel of the thing is of any, in the order of their numbers; None
              where things are not told apart
    """

    classes: Mask
    objects: Objects | None = None
    confidences: Floats | None = None


class Segmentation(MapTask[Segmented]):
    """The class of each pixel: none, or one of `labels`. The maps are their probabilities.

    objects    whether things that touch are told apart: the last map is how deep a pixel lies in its thing, and things grow
               from deep ones; needs masks that number things, or one for each thing
    metric     "dice" or "iou", means over images and labels; with `objects` also "aji", "object_f1", "object_precision",
               and of the boxes around things "map50" or "map"
    threshold  a pixel is of the most probable label where all labels together are at least as probable
    depth      by how many pixels a thing lies deeper in its middle than where it touches another
    min_area   in pixels, of things
    threshold and depth are fitted to the validation data when training ends.
    """

    needs: ClassVar[str] = "a mask, and with objects = true one that numbers things, or one for each thing"
    has_confidence: ClassVar[bool] = False

    kind: Literal["segmentation"] = "segmentation"
    metric: Literal["dice", "iou", "aji", "object_f1", "object_precision", "map", "map50"] = "dice"
    objects: bool = False
    threshold: float = Field(0.5, gt=0, lt=1)
    depth: float = Field(0.5, gt=0)
    min_area: int = Field(0, ge=0)

    def model_post_init(self, context: Any) -> None:
        if self.metric not in ("dice", "iou") and not self.objects:
            raise ValueError(f"metric {self.metric!r} is of things; set objects = true")

    @property
    def stride(self) -> int:
        return 1

    @property
    def biases(self) -> tuple[float, ...]:
        return (0.0,) * (1 + len(self.labels) + self.objects)

    @property
    def loss(self) -> str:
        return "areas_and_depths" if self.objects else "areas"

    def is_labelled(self, record: Picture) -> bool:
        regions = record.regions
        return regions is not None and (regions.objects if self.objects else regions.classes) is not None

    def planes(self, regions: Regions, tile: int) -> Floats:
        """The number of each pixel's class, 0 for none; with `objects` also how deep it lies."""
        planes = [self._classes(regions).astype(np.float32)]
        if self.objects:
            from textome.tasks.pixels.instances import depths

            assert regions.objects is not None
            planes.append(depths(regions.objects))
        return np.stack(planes)

    def _classes(self, regions: Regions) -> Mask:
        """(height, width) by the task's own labels."""
        assert regions.classes is not None
        if regions.names == self.labels:
            return regions.classes
        known = {label: number for number, label in enumerate(self.labels, 1)}
        return np.array([0, *(known.get(name, 0) for name in regions.names)], np.uint8)[regions.classes]

    def activated(self, scores: Floats) -> Floats:
        classes = scores[: 1 + len(self.labels)].astype(np.float64)
        powers = np.exp(classes - classes.max(0))
        maps = [powers / powers.sum(0), *(1 / (1 + np.exp(-scores[1 + len(self.labels) :].astype(np.float64))),)]
        return np.concatenate(maps).astype(np.float32)

    def read_off(self, maps: Floats, height: int, width: int, scale: float = 1.0) -> Segmented:
        from textome.inputs.pixels.pixels import upscaled

        maps = upscaled(maps, height, width)
        classes = (maps[1 : 1 + len(self.labels)].argmax(0) + 1) * (1 - maps[0] >= self.threshold)
        if not self.objects:
            return Segmented(classes.astype(np.uint8))
        from textome.tasks.pixels.instances import separated

        objects = separated(classes > 0, maps[-1], self.depth, self.min_area)
        flat = objects.ravel()
        confidences = np.bincount(flat, (1 - maps[0]).ravel())[1:] / np.bincount(flat)[1:]
        return Segmented((classes * (objects > 0)).astype(np.uint8), objects, confidences.astype(np.float32))

    def score(self, records: Sequence[Picture], predictions: Sequence[Segmented]) -> dict[str, float]:
        scores = self._area_scores(records, predictions)
        if self.objects:
            gold = [record.regions.all_boxes() for record in records if record.regions is not None]
            predicted = [self.boxes(prediction) for prediction in predictions]
            known, answers = ([located(boxes, self.labels) for boxes in every] for every in (gold, predicted))
            scores |= self._thing_scores(records, predictions) | average_precision(known, answers, self.labels)
        return scores

    def _area_scores(self, records: Sequence[Picture], predictions: Sequence[Segmented]) -> dict[str, float]:
        areas = [
            dice_and_iou(self._classes(record.regions) == number, predicted.classes == number)
            for record, predicted in zip(records, predictions, strict=True)
            for number in range(1, 1 + len(self.labels))
            if record.regions is not None
        ]
        dice, iou = np.mean(areas, 0).tolist()
        return {"dice": dice, "iou": iou}

    def _thing_scores(self, records: Sequence[Picture], predictions: Sequence[Segmented]) -> dict[str, float]:
        gold = [None if record.regions is None else record.regions.objects for record in records]
        things = zip(gold, (prediction.objects for prediction in predictions), strict=True)
        known = [(one, other) for one, other in things if one is not None and other is not None]
        return object_scores(*zip(*known, strict=True))

    def with_thresholds(self, records: Sequence[Picture], maps: Sequence[Floats], scale: float = 1.0) -> Self:
        # Areas are the same whether things are told apart or not, which takes longer.
        areas = [
            self.model_copy(update={"threshold": each, "objects": False, "metric": "dice"}) for each in _THRESHOLDS
        ]
        best = max(areas, key=lambda task: task._area_scores(records, task._all_read(records, maps))["dice"])
        task = self.model_copy(update={"threshold": best.threshold})
        if not self.objects:
            return task
        depths = [task.model_copy(update={"depth": depth}) for depth in _DEPTHS]
        return max(
            depths, key=lambda task: task._thing_scores(records, task._all_read(records, maps))["object_precision"]
        )

    def _all_read(self, records: Sequence[Picture], maps: Sequence[Floats]) -> list[Segmented]:
        sizes = [record.content.shape[:2] for record in records]
        return [self.read_off(each, *size) for each, size in zip(maps, sizes, strict=True)]

    def described(self, prediction: Segmented) -> dict[str, Any]:
        """The share of the image's pixels that each label has, and how many things there are."""
        counts = np.bincount(prediction.classes.ravel(), minlength=1 + len(self.labels))
        shares = {label: round(float(counts[number] / counts.sum()), 6) for number, label in enumerate(self.labels, 1)}
        things = {} if prediction.objects is None else {"objects": int(prediction.objects.max(initial=0))}
        return {"shares": shares} | things

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.labels, *(("objects",) if self.objects else ()))

    def table_rows(self, described: Mapping[str, Any]) -> list[list[str]]:
        things = [str(described["objects"])] if self.objects else []
        return [[*map(str, described["shares"].values()), *things]]

    def boxes(self, prediction: Segmented) -> tuple[Box, ...]:
        if prediction.objects is None:
            return super().boxes(prediction)
        boxes = boxes_of(prediction.objects, prediction.classes, self.labels)
        if prediction.confidences is None:
            return boxes
        pairs = zip(boxes, prediction.confidences.tolist(), strict=True)
        return tuple(replace(box, confidence=confidence) for box, confidence in pairs)

    def mask(self, prediction: Segmented) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The number of each pixel's thing, in 16 bits; else that of its label, and of one label 255."""
        if prediction.objects is not None:
            if (count := int(prediction.objects.max(initial=0))) > 65535:
                raise InputError(f"the image has {count:,} things; a PNG file can number 65,535")
            return prediction.objects.astype(np.uint16)
        return prediction.classes * np.uint8(255) if len(self.labels) == 1 else prediction.classes

    def annotate(
        self, name: str, document: Document, records: Sequence[Picture], predictions: Sequence[Segmented]
    ) -> Document:
        """The document with a number for each label, its share of the image, and for how many things there are."""
        described = self.described(predictions[0])
        numbers = described["shares"] | ({"objects": described["objects"]} if "objects" in described else {})
        labels = [Label.of_number(label, name, float(value)) for label, value in numbers.items()]
        return document.with_labels([*document.labels, *labels])
