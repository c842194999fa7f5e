"""Images of any size in tiles that overlap, and maps of tiles merged into those of the image, without a seam."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
# Maps (num_maps, tile / stride, tile / stride) of a tile (channels, tile, tile).
Run = Callable[[Floats], Floats]


def starts(length: int, tile: int, overlap: int, step: int = 1) -> list[int]:
    """Where tiles begin along a side of `length` pixels: evenly spread, neighbours sharing at least `overlap`.

    step   starts are multiples of it; `length` and `tile` must be too, and `overlap + step` be less than `tile`

    The first begins at 0, and the last ends at `length`. A side that is no longer than a tile has one.
    """
    if length <= tile:
        return [0]
    count = -(-(length - tile) // ((tile - overlap) // step * step)) + 1
    return [number * (length - tile) // (count - 1) // step * step for number in range(count)]


def weights(tile: int, overlap: int) -> Floats:
    """(tile, tile) how much each pixel of a tile counts: 1 in its middle, falling linearly to the edges over `overlap`
    pixels, where another tile sees more of what is around."""
    distance = np.minimum(np.arange(tile), np.arange(tile)[::-1]) + 0.5
    side = np.minimum(distance / max(overlap, 1), 1.0).astype(np.float32)
    return np.outer(side, side)


def merged(image: Floats, tile: int, overlap: int, stride: int, run: Run) -> Floats:
    """The maps (num_maps, ceil(height / stride), ceil(width / stride)) of an image (channels, height, width).

    tile, overlap   in pixels; beyond the image its edge goes on
    stride          pixels of the image along a side of a pixel of the maps
    run             gives the maps of a tile; tiles are computed one by one, so that what a tile gives depends on no other

    Where tiles overlap, their maps are averaged by `weights`.
    """
    height, width = image.shape[1:]
    whole = [max(tile, -(-side // stride) * stride) for side in (height, width)]
    padded = np.pad(image, ((0, 0), (0, whole[0] - height), (0, whole[1] - width)), mode="edge")
    shares = weights(tile // stride, max(overlap // stride, 1))
    total: Floats | None = None
    counts = np.zeros([side // stride for side in whole], np.float32)
    for top in starts(whole[0], tile, overlap, stride):
        for left in starts(whole[1], tile, overlap, stride):
            maps = run(np.ascontiguousarray(padded[:, top : top + tile, left : left + tile]))
            if total is None:
                total = np.zeros((len(maps), *counts.shape), np.float32)
            rows, columns = (slice(first // stride, (first + tile) // stride) for first in (top, left))
            total[:, rows, columns] += maps * shares
            counts[rows, columns] += shares
    assert total is not None  # there is at least one tile
    return (total / counts)[:, : -(-height // stride), : -(-width // stride)]
