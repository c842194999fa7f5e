"""Things that touch told apart: how deep each pixel lies in its thing, and a watershed from where pixels lie deep."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from textome.errors import MissingExtraError
from textome.inputs.pixels.regions import Objects

try:
    from scipy import ndimage
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed
except ModuleNotFoundError as error:
    raise MissingExtraError("telling things apart", "pixels") from error

Floats = NDArray[np.float32]
_NEIGHBOURS = np.ones((3, 3), bool)
# Pixels that a model's depth counts beside the distance from the ground, and by which the relief is smoothed; chosen on
# validation images of nuclei.
_DEPTH_WEIGHT, _SIGMA = 2.0, 1.0


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


def separated(foreground: NDArray[np.bool_], depth: Floats, min_rise: float, min_area: int) -> Objects:
    """(height, width) the number of the thing of each foreground pixel, 0 elsewhere.

    A watershed (Vincent and Soille 1991) over a relief: the distance in pixels from the ground, to which the depths that a
    model says count `_DEPTH_WEIGHT` pixels. A thing grows from each maximum that rises by `min_rise` above the pass to a
    higher one; a group of foreground pixels without one is one thing. Things of fewer than `min_area` pixels are left out.
    """
    relief = ndimage.gaussian_filter(ndimage.distance_transform_edt(foreground) + _DEPTH_WEIGHT * depth, _SIGMA)
    relief[~foreground] = 0
    seeds, count = ndimage.label(h_maxima(relief, min_rise).astype(bool) & foreground, _NEIGHBOURS)
    things = watershed(-relief, seeds, connectivity=2, mask=foreground)
    alone, num_alone = ndimage.label(foreground & (things == 0), _NEIGHBOURS)
    things = np.where(alone > 0, alone + count, things)
    sizes = np.bincount(things.ravel(), minlength=1 + count + num_alone)
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= max(min_area, 1))
    numbers = np.zeros(len(sizes), np.int32)
    numbers[kept] = 1 + np.arange(len(kept))
    objects: Objects = numbers[things]
    return objects
