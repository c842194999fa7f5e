"""Signals from files, gaps and missing channels, windows and what follows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textome.errors import InputError
from textome.formats.reading.sources import Quarantine
from textome.inputs.records import Record, read_records
from textome.inputs.sensors import Sensors


def test_tables_with_gaps(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "time,id,Label,x,y\n0,one,up,1,\n1,one,up,NA,4\n\n0,two,,5,6\n1,two,,oops,6\n0,three,,7\n"
    )
    quarantine = Quarantine()
    (record,) = Sensors().read(str(tmp_path / "a.csv"), quarantine)
    assert (record.id, record.target, record.metadata["channels"]) == ("one", "up", "x,y")
    np.testing.assert_array_equal(record.content, [[1, np.nan], [np.nan, 4]])
    assert [(item.position, item.reason) for item in quarantine.records] == [
        (
            "line 6, series two",
            "column 'x': 'oops' is not a number; leave a gap empty (id, label and time are no channels)",
        ),
        ("line 7, series three", "expected 5 columns, found 4"),
    ]
    (tmp_path / "b.csv").write_text("x,x\n1,2\n")
    with pytest.raises(InputError, match="a different name for each channel"):
        list(Sensors().read(str(tmp_path / "b.csv"), quarantine))


def test_channels_are_chosen_by_name_and_one_that_is_missing_is_a_gap(tmp_path: Path):
    (tmp_path / "a.csv").write_text("y,x\n1,2\n3,4\n")
    (record,) = Sensors(channels=("x", "z")).read(str(tmp_path / "a.csv"), Quarantine())
    np.testing.assert_array_equal(record.content, [[2, np.nan], [4, np.nan]])
    with pytest.raises(InputError, match="none of the channels u, v is there; the file has y, x"):
        list(Sensors(channels=("u", "v")).read(str(tmp_path / "a.csv"), Quarantine()))


def test_blocks_of_a_robot(tmp_path: Path):
    rows = "\t1\t2\t3\t4\t5\t6\n"
    (tmp_path / "lp.data").write_text(f"normal\n{rows}{rows}\n\nlost\n{rows}\t1\t2\n\nobstruction\n{rows}")
    quarantine = Quarantine()
    records = list(Sensors().read(str(tmp_path / "lp.data"), quarantine))
    assert [(record.id, record.target, record.content.shape) for record in records] == [
        ("lp/0", "normal", (2, 6)),
        ("lp/2", "obstruction", (1, 6)),
    ]
    assert quarantine.records[0].position == "line 6"
    (tmp_path / "empty.data").write_text("\n\n")
    with pytest.raises(InputError, match="no series found"):
        list(Sensors().read(str(tmp_path / "empty.data"), quarantine))


def test_gaps_are_told_from_values_and_shape_is_as_said():
    content = np.array([[1, np.nan], [3, 4], [5, 8]], np.float32)
    modality = Sensors(channels=("x", "y"), window=4, step=2, differences=True)
    modality = modality.fitted([Record("a", content=content)])
    assert modality.means == (3, 6)
    segment = modality.features(content)["sensors"]
    shape = modality.shapes()["sensors"]
    assert segment.values.shape == (2, shape.size) == (2, 12)
    assert shape.axes == (2,)
    first = segment.values[0][:6]
    np.testing.assert_allclose(first, [-2 / np.std([1, 3, 5]), 0, 1, 0, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(segment.values[1][6:], 0)
    with pytest.raises(InputError, match="no training record has a value in channel y"):
        Sensors(channels=("x", "y")).fitted([Record("a", content=content[:1])])


def test_long_series_become_windows_and_no_moment_is_lost(tmp_path: Path):
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{number},up\n" for number in range(10)))
    records = list(Sensors(window=4, hop=2).read(str(tmp_path / "a.csv"), Quarantine()))
    assert [record.content[:, 0].tolist() for record in records] == [
        [start + number for number in range(4)] for start in (0, 2, 4, 6)
    ]
    assert records[1].id == "a@2"
    rest = list(Sensors(window=4).read(str(tmp_path / "a.csv"), Quarantine()))
    assert [record.content[:, 0].tolist() for record in rest] == [[0, 1, 2, 3], [4, 5, 6, 7], [6, 7, 8, 9]]


def test_what_follows_a_window_is_its_target(tmp_path: Path):
    (tmp_path / "a.csv").write_text(
        "x,y\n" + "".join(f"{number},{'' if number == 5 else -number}\n" for number in range(8))
    )
    records = list(read_records(Sensors(window=4, horizon=2, hop=1), str(tmp_path / "a.csv"), Quarantine()))
    assert [record.target for record in records][:2] == [
        {"x+1": 4, "y+1": -4, "x+2": 5},
        {"x+1": 5, "x+2": 6, "y+2": -6},
    ]
    changes = Sensors(window=4, horizon=2, hop=1, changes=True)
    (first, *_) = read_records(changes, str(tmp_path / "a.csv"), Quarantine())
    assert first.target == {"change of x+1": 1, "change of y+1": -1, "change of x+2": 2}
    (tmp_path / "b.csv").write_text("x,y\n" + "".join(f"{number},0\n" for number in range(5)))
    (record,) = Sensors(window=4, horizon=2).read(str(tmp_path / "b.csv"), Quarantine())
    assert record.target is None
    assert record.content[:, 0].tolist() == [1, 2, 3, 4]


def test_augmentation_takes_channels_away_but_never_all():
    modality = Sensors(channels=("x", "y"), drop_channels=0.9, deviations=(1.0, 1.0))
    content = np.ones((3, 2), np.float32)
    gone = [np.isnan(modality.augmented(content, np.random.default_rng(seed))).all(0) for seed in range(30)]
    assert max(found.sum() for found in gone) == 1
    assert np.isfinite(content).all()
    moved = modality.model_copy(update={"drop_channels": 0.0, "noise": 0.5, "scale": 0.5, "shift": 1})
    one, two = (moved.augmented(content, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one != content).any()


def test_compressed_values_keep_order_and_sign_and_shrink_what_is_large():
    content = np.array([[0, 5], [1, 5], [2, np.nan], [3, 5], [-1000, 5]], np.float32)
    modality = Sensors(channels=("x", "y"), compress=True).fitted([Record("a", content=content)])
    assert modality.units == (1.0, 1.0)  # the distances from the median, 1, are 1, 0, 1, 2, 1001; y never changes
    values = modality.features(content)["sensors"].values
    expected = np.arcsinh(content[:, 0])
    np.testing.assert_allclose(values[:, 0], (expected - expected.mean()) / expected.std(), rtol=1e-5)
    np.testing.assert_array_equal(values[:, 1], 0)
    np.testing.assert_array_equal(values[:, 3], [1, 1, 0, 1, 1])


def test_windows_have_their_own_labels_where_the_label_changes_within_a_series(tmp_path: Path):
    labels = ["rest"] * 5 + ["walk"] * 5 + [""] * 3
    (tmp_path / "a.csv").write_text("x,label\n" + "".join(f"{number},{label}\n" for number, label in enumerate(labels)))
    records = list(Sensors(window=4, hop=3).read(str(tmp_path / "a.csv"), Quarantine()))
    # Of four moments two and two are the later label's.
    assert [(record.id, record.target) for record in records] == [
        ("a@0", "rest"), ("a@3", "walk"), ("a@6", "walk"), ("a@9", "walk"),
    ]  # fmt: skip
    (whole,) = Sensors(window=20).read(str(tmp_path / "a.csv"), Quarantine())
    assert whole.target == "walk"
    (tmp_path / "b.csv").write_text("id,x,label\none,1,up\none,2,\none,3,\none,4,\n")
    once = list(Sensors(window=2).read(str(tmp_path / "b.csv"), Quarantine()))
    assert [record.target for record in once] == ["up", "up"], "one label in a series is that of all its moments"
