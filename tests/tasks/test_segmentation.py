"""Masks: their scores beside plain ones, things told apart, and what is read off maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from textome.errors import InputError
from textome.inputs.pixels.regions import Box, Picture, Regions
from textome.metrics.segmentation import THRESHOLDS, aggregated_jaccard, dice_and_iou, matches, object_scores
from textome.tasks.pixels.instances import depths, separated
from textome.tasks.pixels.segmentation import Segmentation, Segmented

IDS = st.lists(st.integers(0, 4), min_size=30, max_size=30).map(lambda ids: np.array(ids, np.int32).reshape(5, 6))


def sets_of(ids: NDArray[np.int32]) -> list[set[int]]:
    return [set(np.flatnonzero(ids.ravel() == number).tolist()) for number in sorted(set(ids.ravel().tolist()) - {0})]


@given(IDS, IDS)
@settings(max_examples=40)
def test_scores_of_masks_are_those_of_sets(gold: NDArray[np.int32], predicted: NDArray[np.int32]) -> None:
    ours, theirs = sets_of(gold), sets_of(predicted)
    one, other = set().union(*ours), set().union(*theirs)
    dice, iou = dice_and_iou(gold > 0, predicted > 0)
    if one | other:
        assert dice == pytest.approx(2 * len(one & other) / (len(one) + len(other)))
        assert iou == pytest.approx(len(one & other) / len(one | other))
    right = [sum(len(a & b) / len(a | b) > threshold for a in ours for b in theirs) for threshold in THRESHOLDS]
    expected = [[count, len(ours) - count, len(theirs) - count] for count in right]
    assert matches(gold, predicted).tolist() == expected
    # Kumar et al. 2017, algorithm 1, line by line.
    intersection = union = 0
    used = set()
    for a in ours:
        best = max(range(len(theirs)), key=lambda j: len(a & theirs[j]) / len(a | theirs[j]), default=None)
        if best is None or not a & theirs[best]:
            union += len(a)
            continue
        intersection, union = intersection + len(a & theirs[best]), union + len(a | theirs[best])
        used.add(best)
    union += sum(len(b) for number, b in enumerate(theirs) if number not in used)
    assert aggregated_jaccard(gold, predicted) == pytest.approx(intersection / union if union else 1.0)


def test_an_image_without_things_counts_as_right_where_none_is_found() -> None:
    nothing, thing = np.zeros((4, 4), np.int32), np.ones((4, 4), np.int32)
    assert object_scores([nothing], [nothing]) == {"aji": 1.0, "object_f1": 1.0, "object_precision": 1.0}
    assert object_scores([nothing, thing], [thing, thing]) == {"aji": 0.5, "object_f1": 0.5, "object_precision": 0.5}
    assert dice_and_iou(nothing > 0, nothing > 0) == (1.0, 1.0)


def test_a_pixel_lies_the_deeper_the_further_it_is_from_the_edge() -> None:
    objects = np.zeros((9, 12), np.int32)
    objects[2:7, 2:7] = 3
    objects[2:7, 7:12] = 5  # touches the other, and the edge of the image, which is not an edge of a thing
    depth = depths(objects)
    assert depth[4, 4] == 1.0
    assert depth[4, 2] == depth[4, 6] == pytest.approx(1 / 3)
    assert depth[4, 11] == 1.0
    assert (depth[objects == 0] == 0).all()
    assert (depths(np.ones((4, 4), np.int32)) == 1).all()


def test_things_that_touch_are_separated_and_each_keeps_its_pixels() -> None:
    objects = np.zeros((12, 24), np.int32)
    objects[2:10, 2:10] = 1
    objects[2:10, 10:20] = 2
    objects[11, 22] = 3
    things = separated(objects > 0, depths(objects), 0.5, 0)
    assert things.max() == 3
    for number in (1, 2, 3):
        (found,) = np.unique(things[objects == number])
        assert ((things == found) == (objects == number)).all()
    assert separated(objects > 0, depths(objects), 0.5, 2).max() == 2
    assert separated(objects > 9, depths(objects), 0.5, 0).max() == 0
    # A model that says nothing of depth: a ridge without a pass is one thing.
    assert separated(objects > 0, np.zeros(objects.shape, np.float32), 0.5, 0).max() == 2


def test_two_discs_that_touch_are_separated_by_their_shape_alone() -> None:
    rows, columns = np.ogrid[:24, :40]
    discs = [(rows - 12) ** 2 + (columns - middle) ** 2 < 81 for middle in (11, 27)]
    flat = np.zeros((24, 40), np.float32)
    things = separated(discs[0] | discs[1], flat, 0.5, 0)
    assert things.max() == 2
    assert things[12, 11] != things[12, 27]
    # A pass as deep as the rise that is asked for is none.
    assert separated(discs[0] | discs[1], flat, 9.0, 0).max() == 1


def test_the_boxes_of_things_are_as_sure_as_their_pixels() -> None:
    task = Segmentation(labels=("cell",), objects=True)
    maps = np.zeros((3, 8, 16), np.float32)
    maps[1, 1:5, 1:5], maps[1, 2:7, 9:14] = 0.9, 0.7
    maps[0] = 1 - maps[1]
    boxes = task.boxes(task.read_off(maps, 8, 16))
    assert [(box.left, box.upper, box.right, box.lower) for box in boxes] == [(1, 1, 5, 5), (9, 2, 14, 7)]
    assert [box.confidence for box in boxes] == pytest.approx([0.9, 0.7])
    nothing = task.read_off(np.stack([np.ones((4, 4)), *np.zeros((2, 4, 4))]).astype(np.float32), 4, 4)
    assert task.boxes(nothing) == ()


def scores_for(task: Segmentation, classes: NDArray[np.uint8]) -> NDArray[np.float32]:
    planes = [np.where(classes == number, 4.0, -4.0) for number in range(1 + len(task.labels))]
    return np.stack(planes).astype(np.float32)


def test_the_most_probable_label_is_read_off_where_something_is() -> None:
    task = Segmentation(labels=("a", "b"))
    classes = np.array([[0, 1], [2, 0]], np.uint8)
    maps = task.activated(scores_for(task, classes))
    assert np.allclose(maps.sum(0), 1)
    read = task.read_off(maps, 2, 2)
    assert read == Segmented(read.classes)
    assert (read.classes == classes).all()
    assert task.described(read) == {"shares": {"a": 0.25, "b": 0.25}}
    assert task.table_rows(task.described(read)) == [["0.25", "0.25"]]
    assert (task.mask(read) == classes).all()
    labels = task.annotate("t", Picture("x"), [], [read]).labels
    assert [(label.name, label.value) for label in labels] == [("a", 0.25), ("b", 0.25)]
    with pytest.raises(InputError, match="gives no boxes"):
        task.boxes(read)


def test_the_classes_of_data_are_found_by_their_names() -> None:
    task = Segmentation(labels=("a", "b"))
    regions = Regions(("b", "other", "a"), np.array([[1, 2], [3, 0]], np.uint8))
    assert task.planes(regions, 2).tolist() == [[[2, 0], [1, 0]]]
    with pytest.raises(InputError, match="the label 'other' is none of the model's"):
        task.check_labels(Picture("x", regions=regions))
    with pytest.raises(InputError, match="expected a mask"):
        task.check_labels(Picture("x"))
    assert task.fitted("t", [Picture("x", regions=regions)]).labels == ("a", "b")
    assert Segmentation().fitted("t", [Picture("x", regions=regions)]).labels == ("a", "b", "other")
    with pytest.raises(InputError, match="mark nothing in any image"):
        Segmentation().fitted("t", [Picture("x", regions=Regions(("a",), np.zeros((2, 2), np.uint8)))])


def test_masks_of_things_have_16_bits_and_boxes() -> None:
    task = Segmentation(labels=("cell",), objects=True)
    objects = np.zeros((4, 5), np.int32)
    objects[1:3, 1:4] = 300
    read = Segmented((objects > 0).astype(np.uint8), objects)
    assert task.mask(read).dtype == np.uint16
    assert task.boxes(read) == (Box("cell", 1, 1, 4, 3),)
    assert task.columns == ("cell", "objects")
    with pytest.raises(InputError, match="a PNG file can number 65,535"):
        task.mask(Segmented(read.classes, objects * 1000))
    with pytest.raises(ValueError, match="is of things; set objects = true"):
        Segmentation(metric="aji")


def test_thresholds_are_those_under_which_masks_are_best() -> None:
    """A model that is sure of too little needs a low threshold."""
    task, gold = Segmentation(labels=("a",)), np.zeros((8, 8), np.uint8)
    gold[2:6, 2:6] = 1
    maps = np.stack([1 - 0.35 * gold, 0.35 * gold]).astype(np.float32)
    record = Picture("x", content=np.zeros((8, 8, 1), np.uint8), regions=Regions(("a",), gold))
    fitted = task.with_thresholds([record], [maps])
    assert fitted.threshold == 0.3
    assert fitted.score([record], [fitted.read_off(maps, 8, 8)])["dice"] == 1.0
