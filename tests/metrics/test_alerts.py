"""Alerts: each patient is called once, thresholds are the lowest that do what is asked, what is unknown is not an error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textome.errors import InputError
from textome.metrics.alerts import (
    FollowUp,
    first_alerts,
    score_alerts,
    threshold_for_alert_rate,
    threshold_for_precision,
)

Row = tuple[str, float, float, float, bool]


def data(rows: list[Row], horizon: float = 10.0) -> FollowUp:
    """Of rows of patient, moment, chance, time from the visit, and event."""
    patients, moments, chances, times, events = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    return FollowUp(
        list(patients), np.array(moments), np.array(chances), np.array(times), np.array(events, bool), horizon
    )


def test_a_patient_is_called_once_and_what_came_of_it_is_counted() -> None:
    rows: list[Row] = [
        ("a", 0, 0.2, 30, True),
        ("a", 12, 0.6, 18, True),  # called too early: no event within 10
        ("a", 25, 0.9, 5, True),
        ("b", 0, 0.7, 8, True),  # right
        ("c", 0, 0.8, 4, False),  # left before the horizon: unknown
        ("d", 0, 0.5, 50, False),  # wrong
        ("e", 0, 0.1, 3, True),  # never called
    ]
    scores = score_alerts(data(rows), 0.5)
    assert (scores.patients, scores.alerted, scores.right, scores.wrong, scores.unknown) == (5, 4, 1, 2, 1)
    assert scores.precision == pytest.approx(1 / 3)
    assert (scores.events, scores.forewarned, scores.recall) == (3, 2, pytest.approx(2 / 3))
    assert scores.lead == pytest.approx((18 + 8) / 2)
    assert scores.alert_rate == pytest.approx(0.8)


def test_nothing_known_and_nobody_called_are_no_numbers() -> None:
    scores = score_alerts(data([("a", 0, 0.2, 30, False)]), 0.5)
    assert (scores.alerted, scores.alert_rate) == (0, 0.0)
    assert np.isnan([scores.precision, scores.recall, scores.lead]).all()
    with pytest.raises(InputError, match="no visit whose outcome is known"):
        threshold_for_alert_rate(data([]), 0.1)
    with pytest.raises(InputError, match="too few patients whose outcome is known"):
        threshold_for_precision(data([("a", 0, 0.2, 30, False)]), 0.5)


rows_of_visits = st.lists(
    st.tuples(
        st.sampled_from("abcdefgh"),
        st.just(0.0),
        st.integers(1, 99).map(lambda value: value / 100),
        st.integers(0, 40).map(float),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
).map(lambda rows: sorted(rows, key=lambda row: row[0]))


@given(rows_of_visits, st.floats(0.01, 0.99))
def test_calls_are_the_first_visits_over_the_threshold(rows: list[Row], threshold: float) -> None:
    calls = first_alerts([row[0] for row in rows], np.array([row[2] for row in rows]), threshold)
    expected = []
    for number, row in enumerate(rows):
        before = [item for item in rows[:number] if item[0] == row[0] and item[2] >= threshold]
        expected.append(row[2] >= threshold and not before)
    assert calls.tolist() == expected


@given(rows_of_visits, st.floats(0.1, 1.0))
def test_the_lowest_threshold_that_calls_so_few_is_chosen(rows: list[Row], rate: float) -> None:
    chances = sorted({row[2] for row in rows})
    num_patients = len({row[0] for row in rows})
    fitting = [one for one in chances if len({row[0] for row in rows if row[2] >= one}) <= rate * num_patients]
    if not fitting:
        with pytest.raises(InputError, match="no threshold calls at most"):
            threshold_for_alert_rate(data(rows), rate)
    else:
        assert threshold_for_alert_rate(data(rows), rate).threshold == fitting[0]


def test_a_precision_is_kept_by_ten_calls_or_refused_with_what_can_be_had() -> None:
    rows: list[Row] = [(f"p{number:02}", 0, number / 40, 5, number >= 20) for number in range(40)]
    rows = [(name, moment, chance, 5 if event else 50, event) for name, moment, chance, _, event in rows]
    chosen = threshold_for_precision(data(rows), 0.8)
    assert (chosen.right, chosen.wrong) == (20, 5)
    assert chosen.threshold == pytest.approx(15 / 40)
    wrong = [(name, moment, 1 - chance, time, event) for name, moment, chance, time, event in rows]
    with pytest.raises(InputError, match=r"10 patients with a precision of 0.9; the best precision is 0\.500"):
        threshold_for_precision(data(wrong), 0.9)
