"""Scores and curves of the time until something happens, where some are only known to have been well until they left.

times   (N,) of follow-up; events (N,) whether it ended with the event; risks (N,) higher for those who fare worse
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Numbers = NDArray[np.float64]


def concordance(times: ArrayLike, events: ArrayLike, risks: ArrayLike) -> float:
    """Harrell's C: of pairs of which it is known who had the event first, the share in which that one has the higher risk.

    Ties of risk count half; two events at one time are not a pair; who leaves at the time of another's event outlived it
    (Harrell et al. 1996). NaN where there is no pair.
    """
    time, event, risk = _arrays(times, events, risks)
    right = pairs = 0.0
    for number in np.flatnonzero(event):
        later = (time > time[number]) | ((time == time[number]) & (event == 0))
        pairs += int(later.sum())
        right += float((risk[later] < risk[number]).sum() + 0.5 * (risk[later] == risk[number]).sum())
    return right / pairs if pairs else float("nan")


def kaplan_meier(times: ArrayLike, events: ArrayLike) -> tuple[Numbers, Numbers]:
    """The distinct times of events (T,), and the share of people without one after each (T,) (Kaplan and Meier 1958)."""
    time, event, _ = _arrays(times, events, np.zeros(len(np.asarray(times))))
    distinct = np.unique(time[event > 0])
    at_risk = np.array([(time >= moment).sum() for moment in distinct], np.float64)
    happened = np.array([((time == moment) & (event > 0)).sum() for moment in distinct], np.float64)
    return distinct, np.asarray(np.cumprod(1 - happened / at_risk), np.float64)


def survival_at(moment: float, times: ArrayLike, events: ArrayLike) -> float:
    """The share without an event at `moment`, by Kaplan and Meier."""
    distinct, shares = kaplan_meier(times, events)
    before = int(np.searchsorted(distinct, moment, side="right"))
    return float(shares[before - 1]) if before else 1.0


def baseline_hazard(times: ArrayLike, events: ArrayLike, risks: ArrayLike) -> tuple[Numbers, Numbers]:
    """The distinct times of events (T,), and the cumulative hazard of a person of risk 0 after each (T,) (Breslow 1972).

    risks   logarithms of relative hazards
    """
    time, event, risk = _arrays(times, events, risks)
    distinct = np.unique(time[event > 0])
    weights = np.exp(risk)
    steps = [((time == moment) & (event > 0)).sum() / weights[time >= moment].sum() for moment in distinct]
    return distinct, np.cumsum(np.array(steps, np.float64))


def calibration(
    moment: float, survival: ArrayLike, times: ArrayLike, events: ArrayLike, groups: int = 5
) -> list[tuple[float, float, int]]:
    """For groups of people from the lowest predicted survival at `moment` to the highest: the mean of the predictions, the
    share by Kaplan and Meier, and how many there are."""
    predicted = np.asarray(survival, np.float64)
    time, event, _ = _arrays(times, events, predicted)
    order = np.argsort(predicted, kind="stable")
    return [
        (float(predicted[chosen].mean()), survival_at(moment, time[chosen], event[chosen]), len(chosen))
        for chosen in np.array_split(order, groups)
        if len(chosen)
    ]


def _arrays(times: ArrayLike, events: ArrayLike, risks: ArrayLike) -> tuple[Numbers, Numbers, Numbers]:
    return np.asarray(times, np.float64), np.asarray(events, np.float64), np.asarray(risks, np.float64)
