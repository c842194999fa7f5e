"""Patients over time: the chance of an event after each visit, and an alert when it passes a threshold.

The model reads each visit with those before it (landmarking, van Houwelingen 2007) and answers with the time to an event
from then on. A threshold is chosen on development patients, for a precision or a rate of alerts that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from textome.documents import Record
from textome.errors import InputError, plain_message
from textome.formats.reading.sources import Quarantine, atomic_file
from textome.metrics.alerts import (
    AlertScores,
    FollowUp,
    first_alerts,
    score_alerts,
    threshold_for_alert_rate,
    threshold_for_precision,
)
from textome.runtime.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit of a patient.

    moment   when it was, in the unit of the data
    chance   of the event within the horizon from then on
    alert    whether it is the first at which the chance reaches the threshold
    """

    patient: str
    moment: float
    chance: float
    alert: bool


class AlertRule(BaseModel):
    """When to call: the chance of the event within `horizon` reaches `threshold`.

    model        the name of the model that it was chosen with
    chosen_for   what was asked for, as "precision 0.5"
    development  what the rule did to the patients on whom it was chosen; it looks better there than elsewhere
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float = Field(gt=0, lt=1)
    horizon: float = Field(gt=0)
    model: str = ""
    chosen_for: str = ""
    development: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path) -> AlertRule:
        """Raises InputError where the file is missing or no such rule."""
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"{path}: the rule of alerts cannot be read ({error.strerror})") from error
        except ValidationError as error:
            raise InputError(f"{path}: this is not a rule of alerts ({plain_message(error.errors()[0])})") from error

    def write(self, path: str | Path) -> None:
        with atomic_file(Path(path)) as stream:
            stream.write(json.dumps(self.model_dump(), indent=1).encode() + b"\n")


class Watch:
    """A model that follows patients. Raises InputError where it does not read visits, or answers no time to an event.

    horizon   in the unit of the data; None: the first of the model's
    """

    def __init__(self, predictor: Predictor, horizon: float | None = None) -> None:
        self.predictor, self.target = predictor, predictor.target
        name = predictor.bundle.name
        if not predictor.input.follows:
            raise InputError(f"{name}: this model reads a patient once; train one with landmarks = true in [modality]")
        if not self.target.horizons_answered:
            raise InputError(f"{name}: this model says nothing of the time to an event; train one of kind survival")
        self.horizon = self.target.horizons_answered[0] if horizon is None else horizon
        self.name = name

    @classmethod
    def load(cls, directory: str | Path, horizon: float | None = None, threads: int | None = None) -> Watch:
        """From a bundle's folder."""
        return cls(Predictor.load(directory, threads=threads), horizon)

    def chances(self, records: Sequence[Record]) -> NDArray[np.float64]:
        """(N,) of the event within the horizon after each visit."""
        answers = self.predictor.answer([record.content for record in records])
        return self.target.chance_within(answers, self.horizon)

    def visits(self, records: Sequence[Record], threshold: float) -> Iterator[Visit]:
        """Each visit with its chance, and whether it is the one at which its patient is called."""
        moments = [self._moment(record) for record in records]
        chances = self.chances(records)
        calls = first_alerts([patient for patient, _ in moments], chances, threshold)
        for (patient, moment), chance, call in zip(moments, chances.tolist(), calls.tolist(), strict=True):
            yield Visit(patient, moment, chance, call)

    def follow_up(self, records: Iterable[Record]) -> FollowUp:
        """The visits whose outcome is known, with their chances."""
        known = [record for record in records if record.target is not None]
        rows = [self.target.encode(record) for record in known]
        outcome = np.array(rows, np.float64).reshape(-1, 2)
        moments = [self._moment(record) for record in known]
        return FollowUp(
            [patient for patient, _ in moments],
            np.array([moment for _, moment in moments], np.float64),
            self.chances(known) if known else np.empty(0),
            outcome[:, 0],
            outcome[:, 1] > 0,
            self.horizon,
        )

    def choose(
        self, records: Iterable[Record], precision: float | None = None, alert_rate: float | None = None
    ) -> tuple[AlertRule, AlertScores]:
        """The rule with the lowest threshold that has the precision, or calls at most so large a share of patients.

        Raises InputError where both or neither are given, or no threshold does it.
        """
        if (precision is None) == (alert_rate is None):
            raise InputError("give either a precision or an alert rate to choose the threshold by")
        data = self.follow_up(records)
        if precision is not None:
            asked, scores = f"precision {precision:g}", threshold_for_precision(data, precision)
        else:
            assert alert_rate is not None
            asked, scores = f"alert rate {alert_rate:g}", threshold_for_alert_rate(data, alert_rate)
        development = {
            "patients": scores.patients,
            "alert_rate": round(scores.alert_rate, 4),
            "precision": round(scores.precision, 4),
            "recall": round(scores.recall, 4),
        }
        rule = AlertRule(
            threshold=scores.threshold,
            horizon=self.horizon,
            model=self.name,
            chosen_for=asked,
            development={key: value for key, value in development.items() if np.isfinite(value)},
        )
        return rule, scores

    def measure(self, records: Iterable[Record], threshold: float) -> AlertScores:
        """What a threshold does to patients whose outcome is known."""
        return score_alerts(self.follow_up(records), threshold)

    def read(self, path: str, quarantine: Quarantine) -> list[Record]:
        """The visits of a file, each patient's together and in order; what no chance can be made of is quarantined."""
        return [record for record, _ in self.predictor.stream(path, quarantine)]

    def _moment(self, record: Record) -> tuple[str, float]:
        moment = self.predictor.input.moment_of(record)
        assert moment is not None, "a model that follows has a moment for each record"
        return moment
