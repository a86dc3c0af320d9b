"""Policies: the oracle cannot be beaten, values are what enumeration gives, estimates are unbiased."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial

from hte_utils.corrected.for_benefit import Cohort
from hte_utils.corrected.policies import (
    EVERYBODY,
    NOBODY,
    ORACLE,
    believed_against,
    believed_difference,
    differences_from,
    doubly_robust_scores,
    estimated_difference,
    estimated_value,
    patients_needed,
    policies_of,
    regret_difference,
    threshold_curve,
    treat_if_harm_is_unlikely,
    treat_if_predicted_to_benefit,
    true_value,
    true_values,
)

PATIENTS = st.lists(st.tuples(st.booleans(), st.floats(0.0, 0.5), st.floats(-0.4, 0.4)), min_size=2, max_size=30)


@given(patients=PATIENTS)
def test_regret_is_the_distance_to_the_oracle(patients) -> None:
    policy, risk, effect = (np.array(each) for each in zip(*patients, strict=True))
    found = true_value(policy, risk, effect)
    oracle = true_value(effect < 0, risk, effect)
    assert oracle.regret == 0.0
    assert found.regret >= 0.0
    assert found.event_rate - oracle.event_rate == pytest.approx(found.regret, abs=1e-12)
    assert found.event_rate == pytest.approx(np.mean([r + e if p else r for p, r, e in patients]), abs=1e-12)
    opposite = true_value(~policy, risk, effect)
    assert found.wrong + opposite.wrong == pytest.approx(np.mean(effect != 0))


def test_estimates_are_those_of_the_arms_where_everybody_is_treated_alike() -> None:
    """With the right predictions the estimate is precise; over all patients it is near the truth."""
    made = made_trial(40_000)
    scores = doubly_robust_scores(made.truth, made.outcome, made.treatment, p_treated=0.5)
    policy = treat_if_predicted_to_benefit(made.truth)
    truth = true_value(policy, made.truth.baseline_risk, made.truth.risk_difference)
    found = estimated_value(policy, scores)
    assert found.value == pytest.approx(truth.event_rate, abs=3.5 * found.se)
    nobody = np.zeros(40_000, dtype=bool)
    difference = estimated_difference(policy, nobody, scores)
    assert difference.value == pytest.approx(found.value - estimated_value(nobody, scores).value)
    assert difference.upper < 0


def test_interval_of_an_estimate_covers() -> None:
    """Of 200 trials some 190 hold the rate of the population they were drawn from."""
    population = made_trial(400_000, 99).truth.treated_risk.mean()
    covered = []
    for seed in range(200):
        made = made_trial(400, seed)
        scores = doubly_robust_scores(made.truth, made.outcome, made.treatment, p_treated=0.5)
        found = estimated_value(np.ones(400, dtype=bool), scores)
        covered.append(found.lower < population < found.upper)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_thresholds_lead_from_nobody_to_everybody() -> None:
    made = made_trial(500)
    spread = np.random.default_rng(1).random(500)
    graded = type(made.truth)(made.truth.baseline_risk, made.truth.risk_difference, made.truth.log_odds_ratio, spread)
    curve = threshold_curve(graded, [0.0, 0.5, 1.0], made.truth.baseline_risk, made.truth.risk_difference)
    assert curve.loc[0.0, "share_treated"] == 0.0
    assert curve.loc[1.0, "share_treated"] == 1.0
    assert curve["share_treated"].is_monotonic_increasing
    assert curve.loc[0.5, "share_treated"] == np.mean(treat_if_harm_is_unlikely(graded, 0.5))


def test_belief_is_the_mean_of_the_draws() -> None:
    draws = xr.DataArray(np.random.default_rng(2).normal(size=(2, 5, 4)), dims=("chain", "draw", "patient"))
    treated, nobody = np.array([True, False, True, False]), np.zeros(4, dtype=bool)
    found = believed_difference(treated, nobody, draws)
    np.testing.assert_allclose(found, draws.isel(patient=[0, 2]).sum("patient").to_numpy().ravel() / 4)


def test_comparison_of_policies() -> None:
    made = made_trial(3000)
    cohort = Cohort(
        made.outcome.astype(int),
        made.treatment,
        made.truth.baseline_risk,
        made.truth.risk_difference,
        made.truth.log_odds_ratio,
        0.5,
    )
    policies = policies_of({"truth": made.truth}, cohort)
    values = true_values(policies, cohort)
    assert list(values.index) == [NOBODY, EVERYBODY, "truth", ORACLE]
    assert values.loc["truth", "regret"] == 0.0
    avoidable = np.abs(made.truth.risk_difference[made.truth.risk_difference < 0]).sum()
    assert values.loc[NOBODY, "regret"] == pytest.approx(1000 * avoidable / 3000)
    each = 1000 * np.where(made.truth.risk_difference < 0, -made.truth.risk_difference, 0.0)
    assert values.loc[NOBODY, "regret_se"] == pytest.approx(np.sqrt(np.var(each, ddof=1) / 3000))
    assert values.loc[NOBODY, "bleeds"] == pytest.approx(1000 * made.truth.baseline_risk.mean())
    scores = doubly_robust_scores(made.truth, made.outcome, made.treatment, p_treated=0.5)
    table = differences_from(NOBODY, policies, cohort, scores)
    assert table.loc["truth", "true"] == pytest.approx(values.loc["truth", "bleeds"] - values.loc[NOBODY, "bleeds"])
    paired = regret_difference(policies["truth"], policies[NOBODY], cohort)
    assert paired.value == pytest.approx(values.loc["truth", "bleeds"] - values.loc[NOBODY, "bleeds"])
    assert paired.se == pytest.approx(np.std(each, ddof=1) / np.sqrt(3000))  # nobody's avoidable bleeds are avoided
    constant = xr.DataArray(np.tile(made.truth.risk_difference, (1, 3, 1)), dims=("chain", "draw", "patient"))
    believed = believed_against(policies["truth"], policies[NOBODY], constant, cohort)
    assert believed["believed"] == pytest.approx(believed["true"])


def test_patients_needed_has_the_stated_power() -> None:
    n = patients_needed(0.2, 0.1, 1000)
    se = 0.1 * np.sqrt(1000 / n)
    estimates = np.random.default_rng(1).normal(0.2, se, 100_000)
    assert np.mean(np.abs(estimates) > 1.96 * se) == pytest.approx(0.8, abs=0.01)
    assert patients_needed(0.0, 0.1, 1000) == np.inf


def test_a_threshold_in_per_cent_is_refused() -> None:
    with pytest.raises(ValueError, match="threshold must be a probability"):
        treat_if_harm_is_unlikely(made_trial(100).truth, 95)
