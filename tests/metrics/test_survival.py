"""Concordance, Kaplan-Meier, Breslow's baseline and Cox's likelihood against scikit-survival, and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textome.metrics.survival import baseline_hazard, calibration, concordance, kaplan_meier, survival_at

PEOPLE = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.integers(-2, 2)), min_size=2, max_size=12
)  # few values, so many ties


@given(PEOPLE)
@settings(deadline=None)
def test_concordance_counts_pairs(people: list[tuple[int, bool, int]]) -> None:
    right = pairs = 0.0
    for time, event, risk in people:
        for other_time, other_event, other_risk in people:
            if event and (time < other_time or (time == other_time and not other_event)):
                pairs += 1
                right += 1.0 if risk > other_risk else 0.5 * (risk == other_risk)
    found = concordance(*zip(*people, strict=True))
    assert (np.isnan(found) and not pairs) or found == pytest.approx(right / pairs)


def people(count: int = 80) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times with ties, events, and three measurements."""
    generator = np.random.default_rng(3)
    measured = generator.standard_normal((count, 3))
    times = np.ceil(10 * generator.exponential(np.exp(-measured[:, 0]))) + 1
    return times, generator.random(count) < 0.6, measured


def test_curves_and_concordance_agree_with_scikit_survival() -> None:
    metrics = pytest.importorskip("sksurv.metrics")
    nonparametric = pytest.importorskip("sksurv.nonparametric")
    times, events, measured = people()
    expected = metrics.concordance_index_censored(events, times, measured[:, 0])[0]
    assert concordance(times, events, measured[:, 0]) == pytest.approx(expected)
    moments, shares = nonparametric.kaplan_meier_estimator(events, times)
    assert [survival_at(moment, times, events) for moment in moments] == pytest.approx(shares.tolist())


def test_cox_likelihood_and_baseline_agree_with_scikit_survival() -> None:
    """At the coefficients that scikit-survival fits with ties by Efron, the gradient of our likelihood is zero."""
    linear = pytest.importorskip("sksurv.linear_model")
    torch = pytest.importorskip("torch")
    from textome.training.losses import cox

    times, events, measured = people()
    outcome = np.array(list(zip(events, times, strict=True)), dtype=[("event", bool), ("time", float)])
    model = linear.CoxPHSurvivalAnalysis(ties="efron", tol=1e-12).fit(measured, outcome)
    weights = torch.tensor(model.coef_, requires_grad=True)
    targets = torch.tensor(np.stack([times, events], 1))
    loss = cox((torch.tensor(measured) @ weights)[:, None], targets)
    (gradient,) = torch.autograd.grad(loss, weights)
    assert gradient.abs().max() < 1e-6
    breslow = linear.CoxPHSurvivalAnalysis(ties="breslow", tol=1e-12).fit(measured, outcome)
    moments, hazards = baseline_hazard(times, events, measured @ breslow.coef_)
    assert hazards == pytest.approx(breslow.cum_baseline_hazard_(moments), rel=1e-6)


def test_efron_with_two_events_at_one_time() -> None:
    torch = pytest.importorskip("torch")
    from textome.training.losses import cox

    risks, targets = torch.tensor([[0.3], [-0.2], [0.5]]), torch.tensor([[1.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
    a, b, c = np.exp([0.3, -0.2, 0.5])
    expected = np.log(a + b + c) + np.log(a + b + c - (a + b) / 2) - (0.3 - 0.2)
    assert float(cox(risks, targets)) == pytest.approx(expected / 3, rel=1e-6)
    assert float(cox(risks, torch.tensor([[1.0, 0.0]] * 3))) == 0


def test_survival_without_events_is_one_and_calibration_groups_all() -> None:
    assert kaplan_meier([1, 2], [0, 0])[0].size == 0
    assert survival_at(5, [1, 2], [0, 0]) == 1
    groups = calibration(2, [0.1, 0.9, 0.5], [1, 3, 3], [1, 0, 0], groups=2)
    assert sum(count for *_, count in groups) == 3
    assert groups[0][:2] == pytest.approx((0.3, 0.5))
