"""Scores are unbiased, rankings have the areas of closed forms and of econml, policies the values of enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial, predictions

from hte_utils.corrected.cross_fitting import Cohort
from hte_utils.corrected.decisions import (
    EVERYBODY,
    GRID,
    NOBODY,
    ORACLE,
    autoc,
    autoc_difference,
    believed_difference,
    differences_from,
    doubly_robust_scores,
    patients_needed,
    policies_of,
    policy_difference,
    policy_values,
    qini,
    threshold_curve,
    toc,
)

PROBABILITY = st.floats(0.01, 0.99)
BENEFITS = st.lists(st.floats(-1, 1), min_size=2, max_size=30)
PATIENTS = st.lists(st.tuples(st.booleans(), st.floats(0.0, 0.5), st.floats(-0.4, 0.4)), min_size=2, max_size=30)


def _scores(made, truth):
    return doubly_robust_scores(truth, made.outcome, made.treatment, p_treated=0.5)


@given(guess=st.tuples(PROBABILITY, PROBABILITY), true=st.tuples(PROBABILITY, PROBABILITY), p=st.floats(0.05, 0.95))
def test_unbiased_whatever_is_predicted(guess, true, p) -> None:
    """One patient, all four (arm, outcome), weighted with their probabilities: the score is the true difference."""
    arm, outcome = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0])
    risk = np.where(arm == 1, true[1], true[0])
    weight = np.where(arm == 1, p, 1 - p) * np.where(outcome == 1, risk, 1 - risk)
    same = predictions(np.full(4, guess[0]), np.full(4, guess[1]))
    scores = doubly_robust_scores(same, outcome, arm, p_treated=p)
    assert weight @ scores == pytest.approx(true[1] - true[0], abs=1e-9)


def test_scores_are_those_of_econml() -> None:
    from econml.validate.utils import calculate_dr_outcomes

    made, truth = made_trial(500)
    both = np.column_stack([truth.baseline_risk, truth.treated_risk])
    theirs = calculate_dr_outcomes(made.treatment, made.outcome, both, np.full((500, 2), 0.5))
    np.testing.assert_allclose(_scores(made, truth), theirs[:, 0], atol=1e-12)


def test_good_predictions_make_the_scores_more_precise() -> None:
    made, truth = made_trial()
    nothing = predictions(np.full(4000, 1e-6), np.full(4000, 1e-6))
    assert _scores(made, truth).var() < 0.8 * _scores(made, nothing).var()


def test_one_to_three_allocation() -> None:
    """Truth -0.10 with a quarter of the patients treated: the design's probability finds it, 0.5 finds harm."""
    rng = np.random.default_rng(4)
    n = 200_000
    arm = (rng.random(n) < 0.25).astype(int)
    outcome = (rng.random(n) < np.where(arm == 1, 0.20, 0.30)).astype(float)
    guess = predictions(np.full(n, 0.10), np.full(n, 0.10))
    right = doubly_robust_scores(guess, outcome, arm, p_treated=0.25)
    assert right.mean() == pytest.approx(-0.10, abs=4 * right.std() / np.sqrt(n))
    wrong = doubly_robust_scores(guess, outcome, arm, p_treated=0.5)
    assert abs(wrong.mean() + 0.10) > 10 * wrong.std() / np.sqrt(n)


def test_the_allocation_is_never_assumed() -> None:
    made, truth = made_trial(100)
    with pytest.raises(TypeError, match="p_treated"):
        doubly_robust_scores(truth, made.outcome, made.treatment)  # type: ignore[call-arg]


def test_bad_input_of_scores_is_named() -> None:
    made, truth = made_trial(100)
    for p_treated in (1.0, 50.0):
        with pytest.raises(ValueError, match="p_treated must be a probability"):
            doubly_robust_scores(truth, made.outcome, made.treatment, p_treated=p_treated)
    for outcome, treatment in ((made.outcome + 1, made.treatment), (made.outcome, made.treatment + 1)):
        with pytest.raises(ValueError, match="must be 0 or 1 for every patient"):
            doubly_robust_scores(truth, outcome, treatment, p_treated=0.5)
    with pytest.raises(ValueError, match="beside 100 patients"):
        doubly_robust_scores(truth, made.outcome[:5], made.treatment, p_treated=0.5)


def test_closed_form_of_a_linear_effect() -> None:
    """Benefit uniform on [-1, 1], ranked perfectly: TOC(q) = 1 - q, AUTOC 1/2, QINI 1/6."""
    n = 20_000
    benefit = (2 * np.arange(n) + 1) / n - 1
    curve, _ = toc(benefit, benefit)
    np.testing.assert_allclose(curve, 1 - GRID, atol=1e-9)
    assert autoc(benefit, benefit).value == pytest.approx(1 / 2, abs=1e-4)
    assert qini(benefit, benefit).value == pytest.approx(1 / 6, abs=1e-4)


def test_the_areas_are_means_of_the_curve() -> None:
    """By hand: the mean benefit of the first k patients minus that of all, for every k."""
    priority, benefit = np.random.default_rng(8).normal(size=(2, 200))
    ranked = benefit[np.argsort(-priority)]
    curve = np.cumsum(ranked) / np.arange(1, 201) - benefit.mean()
    found, errors = toc(priority, benefit)
    np.testing.assert_allclose(found, curve[1::2], atol=1e-12)
    assert errors[-1] == pytest.approx(0.0, abs=1e-12)
    assert autoc(priority, benefit).value == pytest.approx(curve.mean())
    assert qini(priority, benefit).value == pytest.approx((curve * np.arange(1, 201)).sum() / 200**2)


@given(benefit=BENEFITS)
def test_no_ranking_beats_that_by_the_effects_themselves(benefit) -> None:
    values = np.array(benefit)
    (best, _), (worst, _) = toc(values, values), toc(-values, values)
    other, _ = toc(np.sin(1000 * values), values)
    assert (best >= other - 1e-12).all()
    assert (worst <= other + 1e-12).all()
    assert best[-1] == pytest.approx(0.0, abs=1e-12)


@given(benefit=BENEFITS)
def test_a_ranking_that_says_nothing_has_no_area(benefit) -> None:
    curve, _ = toc(np.zeros(len(benefit)), np.array(benefit))
    np.testing.assert_allclose(curve, 0.0, atol=1e-12)


def test_ties_do_not_depend_on_the_order_of_the_table() -> None:
    rng = np.random.default_rng(1)
    priority, benefit = rng.integers(0, 4, 200).astype(float), rng.normal(size=200)
    shuffled = rng.permutation(200)
    np.testing.assert_allclose(toc(priority, benefit)[0], toc(priority[shuffled], benefit[shuffled])[0], atol=1e-12)


@pytest.mark.parametrize(("metric", "area"), [("toc", autoc), ("qini", qini)])
def test_areas_are_those_of_econml(metric, area) -> None:
    """econml sums over percentiles and bootstraps; on a fine grid it must come to the same curve, area and error."""
    from econml.validate.utils import calc_uplift

    rng = np.random.default_rng(3)
    predicted = rng.normal(size=4000)
    benefit = 0.5 * predicted + rng.normal(size=4000)
    percentiles = np.linspace(1, 99.5, 198)
    np.random.seed(1)  # noqa: NPY002 - econml draws from the global generator
    theirs, se, curve = calc_uplift(
        predicted[:, None], predicted[:, None], benefit[:, None], percentiles, metric, n_bootstrap=200
    )
    theirs_by_share = curve.iloc[::2].sort_values("Percentage treated")  # whole percentages
    shares = theirs_by_share["Percentage treated"].to_numpy() / 100
    on_grid = np.interp(shares, GRID, toc(predicted, benefit)[0])
    on_grid = shares * on_grid if metric == "qini" else on_grid
    np.testing.assert_allclose(on_grid, theirs_by_share["value"], atol=0.02)
    found = area(predicted, benefit)
    assert found.value == pytest.approx(theirs, rel=0.03)
    assert found.se == pytest.approx(se, rel=0.15)


@pytest.mark.parametrize("levels", [None, 5])
def test_errors_are_the_spread_over_trials(levels) -> None:
    """Of the areas and of the curve, without ties and with many."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        priority = rng.normal(size=300) if levels is None else rng.integers(0, levels, 300).astype(float)
        benefit = 0.2 * priority + rng.normal(size=300)
        curve, errors = toc(priority, benefit)
        areas = autoc(priority, benefit), qini(priority, benefit)
        found.append([*(each.value for each in areas), curve[29], *(each.se for each in areas), errors[29]])
    spread, mean = np.std(found, axis=0), np.mean(found, axis=0)
    np.testing.assert_allclose(mean[3:], spread[:3], rtol=0.12)


def test_difference_of_two_rankings() -> None:
    rng = np.random.default_rng(6)
    good, noise = rng.normal(size=(2, 1000))
    benefit = good + rng.normal(size=1000)
    found, same = autoc_difference(good, noise, benefit), autoc_difference(good, good, benefit)
    assert found.value == pytest.approx(autoc(good, benefit).value - autoc(noise, benefit).value)
    assert found.value > 4 * found.se
    assert (same.value, same.se) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_bad_input_of_rankings_is_named() -> None:
    with pytest.raises(ValueError, match="one value for each patient"):
        toc([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="benefit is not finite"):
        toc([1.0, 2.0], [1.0, np.nan])


@given(patients=PATIENTS)
def test_regret_is_the_distance_to_the_oracle(patients) -> None:
    policy, risk, effect = (np.array(each) for each in zip(*patients, strict=True))
    nobody = np.zeros(len(patients))
    cohort = Cohort(nobody, nobody, risk, effect, nobody, 0.5)
    policies = {"policy": policy, "opposite": ~policy, "oracle": effect < 0}
    found = policy_values(policies, cohort) / 1000
    assert found.loc["oracle", "regret"] == 0.0
    assert (found["regret"] >= 0.0).all()
    np.testing.assert_allclose(found["bleeds"] - found.loc["oracle", "bleeds"], found["regret"], atol=1e-12)
    expected = np.mean([r + e if p else r for p, r, e in patients])
    assert found.loc["policy", "bleeds"] == pytest.approx(expected, abs=1e-12)
    assert found.loc["policy", "wrong"] + found.loc["opposite", "wrong"] == pytest.approx(np.mean(effect != 0))


def test_estimates_of_a_policy_are_near_its_true_value() -> None:
    made, truth = made_trial(40_000)
    policy, nobody = truth.risk_difference < 0, np.zeros(40_000, dtype=bool)
    known = policy_difference(policy, nobody, truth.risk_difference)
    found = policy_difference(policy, nobody, _scores(made, truth))
    assert found.value == pytest.approx(known.value, abs=3.5 * found.se)
    assert found.upper < 0


def test_interval_of_an_estimate_covers() -> None:
    """Of 200 trials some 190 hold the difference in the population they were drawn from."""
    population = made_trial(400_000, 99)[1].risk_difference.mean()
    everybody, nobody = np.ones(400, dtype=bool), np.zeros(400, dtype=bool)
    covered = []
    for seed in range(200):
        found = policy_difference(everybody, nobody, _scores(*made_trial(400, seed)))
        covered.append(found.lower < population < found.upper)
    assert 0.90 <= np.mean(covered) <= 0.99


def test_thresholds_lead_from_nobody_to_everybody() -> None:
    made, truth = made_trial(500)
    graded = truth._replace(p_harm=np.random.default_rng(1).random(500))
    curve = threshold_curve(graded, [0.0, 0.5, 1.0], made)
    assert curve.loc[0.0, "treated"] == 0.0
    assert curve.loc[1.0, "treated"] == 1000.0
    assert curve["treated"].is_monotonic_increasing
    assert curve.loc[0.5, "treated"] == 1000 * np.mean(graded.p_harm < 0.5)


def test_comparison_of_policies() -> None:
    made, truth = made_trial(3000)
    policies = policies_of({"truth": truth}, made)
    values = policy_values(policies, made)
    assert list(values.index) == [NOBODY, EVERYBODY, "truth", ORACLE]
    assert values.loc["truth", "regret"] == 0.0
    each = 1000 * np.maximum(-truth.risk_difference, 0.0)
    assert values.loc[NOBODY, "regret"] == pytest.approx(each.mean())
    assert values.loc[NOBODY, "regret_se"] == pytest.approx(np.sqrt(np.var(each, ddof=1) / 3000))
    assert values.loc[NOBODY, "bleeds"] == pytest.approx(1000 * truth.baseline_risk.mean())
    gain = values.loc["truth", "bleeds"] - values.loc[NOBODY, "bleeds"]
    table = differences_from(NOBODY, policies, made, _scores(made, truth))
    assert list(table.index) == [EVERYBODY, "truth", ORACLE]
    assert table.loc["truth", "true"] == pytest.approx(gain)
    paired = policy_difference(policies["truth"], policies[NOBODY], 1000 * truth.risk_difference)
    assert paired.value == pytest.approx(gain)
    assert paired.se == pytest.approx(np.std(each, ddof=1) / np.sqrt(3000))  # nobody's avoidable bleeds are avoided
    draws = xr.DataArray(np.random.default_rng(2).normal(size=(2, 5, 3000)), dims=("chain", "draw", "patient"))
    belief = believed_difference(policies["truth"], policies[NOBODY], draws, made)
    by_hand = 1000 * draws.isel(patient=policies["truth"]).sum("patient") / 3000
    assert belief["believed"] == pytest.approx(float(by_hand.mean()))
    assert belief["upper"] == pytest.approx(float(by_hand.quantile(0.975)))
    assert belief["true"] == pytest.approx(gain)


def test_patients_needed_has_the_stated_power() -> None:
    n = patients_needed(0.2, 0.1, 1000)
    se = 0.1 * np.sqrt(1000 / n)
    estimates = np.random.default_rng(1).normal(0.2, se, 100_000)
    assert np.mean(np.abs(estimates) > 1.96 * se) == pytest.approx(0.8, abs=0.01)
    assert patients_needed(0.0, 0.1, 1000) == np.inf


def test_a_threshold_in_per_cent_is_refused() -> None:
    made, truth = made_trial(100)
    with pytest.raises(ValueError, match="threshold must be a probability"):
        threshold_curve(truth, [0.5, 95], made)
