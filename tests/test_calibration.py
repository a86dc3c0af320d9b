"""Calibration of risks: known distortions are found, statsmodels agrees, perfect predictions are recognised."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit

from hte_utils.corrected.calibration import bootstrapped_ici, calibrate_risk, calibrate_risk_against_truth

RNG = np.random.default_rng(4)
RISK = expit(RNG.normal(-2, 1, 3000))
OUTCOME = (RNG.random(3000) < RISK).astype(float)


def test_intercept_and_slope_are_those_of_statsmodels() -> None:
    found = calibrate_risk(OUTCOME, RISK, n_bootstrap=400, seed=1)
    binomial = sm.families.Binomial()
    large = sm.GLM(OUTCOME, np.ones(3000), family=binomial, offset=logit(RISK)).fit()
    line = sm.GLM(OUTCOME, sm.add_constant(logit(RISK)), family=binomial).fit()
    assert found.intercept.value == pytest.approx(large.params[0], abs=1e-7)
    assert found.slope.value == pytest.approx(line.params[1], abs=1e-7)
    # and the bootstrap's standard errors are near the model-based ones
    assert found.intercept.se == pytest.approx(large.bse[0], rel=0.15)
    assert found.slope.se == pytest.approx(line.bse[1], rel=0.15)


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (0.7, 1.0), (0.0, 0.5), (-1.0, 1.6)])
def test_known_distortions_come_back_exactly(intercept, slope) -> None:
    """If logit(truth) = a + b logit(prediction), the calibration with true risks gives a and b, and the exact ICI."""
    truth = expit(intercept + slope * logit(RISK))
    found = calibrate_risk_against_truth(truth, RISK)
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.ici == pytest.approx(np.abs(truth - RISK).mean(), abs=1e-9)
    if slope == 1.0:
        assert found.intercept == pytest.approx(intercept, abs=1e-6)


def test_the_curve_is_the_truth_where_the_truth_is_linear_on_the_log_odds() -> None:
    curve = calibrate_risk_against_truth(expit(0.4 + 0.8 * logit(RISK)), RISK).curve
    np.testing.assert_allclose(curve["observed"], expit(0.4 + 0.8 * logit(curve["predicted"])), atol=1e-7)


def test_perfect_predictions_have_the_ici_they_are_said_to_have() -> None:
    """ICI of simulated outcomes, averaged over trials, is `ici_if_calibrated`; and every one is above zero."""
    rng = np.random.default_rng(2)
    seen = [
        calibrate_risk((rng.random(800) < RISK[:800]).astype(float), RISK[:800], n_bootstrap=40, seed=trial)
        for trial in range(40)
    ]
    icis = np.array([each.ici for each in seen])
    assert (icis > 0).all()
    expected = np.mean([each.ici_if_calibrated for each in seen])
    assert icis.mean() == pytest.approx(expected, abs=3 * icis.std() / np.sqrt(40))


def test_inflated_risks_are_seen() -> None:
    found = calibrate_risk(OUTCOME, expit(logit(RISK) + 1.5), n_bootstrap=100, seed=1)
    assert found.intercept.upper < -1.2
    assert found.ici > 3 * found.ici_if_calibrated


def test_the_bootstrap_of_the_ici_begins_with_the_ici_and_is_biased_upwards() -> None:
    value, *replicates = bootstrapped_ici(OUTCOME, RISK, np.zeros(3000), n_bootstrap=60, seed=1)
    assert value == pytest.approx(calibrate_risk(OUTCOME, RISK, n_bootstrap=30, seed=1).ici)
    assert np.mean(replicates) > value


def test_patients_are_resampled_within_their_arm() -> None:
    """An arm without outcomes to vary adds nothing to the error of the intercept."""
    arm = np.repeat([0, 1], 1500)
    risk = np.r_[np.full(1500, 0.3), RISK[1500:]]
    outcome = np.r_[np.ones(450), np.zeros(1050), OUTCOME[1500:]]
    within = calibrate_risk(outcome, risk, strata=arm * 10_000 + np.where(arm == 0, np.arange(3000), 0), seed=1)
    among = calibrate_risk(outcome, risk, strata=arm, seed=1)
    assert within.intercept.se < 0.8 * among.intercept.se


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, second = (calibrate_risk(OUTCOME, RISK, n_bootstrap=30, seed=8) for _ in range(2))
    assert first.slope == second.slope


@pytest.mark.parametrize(
    ("outcome", "risk", "message"),
    [
        (OUTCOME, np.full(3000, 0.1), "quantiles coincide"),
        (OUTCOME, 100 * RISK, "give probabilities, not percentages"),
        (OUTCOME[:10], RISK, "beside 10 patients"),
        (OUTCOME + 1, RISK, "must be 0 or 1 for every patient"),
        (np.zeros(3000), RISK, "both must occur"),
    ],
)
def test_bad_input_is_named(outcome, risk, message) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate_risk(outcome, risk, seed=1)
