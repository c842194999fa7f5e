"""Images from files, their patches, and what augmentation leaves as it was."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.image_files import decoded
from textome.inputs.images import Images
from textome.inputs.records import Record, read_records


def png(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    return stream.getvalue()


def fitted(**settings: object) -> Images:
    """Images whose features are the pixels themselves."""
    modality = Images.model_validate(settings)
    count = modality.channels
    return modality.model_copy(update={"means": (0.0,) * count, "deviations": (1.0,) * count})


def test_patches_are_the_pixels_row_by_row_with_their_two_positions():
    image = np.arange(36, dtype=np.uint8).reshape(6, 6, 1)
    segment = fitted(size=6, patch=2).features(image)["image"]
    assert segment.values.shape == (9, 4)
    for values, (row, column) in zip(segment.values, segment.positions, strict=True):
        expected = image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2, 0]
        np.testing.assert_array_equal(values.reshape(2, 2), expected)
    assert segment.positions.tolist()[:4] == [[0, 0], [0, 1], [0, 2], [1, 0]]


def test_overlapping_patches_reach_the_edge_and_beyond_it_is_the_mean():
    image = np.full((7, 7, 1), 9, np.uint8)
    modality = fitted(size=7, patch=4, stride=2)
    assert modality.side == 3
    segment = modality.features(image)["image"]
    assert modality.shapes()["image"].axes == (3, 3)
    assert segment.values[0].tolist() == [9.0] * 16
    assert segment.values[-1].reshape(4, 4)[:, -1].tolist() == [0.0] * 4


def test_colours_are_standardised_by_channel():
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 200, (4, 4, 3)).astype(np.uint8) for _ in range(9)]
    modality = Images(size=4, patch=2, channels=3).fitted(
        [Record(str(n), content=item) for n, item in enumerate(images)]
    )
    rows = np.concatenate([modality.features(item)["image"].values.reshape(-1, 3) for item in images])
    np.testing.assert_allclose(rows.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(rows.std(0), 1, atol=1e-4)


def test_transparency_is_laid_on_white_and_sixteen_bits_become_eight():
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0] = (10, 20, 30, 255)
    found = decoded(png(clear), 3)
    assert found[0, 0].tolist() == [10, 20, 30]
    assert found[1, 1].tolist() == [255, 255, 255]
    deep = np.array([[0, 65535], [32768, 256]], np.uint16)
    assert decoded(png(deep), 1)[:, :, 0].tolist() == [[0, 255], [127, 0]]


def test_what_is_truncated_or_no_image_is_told():
    whole = png(np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8))
    with pytest.raises(InputError, match="damaged or truncated"):
        decoded(whole[:-200], 1)
    with pytest.raises(InputError, match="not an image that can be read"):
        decoded(b"id,label\n1,2\n", 1)


def test_a_folder_gives_labels_and_quarantines_what_is_damaged(tmp_path: Path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(png(np.zeros((3, 3), np.uint8)))
    (tmp_path / "cat" / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    quarantine = Quarantine()
    records = list(Images(size=3, patch=1).read(str(tmp_path), quarantine))
    assert [(record.id, record.target) for record in records] == [("cat/a.png", "cat"), ("dog/a.png", "dog")]
    assert quarantine.count == 1
    assert "b.png" in quarantine.records[0].source
    with pytest.raises(InputError, match="no such file"):
        list(Images().read(str(tmp_path / "nothing"), quarantine))


def test_medmnist_archives_have_splits(tmp_path: Path):
    arrays = {}
    for number, split in enumerate(("train", "val", "test")):
        arrays[f"{split}_images"] = np.full((number + 1, 28, 28), number, np.uint8)
        arrays[f"{split}_labels"] = np.full((number + 1, 1), number, np.uint8)
    np.savez(tmp_path / "some.npz", **arrays)
    place = str(tmp_path / "some.npz")
    found = list(read_records(Images(), f"{place}#split=validation", Quarantine()))
    assert [(record.id, record.target) for record in found] == [("val/0", "1"), ("val/1", "1")]
    assert len(list(read_records(Images(), f"{place}#!split=test", Quarantine()))) == 3
    with pytest.raises(InputError, match="no attribute 'speaker'"):
        list(read_records(Images(), f"{place}#speaker=ann", Quarantine()))


def test_lists_of_pixels(tmp_path: Path):
    values = [0.0] * 783 + [1.0] + [0.5] * 784 + [2.0] * 784 + [0.0] * 3
    (tmp_path / "7.json").write_text(json.dumps({"data": values}))
    quarantine = Quarantine()
    records = list(Images().read(str(tmp_path), quarantine))
    assert [(record.id, record.target) for record in records] == [("7/0", "7"), ("7/1", "7")]
    assert records[0].content[-1, -1, 0] == 255
    assert [record.reason for record in quarantine.records] == [
        "3 values, expected 784",
        "a grey value is not between 0 and 1",
    ]


def test_boxes_are_cut_out_of_annotated_images(tmp_path: Path):
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[5:9, 10:14] = 200
    box = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>5</ymin><xmax>{}</xmax><ymax>9</ymax></bndbox></object>"
    folder = tmp_path / "cells"
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    Image.fromarray(pixels).save(folder / "JPEGImages" / "one.jpg", quality=95)
    content = f"<annotation>{box.format('WBC', 10, 14)}{box.format('RBC', 14, 14)}</annotation>"
    (folder / "Annotations" / "one.xml").write_text(content)
    (folder / "Annotations" / "two.xml").write_text(content)
    (folder / "ImageSets" / "Main" / "test.txt").write_text("one\n")
    with tarfile.open(tmp_path / "cells.tar", "w") as archive:
        for part in ("Annotations", "JPEGImages", "ImageSets"):
            archive.add(folder / part, part)
    quarantine = Quarantine()
    (record,) = Images(channels=3, margin=0.5).read(str(tmp_path / "cells.tar"), quarantine)
    assert (record.id, record.target, record.metadata["split"]) == ("one/0", "WBC", "test")
    assert record.content.shape == (8, 8, 3)
    assert record.content[2:6, 2:6].mean() > 150 > 60 > record.content[0].mean()
    assert [item.position for item in quarantine.records] == ["image one, box 1", "image two"]


def test_augmentation_without_settings_changes_nothing_and_with_them_keeps_shape_and_seed():
    image = np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8)
    plain = Images(size=9, patch=3, channels=3)
    np.testing.assert_array_equal(plain.augmented(image, np.random.default_rng(1)), image)
    changed = plain.model_copy(
        update={"shift": 0.2, "zoom": 0.2, "rotate": 30, "flip": "both", "brightness": 0.3, "saturation": 0.3}
    )
    one, two, three = (changed.augmented(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == image.shape
    np.testing.assert_array_equal(one, two)
    assert (one != three).any()


def test_moving_by_nothing_is_the_same_and_turning_half_way_is_upside_down():
    image = np.random.default_rng(0).integers(0, 255, (10, 10, 1)).astype(np.uint8)
    modality = Images(size=10, patch=5, rotate=180)

    class Fixed(np.random.Generator):
        """Gives the angle that is asked for, and no zoom and shift."""

        def __init__(self, angle: float) -> None:
            super().__init__(np.random.PCG64(0))
            self.angle = angle

        def uniform(self, low=0.0, high=1.0, size=None):
            return self.angle if high == 180 else np.zeros(size) if size else 0.0

    np.testing.assert_array_equal(modality.augmented(image, Fixed(0.0)), image)
    turned = modality.augmented(image, Fixed(180.0)).astype(int)
    np.testing.assert_allclose(turned, image[::-1, ::-1], atol=1)


def test_flipped_views_are_all_flips():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    views = Images(size=4, patch=2, flip="both", flipped_views=True).views(image)
    assert {view.tobytes() for view in views} == {
        image[::down, ::right].tobytes() for down in (1, -1) for right in (1, -1)
    }
    with pytest.raises(ValueError, match="flipped_views"):
        Images(flipped_views=True)


def test_arrays_of_mnist(tmp_path: Path):
    pixels = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    head = bytes([0, 0, 8, 3]) + np.array([2, 3, 4], ">u4").tobytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
    labels = bytes([0, 0, 8, 1]) + np.array([2], ">u4").tobytes() + bytes([7, 0])
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    (tmp_path / "t10k-images.idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
    quarantine = Quarantine()
    found = list(Images(channels=1).read(str(tmp_path), quarantine))
    assert [(record.id, record.target, record.metadata["split"]) for record in found] == [
        ("t10k/0", None, "test"), ("t10k/1", None, "test"), ("train/0", "7", "train"), ("train/1", "0", "train"),
    ]  # fmt: skip
    np.testing.assert_array_equal(found[3].content[:, :, 0], pixels[1])
    assert quarantine.count == 0
    (tmp_path / "cut-images-idx3-ubyte").write_bytes(head + b"ab")
    with pytest.raises(InputError, match="cut-images-idx3-ubyte: 2 numbers, but its head says 2 x 3 x 4"):
        list(Images(channels=1).read(str(tmp_path / "cut-images-idx3-ubyte"), quarantine))
    (tmp_path / "bad-images-idx3-ubyte").write_bytes(b"no")
    with pytest.raises(InputError, match="this is not an IDX file of bytes with 3 axes"):
        list(Images(channels=1).read(str(tmp_path / "bad-images-idx3-ubyte"), quarantine))
