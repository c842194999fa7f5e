"""Boxes: maps of centres there and back, and average precision beside a plain computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.errors import InputError
from textome.inputs.pixels.regions import Box, Picture, Regions
from textome.metrics.detection import Located, average_precision, best_threshold, intersections, matched
from textome.tasks.pixels.detection import Detection, _radius
from textome.tasks.task import Choice


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Box, ...]:
    """Boxes in a tile of 64 pixels whose centres are at least eight pixels apart."""
    corners = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), unique=True, max_size=6))
    chosen = []
    for column, row in corners:
        half = (draw(st.floats(2, 7)), draw(st.floats(2, 7)))
        across, down = 16 * column + draw(st.floats(4, 12)), 16 * row + draw(st.floats(4, 12))
        label = draw(st.sampled_from(["a", "b"]))
        chosen.append(Box(label, across - half[0], down - half[1], across + half[0], down + half[1]).within(64, 64))
    return tuple(chosen)


@given(boxes(), st.sampled_from([1, 2, 4]), st.sampled_from([0.5, 1.0, 2.0]))
@settings(max_examples=50)
def test_boxes_are_read_off_the_maps_that_they_make(gold: tuple[Box, ...], cell: int, scale: float) -> None:
    task = Detection(labels=("a", "b"), cell=cell, max_overlap=1.0)
    maps = task.planes(Regions(boxes=gold), 64)
    assert maps.shape == (7, 64 // cell, 64 // cell)
    read = task.read_off(maps[:-1], round(64 / scale), round(64 / scale), scale)
    sure = [box for box in read if box.confidence == 1]
    assert len(sure) == len(gold)
    for box in gold:
        sides = [box.left, box.upper, box.right, box.lower]
        same = [other for other in sure if other.label == box.label]
        found = [scale * np.array([other.left, other.upper, other.right, other.lower]) for other in same]
        assert sum(np.allclose(sides, other, atol=1e-3) for other in found) == 1


def test_of_two_boxes_of_a_thing_the_surer_one_is_kept() -> None:
    maps = np.zeros((5, 8, 8), np.float32)
    maps[0, 2, 2], maps[0, 2, 4] = 0.9, 0.6
    maps[1:3] = 6
    task = Detection(labels=("a",), cell=4, max_overlap=0.4, min_confidence=0.7)
    (only,) = task.read_off(maps, 32, 32)
    assert only.confidence == pytest.approx(0.9)
    assert len(task.model_copy(update={"max_overlap": 0.9}).read_off(maps, 32, 32)) == 2
    assert task.read_off(np.zeros((5, 8, 8), np.float32), 32, 32) == ()


def test_boxes_that_are_not_sure_are_not_written() -> None:
    prediction = (Box("a", 1, 2, 3, 4, 0.8), Box("b", 0, 0, 9.5, 9, 0.4))
    task = Detection(labels=("a", "b"), min_confidence=0.5)
    assert task.described(prediction) == {"boxes": [{"label": "a", "confidence": 0.8, "box": [1, 2, 3, 4]}]}
    assert task.table_rows(task.described(prediction)) == [["a", "0.8", "1", "2", "3", "4"]]
    chosen = task.with_choice(Choice(min_confidence=0.3))
    assert [box.label for box in chosen.boxes(prediction)] == ["a", "b"]
    (label, _) = chosen.annotate("t", Picture("x"), [], [prediction]).labels
    assert (label.name, label.confidence, label.metadata["right"]) == ("a", 0.8, "3.00")
    with pytest.raises(InputError, match="gives no masks"):
        task.mask(prediction)
    with pytest.raises(InputError, match="the label 'c' is none of the model's"):
        task.check_labels(Picture("x", regions=Regions(boxes=(Box("c", 0, 0, 1, 1),))))
    with pytest.raises(InputError, match="expected boxes, or a mask for each thing"):
        task.check_labels(Picture("x", regions=Regions(("a",), np.ones((2, 2), np.uint8))))


@given(st.floats(2, 50), st.floats(2, 50))
def test_a_box_moved_by_the_radius_still_shares_most_of_the_gold_one(width: float, height: float) -> None:
    radius = _radius(width, height)
    gold = np.array([[0.0, 0.0, width, height]])
    moves = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [-1, -1, 1, 1]]) * radius
    overlap = intersections(gold, gold + moves)[0]
    assert overlap.min() == pytest.approx(0.7, abs=1e-6)
    assert (overlap >= 0.7 - 1e-6).all()


def located(*rows: tuple[int, float, float, float, float, float]) -> Located:
    values = np.array(rows, np.float64).reshape(-1, 6)
    return Located(values[:, 0].astype(np.int64), values[:, 1:5], values[:, 5])


def test_average_precision_is_the_area_under_the_curve_of_precision() -> None:
    """Three gold boxes; the surest answer is right, the second wrong, the third right: by hand, over 101 recalls."""
    gold = [located((0, 0, 0, 10, 10, 1), (0, 20, 20, 30, 30, 1)), located((0, 0, 0, 10, 10, 1))]
    answers = [located((0, 0, 0, 10, 10, 0.9), (0, 50, 50, 60, 60, 0.8)), located((0, 0, 1, 10, 10, 0.7))]
    recalls = np.linspace(0, 1, 101)
    by_hand = np.where(recalls <= 1 / 3, 1.0, np.where(recalls <= 2 / 3, 2 / 3, 0.0)).mean()
    scores = average_precision(gold, answers, ["a"])
    assert scores["map50"] == pytest.approx(by_hand, abs=1e-9)
    # The second right one shares 0.9 of the union: at 0.95 only the first counts.
    assert scores["map"] == pytest.approx((9 * by_hand + np.where(recalls <= 1 / 3, 1.0, 0.0).mean()) / 10, abs=1e-9)
    assert matched(gold[0], answers[0]).tolist() == [True, False]
    assert best_threshold(gold, answers) == 0.7


def test_labels_have_their_own_scores_and_one_that_is_in_no_gold_data_has_none() -> None:
    gold, answers = [located((0, 0, 0, 9, 9, 1), (1, 20, 20, 29, 29, 1))], [located((0, 0, 0, 9, 9, 0.5))]
    scores = average_precision(gold, answers, ["a", "b", "c"])
    assert scores["map50 a"] == pytest.approx(1.0)
    assert scores["map50 b"] == 0.0
    assert "map50 c" not in scores
    assert scores["map50"] == pytest.approx(0.5)
    assert np.isnan(average_precision([located()], answers, ["a"])["map50"])
