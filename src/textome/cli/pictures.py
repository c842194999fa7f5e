"""Masks and boxes of images as files, for `textome predict`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textome.cli.streams import finish, reported, say
from textome.errors import InputError

if TYPE_CHECKING:
    from textome.formats import Quarantine
    from textome.inputs.pixels.regions import Picture
    from textome.runtime.pixels.predictor import MapPredictor


def write_pictures(predictor: MapPredictor, inputs: Sequence[str], output: Path, to: str) -> None:
    """Write a mask for each image into the folder `output`, or the boxes of all to the file `output`.

    to   "png" or "coco"
    """
    from textome.formats import Quarantine

    if str(output) == "-":
        raise InputError(f"--to {to} needs --output: {'a folder' if to == 'png' else 'a file'}")
    quarantine = Quarantine()
    with reported(quarantine):
        write = _write_masks if to == "png" else _write_boxes
        count = write(predictor, _answers(predictor, inputs, quarantine), output, quarantine)
    say(f"{count:,} images with {predictor.name}: {output}")
    finish(quarantine, count)


def _answers(
    predictor: MapPredictor, inputs: Sequence[str], quarantine: Quarantine
) -> Iterator[tuple[str, Picture, Any]]:
    """Each image with its file and its prediction; of several paths one that cannot be read is quarantined."""
    for path in inputs:
        try:
            for picture, prediction in predictor.stream(path, quarantine):
                yield path, cast("Picture", picture), prediction
        except InputError as error:
            if len(inputs) == 1:
                raise
            quarantine.add(path, "", str(error).removeprefix(f"{path}: "))


def _write_masks(
    predictor: MapPredictor, answers: Iterator[tuple[str, Picture, Any]], output: Path, quarantine: Quarantine
) -> int:
    from textome.runtime.pixels.writing import mask_name, write_mask

    written: set[Path] = set()
    for path, picture, prediction in answers:
        mask, name = predictor.only_task.mask(prediction), mask_name(picture.id)
        if name in written:
            quarantine.add(
                path, f"record {picture.id}", f"another image has the mask {name} already; rename one of them"
            )
            continue
        written.add(name)
        write_mask(output / name, mask)
    return len(written)


def _write_boxes(
    predictor: MapPredictor, answers: Iterator[tuple[str, Picture, Any]], output: Path, quarantine: Quarantine
) -> int:
    from textome.runtime.pixels.writing import coco, write_json

    task = predictor.only_task
    images = [(picture.id, *picture.content.shape[:2], task.boxes(prediction)) for _, picture, prediction in answers]
    write_json(output, coco(images, task.labels))
    return len(images)
