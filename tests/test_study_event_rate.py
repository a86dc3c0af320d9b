"""The intercept for an event rate, against quadrature and against large simulated trials."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from hte_utils.study.generate import baseline_for_rate, expected_event_rate
from hte_utils.trial import (
    LISTING_BASELINE,
    LISTING_EFFECT,
    BaselineCoefficients,
    EffectCoefficients,
    simulate_truth,
)


def quadrature(beta: BaselineCoefficients, gamma: EffectCoefficients) -> float:
    """Listing 1's event rate by quadrature over age and SBP and by enumeration of the rest; written out on its own."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    sbp = np.sqrt(200.0) * nodes
    grid = np.linspace(25.0, 85.0, 4001)
    age_weights = norm.pdf(grid, 55.0, 12.0) * (grid[1] - grid[0])
    age_weights[[0, -1]] /= 2.0  # trapezium
    age_weights[0] += norm.cdf(25.0, 55.0, 12.0)  # clamped values sit on the limits
    age_weights[-1] += norm.sf(85.0, 55.0, 12.0)
    total = 0.0
    p_obese = norm.sf(30.0, 28.0, 5.0)
    for obese, diabetes, anticoagulant, prior in product((0, 1), repeat=4):
        p_diabetes = 0.2 + 0.2 * obese
        probability = (
            (p_obese if obese else 1 - p_obese)
            * (p_diabetes if diabetes else 1 - p_diabetes)
            * (0.3 if anticoagulant else 0.7)
            * (0.1 if prior else 0.9)
        )
        fixed = beta.intercept + beta.anticoagulant * anticoagulant + beta.prior_bleeding * prior
        untreated = fixed + beta.diabetes * diabetes + beta.age * (grid[:, None] - 55.0) + beta.sbp * sbp[None]
        effect = (
            gamma.base
            + gamma.age_per_decade * (grid[:, None] - 55.0) / 10.0
            + gamma.anticoagulant * anticoagulant
            + gamma.diabetes * diabetes
            + gamma.obese * obese
            + gamma.prior_bleeding * prior
        )
        mean_risk = (expit(untreated) + expit(untreated + effect)) / 2.0
        total += probability * float(age_weights @ mean_risk @ weights)
    return total


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.10, 0.20])
def test_the_solved_intercept_gives_the_rate(rate: float) -> None:
    baseline = baseline_for_rate(rate, LISTING_BASELINE, LISTING_EFFECT)
    assert quadrature(baseline, LISTING_EFFECT) == pytest.approx(rate, rel=2e-4)
    assert replace(baseline, intercept=0.0) == replace(LISTING_BASELINE, intercept=0.0)
    assert baseline.intercept == round(baseline.intercept, 6)


def test_the_rate_of_listing_1() -> None:
    rate = expected_event_rate(LISTING_BASELINE, LISTING_EFFECT)
    assert rate == pytest.approx(quadrature(LISTING_BASELINE, LISTING_EFFECT), rel=2e-4)
    n = 200_000
    observed = simulate_truth(n, 5).event.mean()
    assert abs(observed - rate) < 4.0 * np.sqrt(rate * (1 - rate) / n)


def test_an_impossible_rate_is_refused() -> None:
    for rate in (0.0, 1.1, -0.1):
        with pytest.raises(ValueError, match="different signs"):
            baseline_for_rate(rate, LISTING_BASELINE, LISTING_EFFECT)
