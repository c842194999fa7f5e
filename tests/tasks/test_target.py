"""Numbers that a model is asked for: from the units of the data to what is learnt, and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from textome.errors import InputError
from textome.inputs.records import Record
from textome.tasks.target import Target
from textome.training.losses import LOSSES, numbers, target_options

ROWS = [{"x": value} for value in (-3.0, 0.0, 1.0, 2.0, 4e5)]


def learnt_numbers(target: Target, rows: np.ndarray) -> np.ndarray:
    numbers = np.arcsinh(rows / np.array(target.units)) if target.compress else rows
    return ((numbers - np.array(target.means)) / np.array(target.deviations)).astype(np.float32)


@pytest.mark.parametrize("compress", [False, True])
def test_numbers_come_back_as_they_were(compress: bool):
    target = Target(kind="regression", compress=compress).fitted("target", [Record("a", target=row) for row in ROWS])
    rows = np.stack([target.encode(Record("a", target=row)) for row in ROWS])
    learnt = learnt_numbers(target, rows)
    assert abs(learnt.mean()) < 1e-5
    assert learnt.std() == pytest.approx(1, rel=1e-5)
    np.testing.assert_allclose(target.answers(learnt), rows, rtol=1e-4, atol=1e-1)
    if compress:
        assert target.units == (1.0,)  # the distances from the median, 1, are 4, 1, 0, 1 and many
        # Far beyond what training has shown an answer stays where that ended.
        np.testing.assert_allclose(target.answers(np.array([[-60.0], [60.0]], np.float32)), [[-3], [4e5]])


def test_the_loss_of_compressed_numbers_is_that_of_what_is_learnt():
    target = Target(kind="regression", compress=True, loss="absolute").fitted(
        "target", [Record("a", target=row) for row in ROWS]
    )
    rows = np.stack([target.encode(Record("a", target=row)) for row in ROWS])
    outputs = torch.linspace(-2, 2, len(ROWS))[:, None]
    options = target_options(target, rows, 0.0, torch.device("cpu"))
    loss = LOSSES[target.loss].value(outputs, torch.from_numpy(rows), [1] * len(rows), options)
    expected = np.abs(outputs.numpy() - learnt_numbers(target, rows)).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(numbers(outputs, outputs, (1,))) == 0


def test_only_numbers_are_compressed():
    with pytest.raises(ValueError, match="compress is for regression"):
        Target(kind="classification", compress=True)


def test_a_single_class_is_refused():
    records = [Record("a", target="rest"), Record("b", target="rest"), Record("c")]
    with pytest.raises(InputError, match="all training records have the label 'rest'; there is nothing to learn"):
        Target().fitted("target", records)
    with pytest.raises(InputError, match="all training records have the label 'rest'"):
        Target(labels=("rest", "walk")).fitted("target", records)
    assert Target().fitted("target", [*records, Record("d", target="walk")]).labels == ("rest", "walk")
