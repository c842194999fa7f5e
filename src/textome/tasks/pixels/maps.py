"""What tasks about pixels have in common: maps of an image, their targets, and what is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError
from textome.inputs.pixels.regions import Box, Picture, Regions
from textome.metrics.detection import Located
from textome.tasks.task import HeadShape, Task

Floats = NDArray[np.float32]
P = TypeVar("P")


class MapTask(Task[Picture, P], Generic[P]):
    """A task whose model gives maps, `num_maps` numbers for each pixel, or for each square of `stride` pixels.

    labels   the classes; empty: those of the training data, in alphabetical order
    """

    has_calibration: ClassVar[bool] = True
    trained_by: ClassVar[str] = "maps"
    run_by: ClassVar[str] = "map_encoder"

    # What labelled data have, for messages.
    needs: ClassVar[str] = ""
    output_kind: ClassVar[str] = "labels"

    labels: tuple[str, ...] = ()

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        return frozenset({"calibration"})

    @property
    def stride(self) -> int:
        """Pixels of an image along a side of a pixel of the maps."""
        raise NotImplementedError

    @property
    def biases(self) -> tuple[float, ...]:
        """Of the maps before training, as many as there are."""
        raise NotImplementedError

    @property
    def head_shape(self) -> HeadShape:
        return HeadShape(len(self.biases), 0)

    @property
    def label_names(self) -> tuple[str, ...]:
        return self.labels

    def labels_of(self, record: Picture) -> tuple[str, ...]:
        return () if record.regions is None else record.regions.labels()

    def fitted(self, name: str, records: Sequence[Picture]) -> Self:
        labels = self.labels or tuple(sorted({label for record in records for label in self.labels_of(record)}))
        if not labels:
            raise InputError("the training data mark nothing in any image; look at input.values, or at the masks")
        return self.model_copy(update={"labels": labels})

    def check_labels(self, record: Picture) -> None:
        if not self.is_labelled(record):
            raise InputError(f"record {record.id}: expected {self.needs}")
        super().check_labels(record)

    def planes(self, regions: Regions, tile: int) -> Floats:
        """(planes, tile / stride, tile / stride) what the maps of a tile should be, as the task's loss takes it."""
        raise NotImplementedError

    def activated(self, scores: Floats) -> Floats:
        """Maps of scores (num_maps, height, width) as they can be averaged where tiles overlap."""
        raise NotImplementedError

    def read_off(self, maps: Floats, height: int, width: int, scale: float = 1.0) -> P:
        """What maps say of an image of this size in pixels; they are of the image made `scale` times as large."""
        raise NotImplementedError

    def with_thresholds(self, records: Sequence[Picture], maps: Sequence[Floats], scale: float = 1.0) -> Self:
        """The task with the thresholds under which validation records score best by the maps of a trained model."""
        return self

    def boxes(self, prediction: P) -> tuple[Box, ...]:
        """The boxes of a prediction, those that are sure enough. Raises InputError where it has none."""
        raise InputError(f"this model of kind {self.kind} gives no boxes; write its masks with --to png")

    def mask(self, prediction: P) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """The prediction as the pixels of a PNG file. Raises InputError where it has none."""
        raise InputError(f"a model of kind {self.kind} gives no masks; write its boxes with --to jsonl or --to coco")


def located(boxes: Sequence[Box], labels: Sequence[str]) -> Located:
    """Boxes as scores take them, without those of other labels."""
    numbers = {label: number for number, label in enumerate(labels)}
    known = [box for box in boxes if box.label in numbers]
    return Located(
        np.array([numbers[box.label] for box in known], np.int64),
        np.array([(box.left, box.upper, box.right, box.lower) for box in known], np.float64).reshape(-1, 4),
        np.array([1.0 if box.confidence is None else box.confidence for box in known], np.float64),
    )
