"""Listing 2's terms as plain regressions: against statsmodels, and the mode against an optimiser."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit

from hte_utils.methods import METHODS
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial

TRIAL = simulate_trial(1500, 11)
DESIGN = PAPER_SPEC.design(TRIAL)


def columns(arm: np.ndarray, *, gender: bool) -> np.ndarray:
    parts = [np.ones(arm.size), arm, DESIGN.prognostic, arm[:, None] * DESIGN.modifiers]
    return np.column_stack([*parts, DESIGN.group, arm * DESIGN.group] if gender else parts)


def estimates(name: str):
    return METHODS[name](TRIAL, [TRIAL], np.random.default_rng(1)).estimates[0]


@pytest.mark.parametrize(("name", "gender"), [("listing_2_ml", True), ("listing_2_ml_no_gender", False)])
def test_maximum_likelihood_is_statsmodels(name, gender):
    fitted = sm.GLM(DESIGN.outcome, columns(DESIGN.treatment, gender=gender), family=sm.families.Binomial()).fit()
    untreated, treated = (columns(np.full(1500, arm), gender=gender) for arm in (0.0, 1.0))
    found = estimates(name)
    assert found.log_odds_ratio.value == pytest.approx((treated - untreated) @ fitted.params, rel=1e-6)
    assert found.baseline_risk == pytest.approx(fitted.predict(untreated), rel=1e-6)
    assert found.risk_difference.value == pytest.approx(fitted.predict(treated) - fitted.predict(untreated), abs=1e-8)
    assert found.log_odds_ratio.has_interval


def test_the_mode_is_that_of_the_posterior():
    terms = columns(DESIGN.treatment, gender=False)

    def minus_log_posterior(b: np.ndarray) -> float:
        return float(np.logaddexp(0.0, terms @ b).sum() - DESIGN.outcome @ (terms @ b) + 0.5 * b @ b)

    mode = minimize(minus_log_posterior, np.zeros(terms.shape[1]), method="BFGS", options={"gtol": 1e-7}).x
    found = estimates("listing_2_ridge")
    untreated = columns(np.zeros(1500), gender=False)
    assert found.baseline_risk == pytest.approx(expit(untreated @ mode), rel=1e-4)
    assert not found.risk_difference.has_interval
