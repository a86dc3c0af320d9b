"""Calibration of effects: known distortions come back, from the truth and from outcomes; libraries agree."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from made_predictions import made_trial, predictions, stretched
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.corrected.effect_calibration import (
    calibrate_against_truth,
    effects_by_predicted_group,
    log_odds_ratio_calibration_of_truth,
    regress_log_odds_ratio,
    regress_risk_difference,
)
from hte_utils.corrected.policies import doubly_robust_scores
from hte_utils.effects.strata import quantile_groups

MADE = made_trial(20_000)
TRUE = MADE.truth


def test_a_linear_distortion_of_the_truth_is_found_exactly() -> None:
    predicted = np.random.default_rng(1).normal(size=1000)
    found = calibrate_against_truth(predicted, 0.2 + 0.5 * predicted)
    assert found.slope == pytest.approx(0.5)
    assert found.intercept == pytest.approx(0.2)
    assert found.mean_error == pytest.approx((predicted - 0.2 - 0.5 * predicted).mean())
    assert found.integrated_error == pytest.approx(np.abs(0.5 * predicted - 0.2).mean())
    np.testing.assert_allclose(found.curve["true"], 0.2 + 0.5 * found.curve["predicted"], atol=1e-9)


def test_unexplained_effects_are_no_miscalibration() -> None:
    """Effects that scatter about right predictions: RMSE counts the scatter, the integrated error does not."""
    rng = np.random.default_rng(2)
    predicted = rng.normal(size=20_000)
    found = calibrate_against_truth(predicted, predicted + rng.normal(size=20_000))
    assert found.integrated_error < 0.05
    assert found.rmse == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_slope_for_benefit_of_known_stretching(factor) -> None:
    """Log odds ratios predicted `factor` times too far apart have nearly the slope 1 / factor, right ones exactly 1."""
    predicted = stretched(TRUE, factor)
    _, slope = log_odds_ratio_calibration_of_truth(predicted, TRUE.baseline_risk, TRUE.treated_risk, p_treated=0.5)
    assert slope == pytest.approx(1 / factor, abs=1e-6 if factor == 1.0 else 0.06)
    estimated = regress_log_odds_ratio(predicted, MADE.outcome, MADE.treatment, p_treated=0.5).slope
    assert estimated.lower < 1 / factor < estimated.upper


def test_intercept_for_benefit_of_a_known_shift() -> None:
    shifted = TRUE.log_odds_ratio + 0.4
    log_odds = np.log(TRUE.baseline_risk / (1 - TRUE.baseline_risk))
    predicted = predictions(TRUE.baseline_risk, 1 / (1 + np.exp(-log_odds - shifted)))
    intercept, slope = log_odds_ratio_calibration_of_truth(
        predicted, TRUE.baseline_risk, TRUE.treated_risk, p_treated=0.5
    )
    assert intercept == pytest.approx(-0.4, abs=1e-6)
    assert slope == pytest.approx(1.0, abs=1e-6)


def test_log_odds_regression_is_a_plain_logistic_regression() -> None:
    predicted = stretched(TRUE, 1.3)
    found = regress_log_odds_ratio(predicted, MADE.outcome, MADE.treatment, p_treated=0.5)
    log_odds = np.log(predicted.baseline_risk / (1 - predicted.baseline_risk))
    middle, effect = log_odds + 0.5 * predicted.log_odds_ratio, (MADE.treatment - 0.5) * predicted.log_odds_ratio
    theirs = sm.Logit(MADE.outcome, np.column_stack([np.ones(20_000), middle, MADE.treatment, effect])).fit(disp=False)
    assert found.slope.value == pytest.approx(theirs.params[3], abs=1e-6)
    assert found.slope.se == pytest.approx(theirs.bse[3], rel=1e-4)
    fixed = sm.GLM(
        MADE.outcome,
        np.column_stack([np.ones(20_000), middle, MADE.treatment]),
        family=sm.families.Binomial(),
        offset=effect,
    ).fit()
    assert found.intercept.value == pytest.approx(fixed.params[2], abs=1e-6)
    assert found.intercept.se == pytest.approx(fixed.bse[2], rel=1e-4)


@pytest.mark.parametrize("p_treated", [0.5, 0.25])
def test_an_error_of_the_baseline_is_not_taken_for_an_effect(p_treated) -> None:
    """No effect; predictions that err by e in the untreated risk and by -e in the effect, as every fit's do.

    The slope is 0. In the usual form, with the baseline in both arms and the effect in the treated alone, it is not.
    """
    rng = np.random.default_rng(3)
    base, error = rng.normal(-1.5, 0.5, 40_000), rng.normal(0.0, 0.5, 40_000)
    risk = 1 / (1 + np.exp(-base))
    guess = predictions(1 / (1 + np.exp(-base - error)), risk)
    _, slope = log_odds_ratio_calibration_of_truth(guess, risk, risk, p_treated=p_treated)
    assert slope == pytest.approx(0.0, abs=0.02)
    arm = np.repeat([0, 1], 40_000)
    weights = np.where(arm == 1, p_treated, 1 - p_treated)
    usual = [np.ones(80_000), np.tile(base + error, 2), arm, arm * np.tile(guess.log_odds_ratio, 2)]
    fit = sm.GLM(np.tile(risk, 2), np.column_stack(usual), family=sm.families.Binomial(), freq_weights=weights).fit()
    assert fit.params[3] > 0.2


def test_risk_difference_regression_has_hc1_errors() -> None:
    """Against statsmodels, and against HC1 by hand: (X'X)^-1 X' diag(e²) X (X'X)^-1 n / (n - 2)."""
    scores = doubly_robust_scores(TRUE, MADE.outcome, MADE.treatment, p_treated=0.5)
    found = regress_risk_difference(TRUE.risk_difference, scores)
    columns = sm.add_constant(TRUE.risk_difference)
    line = sm.OLS(scores.risk_difference, columns).fit(cov_type="HC1")
    assert found.value == pytest.approx(line.params[1])
    assert found.se == pytest.approx(line.bse[1])
    inverse = np.linalg.inv(columns.T @ columns)
    residual = scores.risk_difference - columns @ line.params
    by_hand = inverse @ (columns.T * residual**2) @ columns @ inverse * 20_000 / (20_000 - 2)
    assert found.se == pytest.approx(np.sqrt(by_hand[1, 1]))
    plain = sm.OLS(scores.risk_difference, columns).fit().bse[1]
    assert abs(found.se / plain - 1) > 0.03  # so that the robust one can be told from it
    doubled = regress_risk_difference(2 * TRUE.risk_difference, scores)
    assert doubled.value == pytest.approx(found.value / 2)


def test_groups_count_every_patient_and_use_newcombes_interval() -> None:
    table = effects_by_predicted_group(TRUE, MADE.outcome, MADE.treatment, quantile_groups(TRUE.risk_difference, 5))
    assert table["n"].sum() == 20_000
    assert table["events"].sum() == MADE.outcome.sum()
    assert table["predicted"].is_monotonic_increasing
    first = TRUE.risk_difference <= np.sort(TRUE.risk_difference)[3999]
    counts = [(int(MADE.outcome[first & (MADE.treatment == arm)].sum()), int((first & (MADE.treatment == arm)).sum()))
              for arm in (1, 0)]  # fmt: skip
    low, high = confint_proportions_2indep(*counts[0], *counts[1], method="newcomb", compare="diff")
    assert table.loc[1, "lower"] == pytest.approx(low)
    assert table.loc[1, "upper"] == pytest.approx(high)
    inside = (table["lower"] < table["predicted"]) & (table["predicted"] < table["upper"])
    assert inside.all()


def test_bad_input_is_named() -> None:
    scores = doubly_robust_scores(TRUE, MADE.outcome, MADE.treatment, p_treated=0.5)
    with pytest.raises(ValueError, match="all predicted effects are equal"):
        regress_risk_difference(np.zeros(20_000), scores)
    with pytest.raises(ValueError, match="one value for each patient"):
        regress_risk_difference(np.zeros(10), scores)
