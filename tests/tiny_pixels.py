"""Tiny images with squares: with masks, with a mask for each, and with boxes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 32
# Of the two things in an image: (top and left, side).
THINGS = ((2, 8), (16, 12))


def png(pixels: NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def scene(number: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """An image (32, 32) and the number of the thing of each pixel: bright squares on a dark, noisy ground."""
    generator = np.random.default_rng(number)
    things = np.zeros((SIDE, SIDE), np.int32)
    for count, (corner, side) in enumerate(THINGS, 1):
        corner += number % 4 if count == 2 else 0
        things[corner : corner + side, corner : corner + side] = count
    pixels = generator.integers(0, 60, things.shape) + 150 * (things > 0)
    return pixels.astype(np.uint8), things


def write_masked(folder: Path, count: int = 8) -> None:
    """images/NUMBER.png and masks/NUMBER.png, 255 in the squares."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels, things = scene(number)
        (folder / "images" / f"{number}.png").write_bytes(png(pixels))
        (folder / "masks" / f"{number}.png").write_bytes(png((things > 0).astype(np.uint8) * 255))


def write_things(folder: Path, count: int = 8) -> None:
    """sNUMBER/images/sNUMBER.png, and a mask for each square in sNUMBER/masks."""
    for number in range(count):
        pixels, things = scene(number)
        sample = folder / f"s{number}"
        for name in ("images", "masks"):
            (sample / name).mkdir(parents=True, exist_ok=True)
        (sample / "images" / f"s{number}.png").write_bytes(png(pixels))
        for thing in (1, 2):
            (sample / "masks" / f"m{thing}.png").write_bytes(png((things == thing).astype(np.uint8) * 255))


def write_voc(folder: Path, count: int = 8) -> None:
    """Pascal VOC: the smaller things are `square`, the larger ones `round`; the last half of the images is the test set."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels, things = scene(number)
        (folder / "JPEGImages" / f"{number}.png").write_bytes(png(pixels))
        boxes = []
        for thing, label in ((1, "square"), (2, "round")):
            rows, columns = np.nonzero(things == thing)
            sides = {"xmin": columns.min(), "ymin": rows.min(), "xmax": columns.max() + 1, "ymax": rows.max() + 1}
            inner = "".join(f"<{side}>{value}</{side}>" for side, value in sides.items())
            boxes.append(f"<object><name>{label}</name><bndbox>{inner}</bndbox></object>")
        (folder / "Annotations" / f"{number}.xml").write_text(f"<annotation>{''.join(boxes)}</annotation>")
    half = max(1, count // 2)
    splits = {"train": range(half), "test": range(half, count)}
    for split, numbers in splits.items():
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text("\n".join(map(str, numbers)))
