"""Things that touch told apart: how deep each pixel lies in its thing, and things grown from where pixels lie deep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textome.errors import MissingExtraError
from textome.inputs.pixels.regions import Objects

try:
    from scipy import ndimage
except ModuleNotFoundError as error:
    raise MissingExtraError("telling things apart", "pixels") from error

Floats = NDArray[np.float32]
_NEIGHBOURS = np.ones((3, 3), bool)
# Steps of depth in which things grow.
_LEVELS = 8


def depths(objects: Objects) -> Floats:
    """(height, width) the distance of each pixel from the edge of its thing, as a share of the thing's largest (Naylor et
    al. 2019, section III.B); 0 where there is nothing. The edge of the image is not an edge of a thing."""
    depth = np.zeros(objects.shape, np.float32)
    for number, slices in enumerate(ndimage.find_objects(objects), 1):
        if slices is None:
            continue
        around = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in slices)
        inside = objects[around] == number
        distance = np.ones(inside.shape) if inside.all() else ndimage.distance_transform_edt(inside)
        depth[around][inside] = (distance / distance.max())[inside]
    return depth


def grown(foreground: NDArray[np.bool_], depth: Floats, threshold: float, min_area: int) -> Objects:
    """(height, width) the number of the thing of each foreground pixel, 0 elsewhere.

    A thing grows from each group of neighbouring pixels deeper than `threshold`, over the deepest pixels first, as water
    floods a relief (Vincent and Soille 1991), in `_LEVELS` steps; a group of foreground pixels without a deep one is one
    thing. Things of fewer than `min_area` pixels are left out.
    """
    things, count = ndimage.label(foreground & (depth > threshold), _NEIGHBOURS)
    things = things.astype(np.int32)
    for level in np.linspace(threshold, 0, _LEVELS + 1)[1:]:
        things = _flooded(things, foreground & (depth > level))
    things = _flooded(things, foreground)
    alone, num_alone = ndimage.label(foreground & (things == 0), _NEIGHBOURS)
    things = np.where(alone > 0, alone + count, things)
    sizes = np.bincount(things.ravel(), minlength=1 + count + num_alone)
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= max(min_area, 1))
    numbers = np.zeros(len(sizes), np.int32)
    numbers[kept] = 1 + np.arange(len(kept))
    return numbers[things]


def _flooded(things: Objects, region: NDArray[np.bool_]) -> Objects:
    """Things grown over the pixels of a region that they can reach, a pixel to each side at a time."""
    while True:
        reached = region & (things == 0)
        if not reached.any():
            return things
        around = ndimage.maximum_filter(things, size=3)
        reached &= around > 0
        if not reached.any():
            return things
        things = np.where(reached, around, things)
