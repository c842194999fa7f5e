"""Images as sequences of patches with two positions each, row and column (Dosovitskiy et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.image_files import read_images
from textome.inputs.records import Floats, Modality, Record, Segment, Segments, Shape

Pixels = NDArray[np.uint8]


class Images(Modality):
    """Images and their patches. A record's content is (height, width, channels) uint8.

    size, channels   to which every image is brought: size x size pixels, 1 for grey or 3 for colour
    patch, stride    patches of patch x patch pixels, one every `stride` pixels (0: side by side)
    margin           pixels of BCCD-like data around a box, as a share of its longer side
    flipped_views    whether a prediction is averaged over the flips that `flip` names
    shift, zoom      while training, drawn anew for each reading: up to such a share of the size
    rotate           while training: up to so many degrees
    flip             while training: which flips are drawn
    brightness, contrast, saturation  while training: factors up to 1 + so much, or its inverse
    means, deviations   of each channel of the training data, which pixels are standardised by
    """

    kind: Literal["image"] = "image"
    size: int = Field(28, ge=2)
    channels: Literal[1, 3] = 1
    patch: int = Field(4, ge=1)
    stride: int = Field(0, ge=0)
    margin: float = Field(0.1, ge=0, le=1)
    shift: float = Field(0.0, ge=0, lt=1)
    zoom: float = Field(0.0, ge=0, lt=1)
    rotate: float = Field(0.0, ge=0, le=180)
    flip: Literal["none", "horizontal", "both"] = "none"
    brightness: float = Field(0.0, ge=0)
    contrast: float = Field(0.0, ge=0)
    saturation: float = Field(0.0, ge=0)
    flipped_views: bool = False
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _patches_fit(self) -> Self:
        if self.patch > self.size:
            raise ValueError(f"patch is {self.patch}, larger than the image's size {self.size}")
        if self.flipped_views and self.flip == "none":
            raise ValueError("flipped_views averages over the flips that `flip` names, which is none")
        return self

    @property
    def side(self) -> int:
        """Patches along a side."""
        return math.ceil((self.size - self.patch) / (self.stride or self.patch)) + 1

    def read(self, path: str, quarantine: Quarantine) -> Iterator[Record]:
        return read_images(path, quarantine, self.channels, self.margin)

    def shapes(self) -> dict[str, Shape]:
        return {"image": Shape("vectors", self.patch**2 * self.channels, (self.side, self.side))}

    def fitted(self, records: Sequence[Record]) -> Self:
        pixels = [self._resized(record.content).reshape(-1, self.channels) for record in records]
        count = sum(map(len, pixels))
        means = sum(rows.sum(0, dtype=np.float64) for rows in pixels) / count
        squares = sum((rows.astype(np.float64) ** 2).sum(0) for rows in pixels) / count
        deviations = np.sqrt(np.maximum(squares - means**2, 1e-6))
        return self.model_copy(update={"means": tuple(means.tolist()), "deviations": tuple(deviations.tolist())})

    def features(self, content: Pixels) -> Segments:
        """One segment of (side * side) patches, row by row; pixels beyond the right and lower edge are the mean."""
        image = (self._resized(content).astype(np.float32) - self._row(self.means)) / self._row(self.deviations)
        stride, side = self.stride or self.patch, self.side
        missing = (side - 1) * stride + self.patch - self.size
        if missing:
            image = np.pad(image, ((0, missing), (0, missing), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(image, (self.patch, self.patch), (0, 1))[::stride, ::stride]
        values = windows.transpose(0, 1, 3, 4, 2).reshape(side * side, -1)
        rows, columns = np.divmod(np.arange(side * side), side)
        return {"image": Segment(np.ascontiguousarray(values, np.float32), np.stack([rows, columns], 1))}

    def augmented(self, content: Pixels, generator: np.random.Generator) -> Pixels:
        image = self._resized(content)
        if self.flip != "none" and generator.random() < 0.5:
            image = image[:, ::-1]
        if self.flip == "both" and generator.random() < 0.5:
            image = image[::-1]
        if self.shift or self.zoom or self.rotate:
            image = self._moved(image, generator)
        return recoloured(image, generator, self.brightness, self.contrast, self.saturation)

    def views(self, content: Pixels) -> list[Pixels]:
        image = self._resized(content)
        if not self.flipped_views:
            return [image]
        rows = [image, image[::-1]] if self.flip == "both" else [image]
        return rows + [view[:, ::-1] for view in rows]

    def _row(self, values: tuple[float, ...]) -> Floats:
        if len(values) != self.channels:
            raise InputError("the means and deviations of the pixels are not known; train the model first")
        return np.asarray(values, np.float32)

    def _resized(self, content: Pixels) -> Pixels:
        if content.shape[:2] == (self.size, self.size):
            return content
        from PIL import Image

        flat = content[:, :, 0] if self.channels == 1 else content
        image = Image.fromarray(flat).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(self.size, self.size, self.channels)

    def _moved(self, image: Pixels, generator: np.random.Generator) -> Pixels:
        """Turned, zoomed and shifted about the middle, once through pillow; the edge goes on outside."""
        from PIL import Image

        angle = math.radians(generator.uniform(-self.rotate, self.rotate))
        scale = (1 + self.zoom) ** generator.uniform(-1, 1)
        across, down = generator.uniform(-self.shift, self.shift, 2) * self.size
        border = math.ceil(self.size / 2)
        padded = np.pad(image, ((border, border), (border, border), (0, 0)), mode="edge")
        cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
        middle, centre = self.size / 2, self.size / 2 + border
        # From a place in the result to the one in the padded image that it is read from; a pixel is at its middle.
        matrix = (
            *(cosine, sine, centre - cosine * (middle + across) - sine * (middle + down)),
            *(-sine, cosine, centre + sine * (middle + across) - cosine * (middle + down)),
        )
        flat = padded[:, :, 0] if self.channels == 1 else padded
        moved = Image.fromarray(np.ascontiguousarray(flat)).transform(
            (self.size, self.size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        return np.asarray(moved).reshape(image.shape)


def recoloured(
    image: Pixels, generator: np.random.Generator, brightness: float, contrast: float, saturation: float
) -> Pixels:
    """An image (height, width, channels) with factors drawn up to 1 + these, or their inverse."""
    if not (brightness or contrast or saturation):
        return image
    values = image.astype(np.float32)
    brighter, harder, stronger = ((1 + most) ** generator.uniform(-1, 1) for most in (brightness, contrast, saturation))
    values *= brighter
    values = (values - values.mean()) * harder + values.mean()
    if image.shape[2] == 3:
        grey = values.mean(2, keepdims=True)
        values = (values - grey) * stronger + grey
    pixels: Pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels
