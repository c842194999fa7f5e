"""How strongly two things bind, as a molecule and a protein: a number, and how far it may be off."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from textome.inputs.records import Floats
from textome.metrics.affinity import MAX_LOG_DEVIATION
from textome.tasks.target import Target


class Affinity(Target):
    """A number for each label of a pair, with an interval of its own.

    A model gives, for each label, the number and the logarithm of a standard deviation, both standardised. The interval is
    the number and `widths` times the deviation to either side: so wide that `coverage` of the validation pairs lie inside
    (split conformal prediction, Lei et al. 2018, section 5.2), and 1 where there are no validation data.

    labels    the columns of what was measured
    coverage  the share of pairs whose measurement lies in the interval
    widths    by label, fitted to the validation data when training ends
    """

    trained_by: ClassVar[str] = "pairs"
    run_by: ClassVar[str] = "pair_encoder"

    kind: Literal["affinity"] = "affinity"
    coverage: float = Field(0.9, gt=0, lt=1)
    widths: tuple[float, ...] = ()

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        return frozenset({"calibration"})

    @property
    def loss(self) -> str:
        return "numbers_with_deviations"

    @property
    def output_names(self) -> tuple[str, ...]:
        return (*self.labels, *(f"log deviation of {name}" for name in self.labels))

    @property
    def answer_names(self) -> tuple[str, ...]:
        """The names of the numbers of an answer: each label, and half the width of each one's interval."""
        return (*self.labels, *(f"{name} ±" for name in self.labels))

    def answers(self, outputs: Floats) -> Floats:
        """(B, 2 num_labels): numbers in the units of the data, and half the widths of their intervals."""
        numbers = outputs[:, : len(self.labels)] * np.asarray(self.deviations) + np.asarray(self.means)
        widths = self.deviations_of(outputs) * np.asarray(self.widths or (1.0,))
        return np.concatenate([numbers, widths], 1).astype(np.float32)

    def deviations_of(self, outputs: Floats) -> Floats:
        """(B, num_labels): standard deviations in the units of the data."""
        logs = np.clip(outputs[:, len(self.labels) :].astype(np.float64), -MAX_LOG_DEVIATION, MAX_LOG_DEVIATION)
        return np.asarray(np.exp(logs) * np.asarray(self.deviations), np.float32)

    def with_intervals(self, rows: Floats, outputs: Floats) -> Self:
        """With the widths that hold for labelled pairs: their rows (B, num_labels), and a model's outputs on them."""
        errors = np.abs(rows - self.answers(outputs)[:, : len(self.labels)]) / self.deviations_of(outputs)
        widths = []
        for column in errors.T.astype(np.float64):
            known = np.sort(column[np.isfinite(column)])
            rank = int(np.ceil((len(known) + 1) * self.coverage))
            widths.append(float(known[min(rank, len(known)) - 1]) if len(known) else 1.0)
        return self.model_copy(update={"widths": tuple(widths)})
