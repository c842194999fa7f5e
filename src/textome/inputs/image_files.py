"""Images from files: PNG, JPEG and the like, MedMNIST archives, JSON lists of pixels, boxes cut out of annotated images.

What a path holds is recognised by its content:

    an image file, or a folder of them    `CLASS/name.png` has the label CLASS where the folder holds folders
    name.npz          MedMNIST: train_images, train_labels, ...; attribute `split`
    name-images-idx3-ubyte   MNIST's arrays (LeCun, "The MNIST database"), labels in name-labels-idx1-ubyte beside them;
                      attribute `split`: "train", and "test" of t10k. A folder of such files too
    name.json         {"data": [...]}, images of 28 x 28 grey values from 0 to 1; the label is the file's name. A folder too
    a folder with Annotations and JPEGImages, or a tar of it
                      Pascal VOC: one record for each box; attributes `image`, `split`
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lxml import etree
from numpy.typing import NDArray

from textome.errors import InputError, MissingExtraError
from textome.formats.reading.archives import unpacked
from textome.formats.reading.compression import DECOMPRESSION_ERRORS
from textome.formats.reading.sources import Quarantine, Source
from textome.inputs.records import Record

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")
MAX_PIXELS = 64_000_000
_JSON_SIDE = 28
_IDX = re.compile(r"images[-.]idx3-ubyte(\.gz)?$")
_SPLITS = {"train": "train", "val": "validation", "test": "test"}

Pixels = NDArray[np.uint8]


def read_images(path: str, quarantine: Quarantine, channels: int, margin: float) -> Iterator[Record]:
    """The records of a file or folder, each (height, width, channels) uint8; see Images for `margin`.

    Raises InputError where the path is missing or holds no image.
    """
    location = Path(path)
    if not location.exists():
        raise InputError(f"{path}: no such file or directory")
    if location.suffix == ".tar" or location.name.endswith((".tar.gz", ".tar.xz")):
        location = unpacked(location)
    if (location / "Annotations").is_dir():
        yield from _boxes(location, path, quarantine, channels, margin)
    elif location.suffix == ".npz":
        yield from _medmnist(location, channels)
    elif location.is_file() and _IDX.search(location.name):
        yield from _idx(location, channels)
    elif location.is_file() and ".json" in location.suffixes:
        yield from _pixel_lists(location, quarantine, channels)
    elif location.is_file():
        yield from _files([location], location.parent, quarantine, channels)
    else:
        files = sorted(file for file in location.rglob("*") if file.is_file() and not file.name.startswith("."))
        lists = [file for file in files if file.suffix in (".json", ".xz", ".gz") and file.stem.split(".")[0].isalnum()]
        lists = [file for file in lists if ".json" in file.suffixes and file.name != "SOURCE.json"]
        images = [file for file in files if file.suffix.lower() in SUFFIXES]
        arrays = [file for file in files if _IDX.search(file.name)]
        if arrays and not images:
            for file in arrays:
                yield from _idx(file, channels)
        elif images:
            yield from _files(images, location, quarantine, channels)
        elif lists:
            for file in lists:
                yield from _pixel_lists(file, quarantine, channels)
        else:
            raise InputError(f"{path}: the folder holds no images ({', '.join(SUFFIXES)}, .json)")


def decoded(data: bytes, channels: int) -> Pixels:
    """The pixels of an image file, (height, width, channels) uint8; transparency is laid on white.

    Raises InputError for what is not an image, truncated, or of more than MAX_PIXELS.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading images", "modalities") from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"the image has {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are read"
                )
            image.load()
            upright: Any = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
                values = np.asarray(upright, np.float64)
                top = 65535.0 if upright.mode != "F" else max(float(values.max()), 1.0)
                upright = Image.fromarray(np.clip(values * 255 / top, 0, 255).astype(np.uint8))
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                clear = upright.convert("RGBA")
                white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
                upright = Image.alpha_composite(white, clear)
            pixels = np.asarray(upright.convert("L" if channels == 1 else "RGB"))
    except UnidentifiedImageError as error:
        raise InputError("this is not an image that can be read; expected PNG, JPEG, TIFF, BMP, GIF or WebP") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the image is damaged or truncated ({error})") from error
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def decoded_files(files: Iterable[Path], quarantine: Quarantine, channels: int) -> Iterator[tuple[Path, Pixels]]:
    """The pixels of each file that can be read."""
    for file in files:
        try:
            yield file, decoded(file.read_bytes(), channels)
        except (InputError, OSError) as error:
            quarantine.add(str(file), "", error)


def _files(files: list[Path], folder: Path, quarantine: Quarantine, channels: int) -> Iterator[Record]:
    for file, pixels in decoded_files(files, quarantine, channels):
        label = file.parent.name if file.parent != folder else None
        yield Record(file.relative_to(folder).as_posix(), content=pixels, target=label)


def _medmnist(path: Path, channels: int) -> Iterator[Record]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            parts = {split: (arrays[f"{split}_images"], arrays[f"{split}_labels"]) for split in _SPLITS}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: this is not a MedMNIST archive with {', '.join(_SPLITS)} ({error})") from error
    for split, (images, labels) in parts.items():
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            pixels = _channels(image, channels)
            yield Record(
                f"{split}/{number}", metadata={"split": _SPLITS[split]}, content=pixels, target=str(int(label[0]))
            )


def _idx(path: Path, channels: int) -> Iterator[Record]:
    """The images of an IDX file, with the labels of the file beside it where there is one."""
    images = _idx_array(path, 3)
    beside = re.sub(r"images([-.])idx3", r"labels\1idx1", path.name)
    names = (beside, beside.removesuffix(".gz"), f"{beside}.gz")
    labels_file = next((file for name in names if (file := path.with_name(name)).is_file()), None)
    labels = None if labels_file is None else _idx_array(labels_file, 1)
    if labels is not None and len(labels) != len(images):
        raise InputError(f"{path}: {len(images):,} images, but {labels_file} has {len(labels):,} labels")
    name = re.split(r"[-.]images", path.name)[0]
    split = {"train": "train", "t10k": "test", "test": "test"}.get(name, "none")
    for number, image in enumerate(images):
        target = None if labels is None else str(int(labels[number]))
        yield Record(f"{name}/{number}", metadata={"split": split}, content=_channels(image, channels), target=target)


def _idx_array(path: Path, axes: int) -> Pixels:
    """An IDX file of bytes: two zeros, the type 8, the number of axes, their lengths (big-endian, 32 bits), the numbers."""
    try:
        with Source.of(path).open() as stream:
            data = stream.read()
    except DECOMPRESSION_ERRORS as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    start = 4 + 4 * axes
    if data[:4] != bytes([0, 0, 8, axes]) or len(data) < start:
        raise InputError(f"{path}: this is not an IDX file of bytes with {axes} axes")
    shape = np.frombuffer(data[4:start], ">u4").tolist()
    if len(data) - start != math.prod(shape):
        raise InputError(f"{path}: {len(data) - start:,} numbers, but its head says {' x '.join(map(str, shape))}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def _pixel_lists(path: Path, quarantine: Quarantine, channels: int) -> Iterator[Record]:
    label = path.name.partition(".")[0]
    try:
        with Source.of(path).open() as stream:
            values = np.asarray(json.load(stream)["data"], np.float32)
    except (*DECOMPRESSION_ERRORS, ValueError, KeyError, TypeError) as error:
        raise InputError(f'{path}: expected {{"data": [...]}} with grey values from 0 to 1 ({error})') from error
    size = _JSON_SIDE**2
    if len(values) % size:
        quarantine.add(str(path), f"image {len(values) // size}", f"{len(values) % size} values, expected {size}")
    for number in range(len(values) // size):
        image = values[number * size : (number + 1) * size]
        if not (np.isfinite(image).all() and image.min() >= 0 and image.max() <= 1):
            quarantine.add(str(path), f"image {number}", "a grey value is not between 0 and 1")
            continue
        pixels = np.rint(255 * image).astype(np.uint8).reshape(_JSON_SIDE, _JSON_SIDE)
        yield Record(f"{label}/{number}", content=_channels(pixels, channels), target=label)


def _channels(image: Pixels, channels: int) -> Pixels:
    """An array with or without channels as (height, width, channels)."""
    pixels = image[:, :, None] if image.ndim == 2 else image
    if pixels.shape[2] == channels:
        return pixels
    return np.repeat(pixels, 3, 2) if channels == 3 else np.rint(pixels.mean(2, keepdims=True)).astype(np.uint8)


def _boxes(folder: Path, path: str, quarantine: Quarantine, channels: int, margin: float) -> Iterator[Record]:
    """The boxes of Pascal VOC annotations, cut out as squares around their middle."""
    splits = voc_splits(folder)
    for file in sorted((folder / "Annotations").glob("*.xml")):
        name = file.stem
        try:
            root = etree.parse(file, etree.XMLParser(resolve_entities=False, no_network=True)).getroot()
            image = decoded((folder / "JPEGImages" / f"{name}.jpg").read_bytes(), channels)
        except (etree.XMLSyntaxError, OSError, InputError) as error:
            quarantine.add(path, f"image {name}", error)
            continue
        attributes = {"image": name, "split": splits.get(name, "none")}
        for number, box in enumerate(root.iterfind("object")):
            try:
                label = str(box.findtext("name", "")).strip()
                left, upper, right, lower = (
                    int(float(box.findtext(f"bndbox/{side}", ""))) for side in ("xmin", "ymin", "xmax", "ymax")
                )
                crop = _cut(image, left, upper, right, lower, margin)
            except (ValueError, InputError) as error:
                quarantine.add(path, f"image {name}, box {number}", error)
                continue
            yield Record(f"{name}/{number}", metadata=attributes, content=crop, target=label or None)


def voc_splits(folder: Path) -> dict[str, str]:
    """The split of each image of Pascal VOC's ImageSets/Main/SPLIT.txt, the first of train, val and test that names it."""
    return {
        name: _SPLITS[split]
        for split in ("test", "val", "train")
        if (listing := folder / "ImageSets" / "Main" / f"{split}.txt").is_file()
        for name in listing.read_text(encoding="utf-8").split()
    }


def _cut(image: Pixels, left: int, upper: int, right: int, lower: int, margin: float) -> Pixels:
    """A square around a box; beyond the image its edge goes on. Raises InputError for a box without pixels."""
    height, width = image.shape[:2]
    if not (0 <= left < right <= width + 1 and 0 <= upper < lower <= height + 1):
        raise InputError(
            f"the box {left}, {upper}, {right}, {lower} is empty or not in the image of {width} x {height}"
        )
    half = (1 + 2 * margin) * max(right - left, lower - upper) / 2
    centre_x, centre_y = (left + right) / 2, (upper + lower) / 2
    columns = np.clip(np.arange(round(centre_x - half), round(centre_x + half)), 0, width - 1)
    rows = np.clip(np.arange(round(centre_y - half), round(centre_y + half)), 0, height - 1)
    return image[rows[:, None], columns[None, :]]
