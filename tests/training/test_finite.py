"""A loss that is not a number is found one step later, and before anything is saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from textome.training.optimisation.finite import DivergedError, LossWatch


def test_the_step_that_diverged_is_named() -> None:
    watch = LossWatch(Path("run"))
    watch.step("step 1", torch.tensor(0.5))
    watch.step("step 2", torch.tensor(float("nan")))
    with pytest.raises(DivergedError, match=r"run: the loss is nan at step 2; lower training\.learning_rate"):
        watch.step("step 3", torch.tensor(0.5))


def test_the_last_step_is_looked_at_when_asked() -> None:
    watch = LossWatch(Path("run"))
    watch.check()
    watch.step("step 7", torch.tensor(float("inf")))
    with pytest.raises(DivergedError, match="inf at step 7"):
        watch.check()
