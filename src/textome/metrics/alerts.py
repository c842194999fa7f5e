"""Alerts in the follow-up of patients: when each is called, and how often rightly.

Arrays have one entry for each visit (N,); the visits of a patient stand together, in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from textome.errors import InputError

Numbers = NDArray[np.float64]
MIN_ALERTS = 10
_MAX_CANDIDATES = 400


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Visits with what came of them.

    patients  whose visit each is
    moments   when it was, in the unit of the data
    chances   of an event within `horizon` after the visit, as predicted
    times     from the visit to the event, or to when the patient was last seen
    events    whether the time ended with the event
    """

    patients: Sequence[str]
    moments: Numbers
    chances: Numbers
    times: Numbers
    events: NDArray[np.bool_]
    horizon: float


@dataclass(frozen=True, slots=True)
class AlertScores:
    """What a threshold does to some patients. Each is called once, at the first visit whose chance reaches it.

    patients, alerted   how many there are, and how many are called
    right, wrong, unknown   calls with the event within the horizon, without it, and of patients who left before that
    events, forewarned   patients with the event at some time, and those of them who were called before it
    lead   the median time from a call to the event, of `forewarned`; NaN where there is none
    """

    threshold: float
    patients: int
    alerted: int
    right: int
    wrong: int
    unknown: int
    events: int
    forewarned: int
    lead: float

    @property
    def precision(self) -> float:
        """The share of right calls among those of which it is known; NaN where there is none."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else float("nan")

    @property
    def recall(self) -> float:
        """The share of patients with the event who were called before it; NaN where nobody has one."""
        return self.forewarned / self.events if self.events else float("nan")

    @property
    def alert_rate(self) -> float:
        return self.alerted / self.patients if self.patients else float("nan")


def first_alerts(patients: Sequence[str], chances: Numbers, threshold: float) -> NDArray[np.bool_]:
    """(N,) whether a visit is the first of its patient with a chance of at least `threshold`."""
    calls = np.zeros(len(patients), bool)
    called: set[str] = set()
    for number in np.flatnonzero(chances >= threshold).tolist():
        if patients[number] not in called:
            called.add(patients[number])
            calls[number] = True
    return calls


def score_alerts(data: FollowUp, threshold: float) -> AlertScores:
    """What a threshold does to patients whose outcome is known."""
    calls = np.flatnonzero(first_alerts(data.patients, data.chances, threshold))
    happened = data.events[calls] & (data.times[calls] <= data.horizon)
    known = happened | (data.times[calls] >= data.horizon)
    with_event = {name for name, event in zip(data.patients, data.events.tolist(), strict=True) if event}
    before = calls[data.events[calls]]
    return AlertScores(
        threshold=float(threshold),
        patients=len(set(data.patients)),
        alerted=len(calls),
        right=int(happened.sum()),
        wrong=int((known & ~happened).sum()),
        unknown=int((~known).sum()),
        events=len(with_event),
        forewarned=len(before),
        lead=float(np.median(data.times[before])) if len(before) else float("nan"),
    )


def threshold_for_precision(data: FollowUp, precision: float) -> AlertScores:
    """The lowest threshold whose calls are right in at least this share, of at least `MIN_ALERTS` that are known.

    Raises InputError that says what can be had, where none does.
    """
    scores = [one for one in _candidates(data) if one.right + one.wrong >= MIN_ALERTS]
    return _lowest(
        scores,
        lambda one: one.precision >= precision,
        f"no threshold calls {MIN_ALERTS} patients with a precision of {precision:g}",
        lambda one: one.precision,
        "precision",
    )


def threshold_for_alert_rate(data: FollowUp, alert_rate: float) -> AlertScores:
    """The lowest threshold that calls at most this share of the patients. Raises InputError where none does."""
    return _lowest(
        _candidates(data),
        lambda one: one.alert_rate <= alert_rate,
        f"no threshold calls at most {alert_rate:g} of the patients",
        lambda one: -one.alert_rate,
        "alert rate",
    )


def _candidates(data: FollowUp) -> list[AlertScores]:
    """Scores at the distinct chances, from the lowest on; where there are very many, at their quantiles."""
    if not len(data.chances):
        raise InputError("there is no visit whose outcome is known, so no threshold can be chosen")
    chances = np.unique(data.chances)
    chosen = np.unique(np.linspace(0, len(chances) - 1, min(len(chances), _MAX_CANDIDATES)).astype(int))
    return [score_alerts(data, float(chance)) for chance in chances[chosen]]


def _lowest(
    scores: Sequence[AlertScores],
    holds: Callable[[AlertScores], bool],
    problem: str,
    value: Callable[[AlertScores], float],
    name: str,
) -> AlertScores:
    for one in scores:
        if holds(one):
            return one
    if not scores:
        raise InputError(f"{problem}: there are too few patients whose outcome is known")
    best = max(scores, key=value)
    raise InputError(f"{problem}; the best {name} is {abs(value(best)):.3f}, at the threshold {best.threshold:.4g}")
