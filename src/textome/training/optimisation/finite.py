"""The loss of a run must stay a number; a look at it makes a GPU wait, so each step's is looked at one step later."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from textome.errors import InputError


class DivergedError(InputError):
    """The loss of a run became NaN."""


class LossWatch:
    """Looks at the losses of the run in `folder`. Ask `check` before anything is saved."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._position = ""
        self._loss: Tensor | None = None

    def step(self, position: str, loss: Tensor) -> None:
        """Check the loss of the step before and remember this one, a scalar on any device.

        position   where in the run it is, for messages
        """
        self.check()
        self._position, self._loss = position, loss

    def check(self) -> None:
        """Raise DivergedError where the last loss is NaN."""
        if self._loss is not None and not math.isfinite(value := float(self._loss)):
            raise DivergedError(
                f"{self._folder}: the loss is {value} at {self._position}; lower training.learning_rate and resume from "
                f"the last checkpoint"
            )
        self._loss = None
