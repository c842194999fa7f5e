"""What data say of an image's pixels: boxes around things, the class of each pixel, and which thing it is of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textome.documents import Record
from textome.errors import InputError

Mask = NDArray[np.uint8]
Objects = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Box:
    """A thing between two columns and two rows of an image, in pixels from its upper left corner; the right column and the
    lower row are those behind the thing. `confidence` is a probability in [0, 1], or None for a human annotation."""

    label: str
    left: float
    upper: float
    right: float
    lower: float
    confidence: float | None = None

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.lower - self.upper

    def scaled(self, factor: float) -> Box:
        """The same box in an image that is `factor` times as large."""
        left, upper, right, lower = (factor * side for side in (self.left, self.upper, self.right, self.lower))
        return Box(self.label, left, upper, right, lower, self.confidence)

    def within(self, width: float, height: float) -> Box:
        """The box with what is in an image of this size."""
        left, right = (min(max(side, 0.0), width) for side in (self.left, self.right))
        upper, lower = (min(max(side, 0.0), height) for side in (self.upper, self.lower))
        return Box(self.label, left, upper, right, lower, self.confidence)


@dataclass(frozen=True, slots=True)
class Regions:
    """What data say of an image; what they do not say is None.

    names     of the classes
    classes   (height, width) uint8, 0 where there is nothing, else one more than the number of the class
    objects   (height, width) int32, 0 where there is nothing, else the number of the thing
    boxes     around each thing
    """

    names: tuple[str, ...] = ()
    classes: Mask | None = None
    objects: Objects | None = None
    boxes: tuple[Box, ...] | None = None

    def all_boxes(self) -> tuple[Box, ...]:
        """The boxes, or those around the objects. Raises InputError where there are neither."""
        if self.boxes is not None:
            return self.boxes
        if self.objects is None or self.classes is None:
            raise InputError("the data have neither boxes nor a mask for each object")
        return boxes_of(self.objects, self.classes, self.names)

    def labels(self) -> tuple[str, ...]:
        """The classes that stand in it, in alphabetical order."""
        if self.classes is not None:
            return tuple(sorted(self.names[number - 1] for number in np.unique(self.classes).tolist() if number))
        return tuple(sorted({box.label for box in self.boxes or ()}))


@dataclass(frozen=True)
class Picture(Record):
    """An image, (height, width, channels) uint8, and what its data say of its pixels, if anything."""

    regions: Regions | None = None


def boxes_of(objects: Objects, classes: Mask, names: tuple[str, ...]) -> tuple[Box, ...]:
    """The box around each object, by their numbers; its class is that of its first pixel, row by row."""
    rows, columns = np.nonzero(objects)
    if not len(rows):
        return ()
    numbers, first, inverse = np.unique(objects[rows, columns], return_index=True, return_inverse=True)
    ends = []
    for values, lowest in ((columns, True), (rows, True), (columns, False), (rows, False)):
        end = np.full(len(numbers), np.iinfo(np.int64).max if lowest else -1)
        (np.minimum if lowest else np.maximum).at(end, inverse, values)
        ends.append(end)
    labels = classes[rows[first], columns[first]]
    return tuple(
        Box(names[label - 1], float(left), float(upper), float(right) + 1, float(lower) + 1)
        for label, left, upper, right, lower in zip(labels.tolist(), *(end.tolist() for end in ends), strict=True)
    )
