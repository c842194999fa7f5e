"""Masks and boxes as files: a PNG for each image, and COCO's JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from textome.errors import MissingExtraError
from textome.formats.reading.sources import atomic_file
from textome.inputs.pixels.regions import Box


def write_mask(path: str | Path, mask: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Write numbers (height, width) as a grey PNG of 8 or 16 bits, whole or not at all."""
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MissingExtraError("writing masks", "pixels") from error
    stream, path = io.BytesIO(), Path(path)
    Image.fromarray(mask).save(stream, "PNG")
    with atomic_file(path) as file:
        file.write(stream.getvalue())
    return path


def mask_name(identity: str) -> Path:
    """The name of an image's mask: that of the image, as PNG."""
    return Path(identity).with_suffix(".png")


def coco(images: Iterable[tuple[str, int, int, Sequence[Box]]], labels: Sequence[str]) -> dict[str, Any]:
    """Images, as (file name, height, width, boxes), in COCO's format (Lin et al. 2014; cocodataset.org, "Data format"):
    ids count from 1, a box is [left, upper, width, height], and predicted ones have a `score`."""
    categories = {label: number for number, label in enumerate(labels, 1)}
    files: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, height, width, boxes) in enumerate(images, 1):
        files.append({"id": number, "file_name": name, "height": height, "width": width})
        for box in boxes:
            sides = [round(side, 2) for side in (box.left, box.upper, box.width, box.height)]
            item = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": categories[box.label],
                "bbox": sides,
                "area": round(box.width * box.height, 2),
                "iscrowd": 0,
            }
            annotations.append(item if box.confidence is None else item | {"score": round(box.confidence, 6)})
    named = [{"id": number, "name": label} for label, number in categories.items()]
    return {"images": files, "annotations": annotations, "categories": named}


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    with atomic_file(Path(path)) as stream:
        stream.write(json.dumps(value, ensure_ascii=False).encode())
