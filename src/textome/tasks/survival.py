"""The time until something happens, as a death or a relapse, where some are only known to have been well so long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from textome.documents import Record
from textome.errors import InputError
from textome.inputs.records import Floats
from textome.metrics.survival import baseline_hazard
from textome.tasks.target import Target

_MAX_BASELINE = 200


class Survival(Target):
    """A risk for each record, learnt by Cox's partial likelihood (Cox 1972; ties by Efron 1977), and how probable it is to
    be without the event at each of `horizons`, by Breslow's baseline of the training records.

    The target of a record has the values `time` and `event` (1 where the event ended the time, 0 where the patient was well
    when last seen).

    horizons   times in the unit of the data; empty: the quartiles of the training records' times of events
    baseline   times and cumulative hazards of the training data
    """

    needs_training_outputs: ClassVar[bool] = True

    kind: Literal["survival"] = "survival"
    horizons: tuple[float, ...] = ()
    baseline: tuple[tuple[float, float], ...] = ()

    @classmethod
    def features(cls, kind: str) -> frozenset[str]:
        return frozenset()

    @property
    def loss(self) -> str:
        return "cox"

    @property
    def answer_names(self) -> tuple[str, ...]:
        """The names of the numbers of an answer: the risk, and the probability to be without the event at each horizon."""
        return ("risk", *(f"survival at {horizon:g}" for horizon in self.horizons if self.baseline))

    @property
    def annotated_names(self) -> tuple[str, ...]:
        return self.answer_names

    def fitted(self, name: str, records: Sequence[Record]) -> Self:
        rows = np.stack([self.encode(record) for record in records])
        happened = rows[rows[:, 1] > 0, 0]
        if not len(happened):
            raise InputError("no training record has an event, so there is nothing to learn; see input.events")
        horizons = self.horizons or tuple(dict.fromkeys(np.quantile(happened, (0.25, 0.5, 0.75)).tolist()))
        return self.model_copy(update={"labels": ("risk",), "horizons": horizons})

    def encode(self, record: Record) -> Floats:
        """(2,): time and event. Raises InputError where they are missing or impossible."""
        if not isinstance(record.target, dict) or not {"time", "event"} <= record.target.keys():
            raise InputError(f"record {record.id}: expected the values time and event; see input.time and input.event")
        time, event = record.target["time"], record.target["event"]
        if not (np.isfinite(time) and time >= 0 and event in (0, 1)):
            raise InputError(f"record {record.id}: time {time} and event {event} are not a time and 0 or 1")
        return np.array([time, event], np.float32)

    def completed(self, rows: Floats, outputs: Floats) -> Self:
        times, hazards = baseline_hazard(rows[:, 0], rows[:, 1], outputs[:, 0])
        chosen = np.unique(np.linspace(0, len(times) - 1, min(len(times), _MAX_BASELINE)).astype(int))
        return self.model_copy(
            update={"baseline": tuple(zip(times[chosen].tolist(), hazards[chosen].tolist(), strict=True))}
        )

    def answers(self, outputs: Floats) -> Floats:
        """(B, 1 + horizons): the logarithm of the relative hazard, and the probabilities to be without the event."""
        risks = outputs.astype(np.float64)[:, :1]
        if not self.baseline:
            return np.asarray(risks, np.float32)
        return np.asarray(np.concatenate([risks, self._survival(risks, self.horizons)], 1), np.float32)

    @property
    def horizons_answered(self) -> tuple[float, ...]:
        return self.horizons if self.baseline else ()

    def chance_within(self, answers: Floats, horizon: float) -> NDArray[np.float64]:
        return np.asarray(1 - self._survival(answers[:, :1].astype(np.float64), (horizon,))[:, 0], np.float64)

    def _survival(self, risks: NDArray[np.float64], horizons: Sequence[float]) -> NDArray[np.float64]:
        """(B, horizons) of risks (B, 1), by the cumulative hazard of the training data."""
        times, hazards = np.array(self.baseline).T
        before = np.searchsorted(times, horizons, side="right")
        cumulative = np.where(before > 0, hazards[np.maximum(before - 1, 0)], 0.0)
        return np.asarray(np.exp(-cumulative * np.exp(risks)), np.float64)
