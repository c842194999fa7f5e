"""Images as they are, of any size: read in tiles that overlap, so that something can be said of each pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.images import Pixels as Image
from textome.inputs.images import recoloured
from textome.inputs.pixels.files import read_pictures
from textome.inputs.pixels.regions import Box, Picture, Regions
from textome.inputs.pixels.tiles import Run, merged
from textome.inputs.records import Floats, Modality, Record, Shape

Kind = TypeVar("Kind", bound=np.generic)
# The tile's side must be a multiple of it.
PATCH = 8
# The shares of the values of an image that are at most its darkest and its brightest ones, and the least range between.
_DARKEST, _BRIGHTEST, _MIN_SPAN = 0.01, 0.998, 8
# A box of which less than this share is in a tile is not looked for there.
MIN_VISIBLE = 0.4


class Pixels(Modality):
    """Images whose pixels count. A record's content is (height, width, channels) uint8, of any size.

    channels   1 for grey or 3 for colour, to which every image is brought
    scale      by which an image is made smaller, or larger, before it is read
    stretch    whether each image's values are stretched first, so that its darkest are 0 and its brightest 255, for images
               of different exposures
    tile       pixels along a side of what is read at once, a multiple of 8
    overlap    pixels that neighbouring tiles share at least
    values     of masks with classes: the value of each class's pixels; without it all pixels above 0 are of one class,
               "object". Other values than those and 0 are an error
    objects    whether the values of masks number things, as pixels of one value are of one
    crops      while training: tiles drawn from each image in an epoch; 0 for as many as cover it
    flip       while training: which flips are drawn
    turns      while training: whether quarter turns are drawn
    zoom       while training: factors up to 1 + so much, or its inverse
    brightness, contrast, saturation  while training: factors up to 1 + so much, or its inverse
    invert     while training: the share of tiles that are drawn as negatives, dark for light
    means, deviations   of each channel of the training data, which pixels are standardised by
    """

    kind: Literal["pixels"] = "pixels"
    channels: Literal[1, 3] = 1
    scale: float = Field(1.0, gt=0, le=8)
    stretch: bool = False
    tile: int = Field(128, ge=PATCH, multiple_of=PATCH)
    overlap: int = Field(32, ge=0)
    values: dict[str, int] = Field(default_factory=dict)
    objects: bool = False
    crops: int = Field(0, ge=0)
    flip: Literal["none", "horizontal", "both"] = "both"
    turns: bool = True
    zoom: float = Field(0.0, ge=0, le=1)
    brightness: float = Field(0.0, ge=0)
    contrast: float = Field(0.0, ge=0)
    saturation: float = Field(0.0, ge=0)
    invert: float = Field(0.0, ge=0, le=1)
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.overlap > self.tile // 2:
            raise ValueError(f"overlap is {self.overlap}; at most half of the tile's {self.tile} pixels")
        if self.values and (self.objects or len(set(self.values.values())) < len(self.values)):
            raise ValueError("values are of classes, one each; they do not go with objects = true")
        return self

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        return read_pictures(path, quarantine, self.channels, self.values, self.objects)

    def shapes(self) -> dict[str, Shape]:
        side = self.tile // PATCH
        return {"image": Shape("vectors", PATCH**2 * self.channels, (side, side))}

    def fitted(self, records: Sequence[Record]) -> Self:
        count, total, squares = 0, np.zeros(self.channels), np.zeros(self.channels)
        for record in records:
            values = self.resized(record.content).reshape(-1, self.channels).astype(np.float64)
            count, total, squares = count + len(values), total + values.sum(0), squares + (values**2).sum(0)
        means = total / count
        deviations = np.sqrt(np.maximum(squares / count - means**2, 1.0))
        return self.model_copy(update={"means": tuple(means.tolist()), "deviations": tuple(deviations.tolist())})

    def standardised(self, image: Image) -> Floats:
        """(channels, height, width) float32 of pixels. Raises InputError before training."""
        if len(self.means) != self.channels:
            raise InputError("the means and deviations of the pixels are not known; train the model first")
        values = (image.astype(np.float32) - np.array(self.means, np.float32)) / np.array(self.deviations, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def check(self, content: Image) -> None:
        """Raises InputError for what is not an image with the model's channels."""
        if not isinstance(content, np.ndarray) or content.dtype != np.uint8 or content.ndim != 3:
            raise InputError("expected an image as (height, width, channels) uint8")
        if content.shape[2] != self.channels or 0 in content.shape:
            raise InputError(f"the image is {content.shape}; the model reads (height, width, {self.channels})")

    def maps(self, content: Image, stride: int, run: Run) -> Floats:
        """The merged maps of an image, see `tiles.merged`; of an image that is scaled by `scale` first."""
        self.check(content)
        return merged(self.standardised(self.resized(content)), self.tile, self.overlap, stride, run)

    def resized(self, content: Image) -> Image:
        """An image as it is read: stretched and scaled, where the settings say so."""
        if self.stretch:
            content = stretched(content)
        if self.scale == 1:
            return content
        size = (max(1, round(side * self.scale)) for side in content.shape[:2])
        return _resized(content, *size)

    def num_crops(self, content: Image) -> int:
        """Tiles that are drawn from an image in an epoch."""
        height, width = (side * self.scale / self.tile for side in content.shape[:2])
        return self.crops or max(1, round(height * width))

    def drawn(self, record: Picture, generator: np.random.Generator) -> tuple[Image, Regions]:
        """A tile of an image as it is read once while training, and the regions in it."""
        image, regions = self.resized(record.content), record.regions
        assert regions is not None
        factor = (1 + self.zoom) ** generator.uniform(-1, 1)
        size = max(2, round(self.tile / factor))
        top, left = (int(generator.integers(max(0, side - size), endpoint=True)) for side in image.shape[:2])
        turn = int(generator.integers(4)) if self.turns else 0
        across = self.flip != "none" and generator.random() < 0.5
        down = self.flip == "both" and generator.random() < 0.5

        def placed(values: NDArray[Kind], mode: Literal["edge", "constant"]) -> NDArray[Kind]:
            turned = np.rot90(_cut(values, top, left, size, mode), turn)
            turned = turned[:, ::-1] if across else turned
            return turned[::-1] if down else turned

        tile = _resized(np.ascontiguousarray(placed(image, "edge")), self.tile, self.tile)
        tile = recoloured(tile, generator, self.brightness, self.contrast, self.saturation)
        if self.invert and generator.random() < self.invert:
            tile = 255 - tile

        def plane(values: NDArray[Kind] | None) -> NDArray[Kind] | None:
            if values is None:
                return None
            return _nearest(placed(_nearest(values, *image.shape[:2]), "constant"), self.tile, self.tile)

        boxes = None
        if regions.boxes is not None:
            moved = (_moved(box.scaled(self.scale), top, left, size, turn, across, down) for box in regions.boxes)
            visible = (box.within(size, size) for box in moved if _visible(box, size))
            boxes = tuple(box.scaled(self.tile / size) for box in visible)
        return tile, Regions(regions.names, plane(regions.classes), plane(regions.objects), boxes)


def stretched(image: Image) -> Image:
    """An image whose values are stretched linearly from _DARKEST to _BRIGHTEST of them, over at least _MIN_SPAN."""
    shares = np.bincount(image.ravel(), minlength=256).cumsum() / image.size
    low, high = (int(np.searchsorted(shares, share)) for share in (_DARKEST, _BRIGHTEST))
    table = (np.arange(256) - low) * (255 / max(high - low, _MIN_SPAN))
    pixels: Image = np.clip(np.rint(table), 0, 255).astype(np.uint8)[image]
    return pixels


def _visible(box: Box, size: int) -> bool:
    inside = box.within(size, size)
    return inside.width * inside.height >= MIN_VISIBLE * box.width * box.height


def _moved(box: Box, top: int, left: int, size: int, turn: int, across: bool, down: bool) -> Box:
    """A box of an image as it stands in a tile that is cut out, turned against the clock and flipped."""
    sides = box.left - left, box.upper - top, box.right - left, box.lower - top
    for _ in range(turn):
        sides = sides[1], size - sides[2], sides[3], size - sides[0]
    if across:
        sides = size - sides[2], sides[1], size - sides[0], sides[3]
    if down:
        sides = sides[0], size - sides[3], sides[2], size - sides[1]
    return Box(box.label, *sides)


def _cut(values: NDArray[Kind], top: int, left: int, size: int, mode: Literal["edge", "constant"]) -> NDArray[Kind]:
    """size x size pixels of an array (height, width, ...); behind it its edge goes on, or nothing is there."""
    inside: NDArray[Kind] = values[top : top + size, left : left + size]
    missing = [(0, size - side) for side in inside.shape[:2]]
    if not any(after for _, after in missing):
        return inside
    padded: NDArray[Kind] = np.pad(inside, [*missing, *[(0, 0)] * (values.ndim - 2)], mode=mode)
    return padded


def _nearest(values: NDArray[Kind], height: int, width: int) -> NDArray[Kind]:
    """An array (h, w) brought to another size, each pixel that of the nearest one."""
    if values.shape == (height, width):
        return values
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip((height, width), values.shape, strict=True)
    )
    chosen: NDArray[Kind] = values[rows[:, None], columns[None, :]]
    return chosen


def _resized(image: Image, height: int, width: int) -> Image:
    if image.shape[:2] == (height, width):
        return image
    from PIL import Image as Pillow

    flat = image[:, :, 0] if image.shape[2] == 1 else image
    resized = Pillow.fromarray(flat).resize((width, height), Pillow.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, image.shape[2])


def upscaled(maps: Floats, height: int, width: int) -> Floats:
    """Maps (num_maps, h, w) brought to another size, bilinear."""
    if maps.shape[1:] == (height, width):
        return maps
    from PIL import Image as Pillow

    planes = [Pillow.fromarray(plane).resize((width, height), Pillow.Resampling.BILINEAR) for plane in maps]
    return np.stack([np.asarray(plane) for plane in planes])
