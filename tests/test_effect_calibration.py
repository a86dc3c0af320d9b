"""Known distortions of effects come back, from the truth and from outcomes; libraries agree; matched pairs."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial, predictions, stretched
from scipy.stats import somersd
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.corrected.cross_fitting import Cohort
from hte_utils.corrected.decisions import doubly_robust_scores
from hte_utils.corrected.effect_calibration import (
    MatchedPairs,
    c_for_benefit,
    calibrate_against_truth,
    concordance,
    e_for_benefit,
    effects_by_predicted_group,
    regress_log_odds_ratio,
    regress_risk_difference,
    true_log_odds_ratio_calibration,
)
from hte_utils.effects.strata import quantile_groups

MADE, TRUE = made_trial(20_000)
PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 1)), min_size=2, max_size=25)


def test_a_linear_distortion_of_the_truth_is_found_exactly() -> None:
    predicted = np.random.default_rng(1).normal(size=1000)
    found = calibrate_against_truth(predicted, 0.2 + 0.5 * predicted)
    assert found.slope == pytest.approx(0.5)
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
    _, slope = true_log_odds_ratio_calibration(predicted, MADE)
    assert slope == pytest.approx(1 / factor, abs=1e-6 if factor == 1.0 else 0.06)
    _, estimated = regress_log_odds_ratio(predicted, MADE)
    assert estimated.lower < 1 / factor < estimated.upper


def test_intercept_for_benefit_of_a_known_shift() -> None:
    shifted = TRUE.log_odds_ratio + 0.4
    log_odds = np.log(TRUE.baseline_risk / (1 - TRUE.baseline_risk))
    predicted = predictions(TRUE.baseline_risk, 1 / (1 + np.exp(-log_odds - shifted)))
    intercept, slope = true_log_odds_ratio_calibration(predicted, MADE)
    assert intercept == pytest.approx(-0.4, abs=1e-6)
    assert slope == pytest.approx(1.0, abs=1e-6)


def test_log_odds_regression_is_a_plain_logistic_regression() -> None:
    predicted = stretched(TRUE, 1.3)
    intercept, slope = regress_log_odds_ratio(predicted, MADE)
    log_odds = np.log(predicted.baseline_risk / (1 - predicted.baseline_risk))
    middle, effect = log_odds + 0.5 * predicted.log_odds_ratio, (MADE.treatment - 0.5) * predicted.log_odds_ratio
    theirs = sm.Logit(MADE.outcome, np.column_stack([np.ones(20_000), middle, MADE.treatment, effect])).fit(disp=False)
    assert slope.value == pytest.approx(theirs.params[3], abs=1e-6)
    assert slope.se == pytest.approx(theirs.bse[3], rel=1e-4)
    fixed = sm.GLM(
        MADE.outcome,
        np.column_stack([np.ones(20_000), middle, MADE.treatment]),
        family=sm.families.Binomial(),
        offset=effect,
    ).fit()
    assert intercept.value == pytest.approx(fixed.params[2], abs=1e-6)
    assert intercept.se == pytest.approx(fixed.bse[2], rel=1e-4)


@pytest.mark.parametrize("p_treated", [0.5, 0.25])
def test_an_error_of_the_baseline_is_not_taken_for_an_effect(p_treated) -> None:
    """No effect; predictions that err by e in the untreated risk and by -e in the effect, as every fit's do.

    The slope is 0. In the usual form, with the baseline in both arms and the effect in the treated alone, it is not.
    """
    rng = np.random.default_rng(3)
    base, error = rng.normal(-1.5, 0.5, 40_000), rng.normal(0.0, 0.5, 40_000)
    risk = 1 / (1 + np.exp(-base))
    guess = predictions(1 / (1 + np.exp(-base - error)), risk)
    nothing = np.zeros(40_000)
    cohort = Cohort(nothing.astype(int), nothing.astype(int), risk, nothing, nothing, p_treated)
    _, slope = true_log_odds_ratio_calibration(guess, cohort)
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
    line = sm.OLS(scores, columns).fit(cov_type="HC1")
    assert found.value == pytest.approx(line.params[1])
    assert found.se == pytest.approx(line.bse[1])
    inverse = np.linalg.inv(columns.T @ columns)
    residual = scores - columns @ line.params
    by_hand = inverse @ (columns.T * residual**2) @ columns @ inverse * 20_000 / (20_000 - 2)
    assert found.se == pytest.approx(np.sqrt(by_hand[1, 1]))
    plain = sm.OLS(scores, columns).fit().bse[1]
    assert abs(found.se / plain - 1) > 0.03  # so that the robust one can be told from it
    doubled = regress_risk_difference(2 * TRUE.risk_difference, scores)
    assert doubled.value == pytest.approx(found.value / 2)


def test_groups_count_every_patient_and_use_newcombes_interval() -> None:
    table = effects_by_predicted_group(TRUE, MADE, quantile_groups(TRUE.risk_difference, 5))
    assert table["n"].sum() == 20_000
    assert table["events"].sum() == MADE.outcome.sum()
    assert table["predicted"].is_monotonic_increasing
    first = TRUE.risk_difference <= np.sort(TRUE.risk_difference)[3999]
    counts = [(int(MADE.outcome[first & (MADE.treatment == arm)].sum()), int((first & (MADE.treatment == arm)).sum()))
              for arm in (1, 0)]  # fmt: skip
    low, high = confint_proportions_2indep(*counts[0], *counts[1], method="newcomb", compare="diff")
    assert table.loc[1, "lower"] == pytest.approx(low)
    assert table.loc[1, "upper"] == pytest.approx(high)
    np.testing.assert_allclose(table["true"], table["predicted"])  # they are the truth
    inside = (table["lower"] < table["predicted"]) & (table["predicted"] < table["upper"])
    assert inside.all()


def test_bad_input_is_named() -> None:
    scores = doubly_robust_scores(TRUE, MADE.outcome, MADE.treatment, p_treated=0.5)
    with pytest.raises(ValueError, match="all predicted effects are equal"):
        regress_risk_difference(np.zeros(20_000), scores)
    with pytest.raises(ValueError, match="one value for each patient"):
        regress_risk_difference(np.zeros(10), scores)


def _observed(effects: np.ndarray) -> np.ndarray:
    return np.stack([effects == level for level in (-1, 0, 1)]).astype(float)


@given(pairs=PAIRS)
def test_concordance_by_brute_force(pairs) -> None:
    predicted, observed = np.array(pairs, dtype=float).T
    score = count = 0.0
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if observed[i] > observed[j]:
                count += 1
                score += 1.0 if predicted[i] > predicted[j] else 0.5 if predicted[i] == predicted[j] else 0.0
    found = concordance(predicted, _observed(observed)).value
    assert np.isnan(found) if count == 0 else found == pytest.approx(score / count)


def test_concordance_by_somers_d() -> None:
    rng = np.random.default_rng(1)
    predicted, observed = rng.integers(0, 30, 200).astype(float), rng.integers(-1, 2, 200).astype(float)
    found = concordance(predicted, _observed(observed)).value
    assert found == pytest.approx((somersd(observed, predicted).statistic + 1) / 2)


def test_standard_error_is_the_jackknifes() -> None:
    rng = np.random.default_rng(2)
    predicted = rng.normal(size=150)
    observed = np.clip(np.rint(0.5 * predicted + rng.normal(size=150)), -1, 1)
    left_out = [
        concordance(np.delete(predicted, k), _observed(np.delete(observed, k))).value for k in range(observed.size)
    ]
    jackknife = np.sqrt(149 / 150 * np.square(left_out - np.mean(left_out)).sum())
    assert concordance(predicted, _observed(observed)).se == pytest.approx(jackknife, rel=0.03)


def test_c_of_truth_is_the_mean_and_the_spread_over_trials() -> None:
    """Simulated trials with the same patients and arms: their C-for-benefit is what is announced."""
    made, truth = made_trial(1000)
    announced = c_for_benefit(truth.risk_difference, made.factual_risk, made.treatment)
    rng = np.random.default_rng(7)
    seen = [
        c_for_benefit(truth.risk_difference, rng.random(1000) < made.factual_risk, made.treatment).value
        for _ in range(400)
    ]
    assert np.mean(seen) == pytest.approx(announced.value, abs=4 * np.std(seen) / 20)
    assert np.std(seen) == pytest.approx(announced.se, rel=0.15)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_table_does_not_matter(seed) -> None:
    """Nearly everybody is tied, in a table sorted by arm and outcome, and shuffled."""
    rng = np.random.default_rng(seed)
    effect, arm, outcome = rng.integers(0, 3, 60).astype(float), rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    outcome = outcome.astype(float)
    found = []
    for order in (np.lexsort((outcome, arm)), rng.permutation(60)):
        pairs = MatchedPairs.of(effect[order], arm[order], outcome[order])
        found.append(concordance(pairs.mean_of(effect[order]), _observed(pairs.effects(outcome[order]))).value)
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


def test_unequal_arms_leave_out_evenly() -> None:
    """300 treated, 100 controls: every third of the treated is matched, from the lowest rank to the highest."""
    effect = np.r_[np.arange(300.0), np.arange(0.0, 300.0, 3.0)]
    arm = np.repeat([1, 0], [300, 100])
    pairs = MatchedPairs.of(effect, arm, np.zeros(400))
    assert pairs.control.tolist() == list(range(300, 400))
    np.testing.assert_allclose(effect[pairs.treated], 1.0 + 3.0 * np.arange(100))
    assert np.abs(effect[pairs.treated] - effect[pairs.control]).max() <= 1.0


def test_predictions_that_know_nothing_are_at_one_half() -> None:
    made, _ = made_trial(4000)
    noise = np.random.default_rng(3).normal(size=4000)
    found = c_for_benefit(noise, made.factual_risk, made.treatment)
    assert found.value == pytest.approx(0.5, abs=0.02)


def test_right_predictions_have_the_distance_they_are_said_to_have() -> None:
    """E-for-benefit over trials in which the predictions are right; stretched ones lie beyond it."""
    made, truth = made_trial(1500)
    rng = np.random.default_rng(3)
    found = []
    for trial in range(30):
        outcome = (rng.random(1500) < made.factual_risk).astype(int)
        found.append(e_for_benefit(truth, made._replace(outcome=outcome), seed=trial))
    values, right = np.array([(value, if_right.value) for value, if_right in found]).T
    assert (values > 0).all()
    assert values.mean() == pytest.approx(right.mean(), abs=3.5 * values.std() / np.sqrt(30))
    value, if_right = e_for_benefit(stretched(truth, 4.0), made, seed=1)
    assert value > if_right.value + 10 * if_right.se
