"""Images whose pixels count: tiles merged without a seam, masks and boxes from files, and both moved together."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.pixels.files import decoded_mask
from textome.inputs.pixels.pixels import Pixels, stretched, upscaled
from textome.inputs.pixels.regions import Box, Picture, Regions, boxes_of
from textome.inputs.pixels.tiles import Floats, merged, starts, weights
from tiny_pixels import png, write_masked, write_things, write_voc

LAYOUTS = st.tuples(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([16, 24, 32]),
    st.integers(0, 12),
    st.sampled_from([1, 2, 4]),
)


@given(LAYOUTS, st.floats(-100, 100))
def test_a_constant_stays_the_constant_whatever_the_tiles(layout: tuple[int, int, int, int, int], value: float) -> None:
    height, width, tile, overlap, stride = layout
    overlap = min(overlap, tile // 2)

    def run(tile_: Floats) -> Floats:
        return np.full((2, tile // stride, tile // stride), value, np.float32)

    maps = merged(np.zeros((1, height, width), np.float32), tile, overlap, stride, run)
    assert maps.shape == (2, -(-height // stride), -(-width // stride))
    assert np.allclose(maps, value, rtol=1e-5, atol=1e-5)


@given(LAYOUTS, st.integers(0, 2**32 - 1))
def test_a_function_of_pixels_gives_the_same_in_tiles_as_over_the_whole(
    layout: tuple[int, int, int, int, int], seed: int
) -> None:
    """No seam: where tiles overlap, pixels are the mean of equal values."""
    height, width, tile, overlap, stride = layout
    image = np.random.default_rng(seed).normal(size=(1, height, width)).astype(np.float32)
    maps = merged(image, tile, min(overlap, tile // 2), stride, lambda part: part[:, ::stride, ::stride] ** 2)
    assert np.allclose(maps, image[:, ::stride, ::stride] ** 2, atol=1e-5)


@given(st.integers(1, 60), st.sampled_from([16, 24, 32]), st.integers(0, 8), st.sampled_from([1, 2, 4, 8]))
def test_tiles_cover_a_side_and_share_what_they_must(length: int, tile: int, overlap: int, step: int) -> None:
    length = max(tile, length * step)
    first = starts(length, tile, overlap, step)
    assert first[0] == 0
    assert first[-1] == length - tile
    assert all(start % step == 0 for start in first)
    assert all(one < other <= one + tile - overlap for one, other in pairwise(first))


def test_a_pixel_counts_more_the_further_it_is_from_the_edge_of_its_tile() -> None:
    shares = weights(16, 4)
    assert (shares > 0).all()
    assert shares[8, 8] == 1.0
    assert shares[0, 0] < shares[0, 8] < shares[2, 8] < shares[8, 8]
    assert np.array_equal(shares, shares.T)


def test_each_tile_is_computed_alone() -> None:
    seen: list[tuple[int, ...]] = []

    def run(part: Floats) -> Floats:
        seen.append(part.shape)
        return part

    merged(np.zeros((3, 40, 40), np.float32), 16, 4, 1, run)
    assert set(seen) == {(3, 16, 16)}


def test_maps_are_brought_to_the_size_of_the_image() -> None:
    maps = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    assert upscaled(maps, 2, 2) is maps
    large = upscaled(maps, 4, 6)
    assert large.shape == (2, 4, 6)
    assert large[0, 0, 0] == 0
    assert large[1, -1, -1] == 7


def test_a_mask_for_each_image_is_read_by_its_name(tmp_path: Path) -> None:
    write_masked(tmp_path, 3)
    quarantine = Quarantine()
    records = list(Pixels(values={"square": 255}).read(str(tmp_path), quarantine))
    assert not quarantine.count
    assert [record.id for record in records] == ["0.png", "1.png", "2.png"]
    first = records[0]
    assert isinstance(first, Picture)
    assert first.regions is not None
    assert first.regions.names == ("square",)
    assert first.regions.classes is not None
    assert set(np.unique(first.regions.classes)) == {0, 1}
    assert first.metadata["name"] == "0"


def test_a_mask_for_each_thing_numbers_them(tmp_path: Path) -> None:
    write_things(tmp_path, 2)
    records = list(Pixels().read(str(tmp_path), Quarantine()))
    assert [record.id for record in records] == ["s0/s0.png", "s1/s1.png"]
    first = records[0]
    assert isinstance(first, Picture)
    assert first.regions is not None
    assert first.regions.objects is not None
    assert first.regions.objects.max() == 2
    boxes = first.regions.all_boxes()
    assert boxes == (Box("object", 2, 2, 10, 10), Box("object", 16, 16, 28, 28))


def test_the_boxes_of_pascal_voc_are_read_with_their_splits(tmp_path: Path) -> None:
    write_voc(tmp_path, 2)
    records = list(Pixels(channels=3).read(str(tmp_path), Quarantine()))
    assert [record.metadata["split"] for record in records] == ["train", "test"]
    first = records[0]
    assert isinstance(first, Picture)
    assert first.regions is not None
    assert first.regions.boxes == (Box("square", 2, 2, 10, 10), Box("round", 16, 16, 28, 28))


def test_images_alone_have_no_regions(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(np.zeros((5, 6), np.uint8)))
    for path in (tmp_path, tmp_path / "a.png"):
        (record,) = Pixels(channels=3).read(str(path), Quarantine())
        assert isinstance(record, Picture)
        assert record.regions is None
        assert record.id == "a.png"
        assert record.content.shape == (5, 6, 3)


def read_bad(folder: Path, **settings: object) -> tuple[list[str], list[str]]:
    """The ids of the images that are read, and what is said of the others."""
    quarantine = Quarantine()
    ids = [record.id for record in Pixels.model_validate(settings).read(str(folder), quarantine)]
    return ids, [str(record) for record in quarantine.records]


def test_bad_masks_are_quarantined_with_their_reason_and_the_others_go_on(tmp_path: Path) -> None:
    write_masked(tmp_path, 7)
    masks, images = tmp_path / "masks", tmp_path / "images"
    (masks / "0.png").write_bytes(png(np.zeros((3, 4), np.uint8)))
    (masks / "1.png").unlink()
    (masks / "2.png").write_bytes((masks / "3.png").read_bytes()[:60])
    (masks / "9.png").write_bytes((masks / "3.png").read_bytes())
    (images / "4.png").write_bytes(b"")
    colours = np.zeros((32, 32, 3), np.uint8)
    colours[:, :, 0] = 9
    (masks / "5.png").write_bytes(png(colours))
    ids, reasons = read_bad(tmp_path)
    assert ids == ["3.png", "6.png"]
    assert len(reasons) == 6
    for expected in (
        "the mask has 4 x 3 pixels, but its image 32 x 32",
        "there is no mask 1.png in masks",
        "the mask is damaged or truncated",
        "this is not an image that can be read",
        "the mask has colours",
        "there is no image 9.png in images",
    ):
        assert any(expected in reason for reason in reasons), (expected, reasons)


def test_an_empty_mask_of_classes_says_that_nothing_is_there(tmp_path: Path) -> None:
    write_masked(tmp_path, 1)
    (tmp_path / "masks" / "0.png").write_bytes(png(np.zeros((32, 32), np.uint8)))
    (record,) = Pixels().read(str(tmp_path), Quarantine())
    assert isinstance(record, Picture)
    assert record.regions is not None
    assert record.regions.labels() == ()


def test_an_empty_mask_of_a_thing_is_reported_and_the_others_count(tmp_path: Path) -> None:
    write_things(tmp_path, 1)
    (tmp_path / "s0" / "masks" / "x.png").write_bytes(png(np.zeros((32, 32), np.uint8)))
    ids, reasons = read_bad(tmp_path)
    assert ids == ["s0/s0.png"]
    assert len(reasons) == 1
    assert "the mask is empty" in reasons[0]


def test_a_value_that_no_class_has_is_an_error(tmp_path: Path) -> None:
    write_masked(tmp_path, 1)
    ids, reasons = read_bad(tmp_path, values={"one": 3, "two": 4})
    assert ids == []
    assert "the mask has values that no class has, as [255]" in reasons[0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("<xmax>10", "<xmax>2", "the box 2, 2, 2, 10 is empty or not in the image of 32 x 32"),
        ("<xmax>10", "<xmax>90", "the box 2, 2, 90, 10 is empty or not in the image of 32 x 32"),
        ("<xmin>2", "<xmin>two", "which are not numbers"),
        ("<name>square", "<name>", "the box has no name"),
    ],
)
def test_a_bad_box_is_reported_and_the_others_stay(tmp_path: Path, old: str, new: str, reason: str) -> None:
    write_voc(tmp_path, 1)
    file = tmp_path / "Annotations" / "0.xml"
    file.write_text(file.read_text().replace(old, new, 1))
    quarantine = Quarantine()
    (record,) = Pixels().read(str(tmp_path), quarantine)
    assert isinstance(record, Picture)
    assert record.regions is not None
    assert [box.label for box in record.regions.boxes or ()] == ["round"]
    assert reason in str(quarantine.records[0])
    assert "image 0, box 0" in str(quarantine.records[0])


def test_an_annotation_without_boxes_says_that_nothing_is_there_and_a_broken_one_is_quarantined(tmp_path: Path) -> None:
    write_voc(tmp_path, 3)
    (tmp_path / "Annotations" / "0.xml").write_text("<annotation><filename>0.png</filename></annotation>")
    (tmp_path / "Annotations" / "1.xml").write_text("<annotation><object>")
    (tmp_path / "JPEGImages" / "2.png").unlink()
    quarantine = Quarantine()
    (record,) = Pixels().read(str(tmp_path), quarantine)
    assert isinstance(record, Picture)
    assert record.regions == Regions(boxes=())
    assert quarantine.count == 2
    assert "there is no image 2.jpg in JPEGImages" in str(quarantine.records[1])


def test_masks_of_every_kind_of_image_give_their_numbers() -> None:
    numbers = np.array([[0, 1], [2, 200]], np.uint8)
    palette = Image.new("P", (2, 2))
    palette.putpalette([value for value in range(256) for _ in range(3)])
    palette.putdata(numbers.ravel().tolist())
    stream = io.BytesIO()
    palette.save(stream, "PNG")
    assert decoded_mask(stream.getvalue()).tolist() == numbers.tolist()
    assert decoded_mask(png(numbers)).tolist() == numbers.tolist()
    assert decoded_mask(png(numbers.astype(np.uint16) * 300)).tolist() == (numbers.astype(int) * 300).tolist()
    assert decoded_mask(png(np.stack([numbers] * 4, 2))).tolist() == numbers.tolist()
    assert decoded_mask(png(numbers > 1)).tolist() == [[0, 0], [255, 255]]


def test_a_missing_or_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or directory"):
        list(Pixels().read(str(tmp_path / "none"), Quarantine()))
    with pytest.raises(InputError, match="the folder holds no images"):
        list(Pixels().read(str(tmp_path), Quarantine()))


@given(st.integers(0, 2**32 - 1), st.integers(8, 60), st.integers(8, 60))
def test_boxes_and_masks_move_together(seed: int, height: int, width: int) -> None:
    """The box around a thing in a drawn tile is the drawn box around the thing, where all of it is in the tile."""
    generator = np.random.default_rng(seed)
    objects = np.zeros((height, width), np.int32)
    top, left = int(generator.integers(0, height - 4)), int(generator.integers(0, width - 4))
    objects[top : top + int(generator.integers(1, 9)), left : left + int(generator.integers(1, 9))] = 1
    classes = (objects > 0).astype(np.uint8)
    boxes = boxes_of(objects, classes, ("thing",))
    content = np.repeat(classes[:, :, None] * np.uint8(255), 1, 2)
    record = Picture("x", content=content, regions=Regions(("thing",), classes, objects, boxes))
    tile, regions = Pixels(tile=24, overlap=0).drawn(record, generator)
    assert regions.objects is not None
    assert regions.classes is not None
    assert tile.shape == (24, 24, 1)
    assert np.array_equal(tile[:, :, 0] > 0, regions.classes > 0) or min(height, width) < 24  # whose edge goes on
    if (regions.objects > 0).sum() == (objects > 0).sum():
        assert regions.boxes == boxes_of(regions.objects, regions.classes, ("thing",))


def test_a_drawn_tile_is_the_same_whenever_it_is_drawn() -> None:
    content = np.random.default_rng(0).integers(0, 256, (50, 40, 3)).astype(np.uint8)
    record = Picture("x", content=content, regions=Regions(("a",), np.ones((50, 40), np.uint8)))
    pixels = Pixels(channels=3, tile=16, overlap=4, zoom=0.5, contrast=0.5, brightness=0.5, saturation=0.5, invert=0.5)
    one, other, third = (pixels.drawn(record, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_an_image_is_stretched_to_the_whole_range_and_noise_alone_is_not() -> None:
    dim = np.array([[[2], [4], [12]]], np.uint8)
    assert stretched(dim).ravel().tolist() == [0, 51, 255]
    assert np.array_equal(stretched(stretched(dim)), stretched(dim))
    assert stretched(np.full((3, 3, 1), 7, np.uint8)).max() == 0
    assert stretched(np.array([[[7], [8]]], np.uint8)).ravel().tolist() == [0, 32]
    pixels = Pixels(stretch=True, scale=2)
    assert pixels.resized(dim).shape == (2, 6, 1)
    assert pixels.fitted([Picture("x", content=dim)]).means[0] > 50


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="at most half of the tile's 16 pixels"):
        Pixels(tile=16, overlap=9)
    with pytest.raises(ValueError, match="they do not go with objects = true"):
        Pixels(values={"a": 1}, objects=True)
    with pytest.raises(InputError, match="the model reads"):
        Pixels(channels=3).check(np.zeros((4, 4, 1), np.uint8))
