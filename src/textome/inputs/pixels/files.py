"""Images with masks or boxes, from folders and archives.

What a path holds is recognised by its content:

    a folder with Annotations and JPEGImages   Pascal VOC: boxes; attribute `split`
    a folder with images (or image) and masks (or mask, labels, label), also several below one another
                       a mask for each image, by the same name (NAME.png, NAME_mask.png); or, where there is one image
                       and the masks have other names, a mask for each thing (as in the 2018 Data Science Bowl)
    other folders, or a file   images without either
A tar or zip file is read as the folder that it holds. Attributes: `folder`, `name` (without the suffix).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from lxml import etree

from textome.errors import InputError, MissingExtraError
from textome.formats.reading.archives import unpacked
from textome.formats.reading.sources import Quarantine
from textome.inputs.image_files import MAX_PIXELS, SUFFIXES, decoded, decoded_files, voc_splits
from textome.inputs.pixels.regions import Box, Mask, Objects, Picture, Regions

DEFAULT_CLASS = "object"
_IMAGES, _MASKS = ("images", "image"), ("masks", "mask", "labels", "label")


def read_pictures(
    path: str, quarantine: Quarantine, channels: int, values: Mapping[str, int], objects: bool
) -> Iterator[Picture]:
    """The images of a file or folder with what their data say; `values` and `objects` as for `Pixels`.

    Raises InputError where the path is missing or holds no image.
    """
    location = Path(path)
    if not location.exists():
        raise InputError(f"{path}: no such file or directory")
    if location.is_file() and (location.suffix in (".tar", ".zip") or ".tar" in location.suffixes):
        location = unpacked(location)
    if location.is_file():
        yield from _plain([location], location.parent, quarantine, channels)
        return
    annotated = sorted(folder.parent for folder in location.rglob("Annotations") if folder.is_dir())
    masked = [] if annotated else _masked_folders(location)
    for folder in annotated:
        yield from _voc(folder, location, path, quarantine, channels)
    reader = _Masks(location, quarantine, channels, dict(values) or {DEFAULT_CLASS: 255}, not values, objects)
    for images, masks in masked:
        yield from reader.read(images, masks)
    if not annotated and not masked:
        files = sorted(file for file in location.rglob("*") if _is_image(file))
        if not files:
            raise InputError(f"{path}: the folder holds no images ({', '.join(SUFFIXES)})")
        yield from _plain(files, location, quarantine, channels)


def decoded_mask(data: bytes) -> Objects:
    """(height, width) the values of a mask: those of its file, and of a palette the numbers of its colours.

    Raises InputError for what is not an image, truncated, too large, or has colours.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError as error:
        raise MissingExtraError("reading masks", "pixels") from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"the mask has {image.width} x {image.height} pixels; at most {MAX_PIXELS:,} are read")
            image.load()
            values = np.asarray(image.convert("L") if image.mode == "1" else image)
    except UnidentifiedImageError as error:
        raise InputError("this is not an image that can be read; expected a mask as PNG or TIFF") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"the mask is damaged or truncated ({error})") from error
    if values.ndim == 3:
        colours = values[:, :, :3] if values.shape[2] > 2 else values[:, :, :1]
        if (colours != colours[:, :, :1]).any():
            raise InputError("the mask has colours; expected one number for each pixel, as grey values or a palette")
        values = colours[:, :, 0]
    if values.dtype.kind == "f" and (values != np.rint(values)).any():
        raise InputError("the mask has broken numbers; expected whole ones")
    return values.astype(np.int32)


class _Masks:
    """Reads folders of images with folders of masks.

    values   the number in a mask of each class
    above    whether every value above 0 is of the one class
    objects  whether values number things
    """

    def __init__(
        self,
        location: Path,
        quarantine: Quarantine,
        channels: int,
        values: Mapping[str, int],
        above: bool,
        objects: bool,
    ) -> None:
        self._location, self._quarantine, self._channels = location, quarantine, channels
        self._values, self._above, self._objects = values, above, objects

    def read(self, images: Path, masks: Path) -> Iterator[Picture]:
        files, other = ([file for file in sorted(folder.iterdir()) if _is_image(file)] for folder in (images, masks))
        by_name: dict[str, list[Path]] = {}
        for file in other:
            by_name.setdefault(file.stem.removesuffix("_mask"), []).append(file)
        each = len(files) == 1 and files[0].stem not in by_name
        for file in files:
            own = other if each else by_name.pop(file.stem, [])
            try:
                if not own:
                    raise InputError(f"there is no mask {file.stem}.png in {masks.name}")
                if len(own) > 1 and not each:
                    raise InputError(f"there are several masks of this name: {', '.join(item.name for item in own)}")
                picture = self._picture(file, images, own, each)
            except (InputError, OSError) as error:
                self._quarantine.add(str(file), "", error)
                continue
            yield picture
        for file in [] if each else [file for files in by_name.values() for file in files]:
            self._quarantine.add(str(file), "", f"there is no image {file.stem}.png in {images.name}")

    def _picture(self, file: Path, images: Path, masks: list[Path], each: bool) -> Picture:
        pixels = decoded(file.read_bytes(), self._channels)
        height, width = pixels.shape[:2]
        names = tuple(self._values)
        regions = self._of_things(masks, height, width) if each else self._of_classes(masks[0], height, width)
        folder = images.parent.relative_to(self._location)
        metadata = {"folder": folder.name or self._location.name, "name": file.stem}
        return Picture(
            (folder / file.name).as_posix(), metadata=metadata, content=pixels, regions=Regions(names, *regions)
        )

    def _of_classes(self, file: Path, height: int, width: int) -> tuple[Mask, Objects | None]:
        mask = _fitting(decoded_mask(file.read_bytes()), file, height, width)
        if self._objects:
            return (mask > 0).astype(np.uint8), mask
        if self._above:
            return (mask > 0).astype(np.uint8), None
        classes = np.zeros(mask.shape, np.uint8)
        known = mask == 0
        for number, value in enumerate(self._values.values(), 1):
            classes[mask == value] = number
            known |= mask == value
        if len(self._values) > 1 and not known.all():
            strange = np.unique(mask[~known])[:3].tolist()
            raise InputError(f"{file.name}: the mask has values that no class has, as {strange}; see input.values")
        return classes, None

    def _of_things(self, files: list[Path], height: int, width: int) -> tuple[Mask, Objects]:
        objects = np.zeros((height, width), np.int32)
        number = 0
        for file in files:
            try:
                thing = _fitting(decoded_mask(file.read_bytes()), file, height, width) > 0
                if not thing.any():
                    raise InputError("the mask is empty")
            except (InputError, OSError) as error:
                self._quarantine.add(str(file), "", error)
                continue
            number += 1
            objects[thing & (objects == 0)] = number
        if files and not number:
            raise InputError("none of its masks can be read")
        return (objects > 0).astype(np.uint8), objects


def _fitting(mask: Objects, file: Path, height: int, width: int) -> Objects:
    if mask.shape != (height, width):
        raise InputError(
            f"{file.name}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels, but its image {width} x {height}"
        )
    return mask


def _masked_folders(location: Path) -> list[tuple[Path, Path]]:
    """The folders of images that have a folder of masks beside them, and that folder."""
    pairs = []
    for folder in sorted([location, *(item for item in location.rglob("*") if item.is_dir())]):
        images = next((folder / name for name in _IMAGES if (folder / name).is_dir()), None)
        masks = next((folder / name for name in _MASKS if (folder / name).is_dir()), None)
        if images is not None and masks is not None:
            pairs.append((images, masks))
    return pairs


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()


def _plain(files: list[Path], folder: Path, quarantine: Quarantine, channels: int) -> Iterator[Picture]:
    for file, pixels in decoded_files(files, quarantine, channels):
        metadata = {"folder": file.parent.name, "name": file.stem}
        yield Picture(file.relative_to(folder).as_posix(), metadata=metadata, content=pixels)


def _voc(folder: Path, location: Path, path: str, quarantine: Quarantine, channels: int) -> Iterator[Picture]:
    """Pascal VOC (Everingham et al. 2010): Annotations/NAME.xml, JPEGImages/NAME.jpg, ImageSets/Main/SPLIT.txt."""
    splits = voc_splits(folder)
    for file in sorted((folder / "Annotations").glob("*.xml")):
        image = next((item for item in (folder / "JPEGImages").glob(f"{file.stem}.*") if _is_image(item)), None)
        try:
            root = etree.parse(file, etree.XMLParser(resolve_entities=False, no_network=True)).getroot()
            if image is None:
                raise InputError(f"there is no image {file.stem}.jpg in JPEGImages")
            pixels = decoded(image.read_bytes(), channels)
        except (etree.XMLSyntaxError, OSError, InputError) as error:
            quarantine.add(path, f"image {file.stem}", error)
            continue
        boxes = []
        things = list(root.iterfind("object"))
        for number, thing in enumerate(things):
            try:
                boxes.append(_box(thing, *pixels.shape[:2]))
            except (ValueError, InputError) as error:
                quarantine.add(path, f"image {file.stem}, box {number}", error)
        if things and not boxes:
            quarantine.add(path, f"image {file.stem}", "none of its boxes can be read")
            continue
        metadata = {"folder": folder.name, "name": file.stem, "split": splits.get(file.stem, "none")}
        identity = (folder.relative_to(location) / image.name).as_posix()
        yield Picture(identity, metadata=metadata, content=pixels, regions=Regions(boxes=tuple(boxes)))


def _box(thing: etree._Element, height: int, width: int) -> Box:
    """Raises InputError for a box that is empty or not in the image, or has no label."""
    label = str(thing.findtext("name", "")).strip()
    if not label:
        raise InputError("the box has no name")
    sides = [thing.findtext(f"bndbox/{side}", "") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, upper, right, lower = map(float, sides)
    except ValueError as error:
        raise InputError(f"the box has the sides {', '.join(sides)}, which are not numbers") from error
    if not (0 <= left < right <= width + 1 and 0 <= upper < lower <= height + 1):
        raise InputError(
            f"the box {left:g}, {upper:g}, {right:g}, {lower:g} is empty or not in the image of {width} x {height}"
        )
    return Box(label, left, upper, right, lower).within(width, height)
