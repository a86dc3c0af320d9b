"""Known distortions are found, statsmodels agrees, perfect predictions are recognised; the bootstrap and the spline."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from hte_utils.corrected.calibration import (
    QUANTILES,
    Estimate,
    bootstrap_counts,
    calibrate_risk,
    calibrate_risk_against_truth,
    spline_columns,
)

VALUES = np.random.default_rng(1).normal(size=500)
RNG = np.random.default_rng(4)
RISK = expit(RNG.normal(-2, 1, 3000))
OUTCOME = (RNG.random(3000) < RISK).astype(float)
ONE_STRATUM = np.zeros(3000)


def test_intercept_and_slope_are_those_of_statsmodels() -> None:
    found = calibrate_risk(OUTCOME, RISK, strata=ONE_STRATUM, n_bootstrap=400, seed=1)
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
    assert found.slope.value == pytest.approx(slope, abs=1e-6)
    assert found.ici == pytest.approx(np.abs(truth - RISK).mean(), abs=1e-9)
    if slope == 1.0:
        assert found.intercept.value == pytest.approx(intercept, abs=1e-6)


def test_the_curve_is_the_truth_where_the_truth_is_linear_on_the_log_odds() -> None:
    curve = calibrate_risk_against_truth(expit(0.4 + 0.8 * logit(RISK)), RISK).curve
    np.testing.assert_allclose(curve["observed"], expit(0.4 + 0.8 * logit(curve["predicted"])), atol=1e-7)


def test_perfect_predictions_have_the_ici_they_are_said_to_have() -> None:
    """ICI of simulated outcomes, averaged over trials, is `ici_if_right`; and every one is above zero."""
    rng = np.random.default_rng(2)
    seen = [
        calibrate_risk(rng.random(800) < RISK[:800], RISK[:800], strata=np.zeros(800), n_bootstrap=40, seed=trial)
        for trial in range(40)
    ]
    icis = np.array([each.ici for each in seen])
    assert (icis > 0).all()
    expected = np.mean([each.ici_if_right.value for each in seen])
    assert icis.mean() == pytest.approx(expected, abs=3 * icis.std() / np.sqrt(40))


def test_inflated_risks_are_seen() -> None:
    found = calibrate_risk(OUTCOME, expit(logit(RISK) + 1.5), strata=ONE_STRATUM, n_bootstrap=100, seed=1)
    assert found.intercept.upper < -1.2
    assert found.ici > 3 * found.ici_if_right.value


def test_the_bootstrap_of_the_ici_is_biased_upwards() -> None:
    found = calibrate_risk(OUTCOME, RISK, strata=ONE_STRATUM, n_bootstrap=60, seed=1)
    assert found.ici_replicates.shape == (60,)
    assert np.mean(found.ici_replicates) > found.ici


def test_patients_are_resampled_within_their_arm() -> None:
    """An arm without outcomes to vary adds nothing to the error of the intercept."""
    arm = np.repeat([0, 1], 1500)
    risk = np.r_[np.full(1500, 0.3), RISK[1500:]]
    outcome = np.r_[np.ones(450), np.zeros(1050), OUTCOME[1500:]]
    within = calibrate_risk(outcome, risk, strata=arm * 10_000 + np.where(arm == 0, np.arange(3000), 0), seed=1)
    among = calibrate_risk(outcome, risk, strata=arm, seed=1)
    assert within.intercept.se < 0.8 * among.intercept.se


def test_the_same_seed_gives_the_same_intervals() -> None:
    first, second = (calibrate_risk(OUTCOME, RISK, strata=ONE_STRATUM, n_bootstrap=30, seed=8) for _ in range(2))
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
        calibrate_risk(outcome, risk, strata=ONE_STRATUM, seed=1)


@given(
    strata=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    seed=st.integers(0, 2**32),
    replicates=st.integers(20, 40),
)
def test_counts_keep_the_size_of_each_stratum(strata, seed, replicates) -> None:
    labels = np.array(strata)
    counts = bootstrap_counts(labels, replicates, np.random.default_rng(seed))
    assert counts.shape == (replicates, labels.size)
    for label in set(strata):
        assert (counts[:, labels == label].sum(axis=1) == (labels == label).sum()).all()


def test_standard_error_of_a_mean_is_the_textbooks() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    counts = bootstrap_counts(np.zeros(400), 4000, rng)
    found = Estimate.bootstrapped(values.mean(), counts @ values / 400)
    expected = values.std() / 20
    assert found.se == pytest.approx(expected, rel=0.05)
    assert found.lower == pytest.approx(values.mean() - 1.96 * expected, abs=0.2 * expected)


def test_estimates_that_cannot_be_computed_are_not_passed_over_in_silence() -> None:
    with pytest.raises(ValueError, match="only 10 of 100 bootstrap replicates"):
        Estimate.bootstrapped(1.0, np.r_[np.ones(10), np.full(90, np.nan)])


def test_estimates_as_text() -> None:
    found = Estimate.normal(5.0, 1.0)
    assert f"{found:.1f}" == "5.0 (3.0 to 7.0)"


@given(intercept=st.floats(-5, 5), slope=st.floats(-5, 5))
def test_straight_lines_are_in_its_span(intercept, slope) -> None:
    columns = spline_columns(VALUES)
    line = intercept + slope * VALUES
    fitted = columns @ np.linalg.lstsq(columns, line)[0]
    np.testing.assert_allclose(fitted, line, atol=1e-9)


@pytest.mark.parametrize("n_knots", [4, 6])
def test_linear_beyond_the_outer_knots_and_curved_between(n_knots) -> None:
    knots = np.quantile(VALUES, QUANTILES[n_knots])
    at = np.linspace(-6, 6, 1201)
    curvature = np.abs(np.diff(spline_columns(VALUES, n_knots, at=at), 2, axis=0)).max(axis=1)
    outside = (at[1:-1] < knots[0] - 0.02) | (at[1:-1] > knots[-1] + 0.02)
    assert curvature[outside].max() < 1e-10
    assert curvature[~outside].max() > 1e-4
    assert n_knots == spline_columns(VALUES, n_knots, at=at).shape[1]


@pytest.mark.parametrize(
    ("n_knots", "quantiles"), [(4, [0.05, 0.35, 0.65, 0.95]), (6, [0.05, 0.23, 0.41, 0.59, 0.77, 0.95])]
)
def test_knots_are_at_harrells_quantiles(n_knots, quantiles) -> None:
    """Harrell (2015), Regression Modeling Strategies, Table 2.3: at its own knot each column is 1, the others are 0."""
    at_knots = spline_columns(VALUES, n_knots, at=np.quantile(VALUES, quantiles))
    np.testing.assert_allclose(at_knots, np.eye(n_knots), atol=1e-9)


def test_too_few_distinct_values_are_refused() -> None:
    with pytest.raises(ValueError, match="quantiles coincide"):
        spline_columns(np.repeat([0.0, 1.0], 50))
