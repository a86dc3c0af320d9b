"""Predictions are posterior means, as `cate` computes them; their Monte Carlo errors are those of batch means."""

from __future__ import annotations

import numpy as np
import pytest

from hte_utils import PAPER_SPEC, simulate_trial
from hte_utils.corrected.cross_fitting import (
    AGE,
    Cohort,
    EffectPredictions,
    by_age,
    cross_fit,
    predict_by_age,
    predict_effects,
)
from hte_utils.effects.cate import (
    EffectScale,
    GroupEffects,
    cate,
    cate_draws,
    predicted_risk,
)
from hte_utils.effects.monte_carlo import draws_matrix, jackknife_mean
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.trial import simulate_truth

TRIAL = simulate_trial(n_subjects=500, seed=123)
DESIGN = PAPER_SPEC.design(TRIAL)


@pytest.fixture(scope="module")
def posterior():
    return fit(DESIGN, settings=IndependenceSettings(draws=500, chains=4))


@pytest.mark.parametrize("group_effects", list(GroupEffects))
def test_predictions_are_those_of_cate(posterior, group_effects) -> None:
    found = predict_effects(posterior, DESIGN, group_effects=group_effects)
    for name, scale in (
        ("risk_difference", EffectScale.RISK_DIFFERENCE),
        ("log_odds_ratio", EffectScale.LOG_ODDS_RATIO),
    ):
        expected = cate(posterior, DESIGN, scale=scale, group_effects=group_effects)
        np.testing.assert_allclose(getattr(found, name), expected["mean"], atol=1e-12)
        np.testing.assert_allclose(found.p_harm, expected["p_harm"], atol=1e-12)
    risk = predicted_risk(posterior, DESIGN, group_effects=group_effects)
    np.testing.assert_allclose(found.baseline_risk, risk, atol=1e-12)
    factual = found.risk_under(DESIGN.treatment)
    np.testing.assert_allclose(factual[DESIGN.treatment == 0], found.baseline_risk[DESIGN.treatment == 0])


def test_batches_average_to_the_whole_and_give_the_monte_carlo_error(posterior) -> None:
    found = predict_effects(posterior, DESIGN, group_effects=GroupEffects.INCLUDED)
    assert len(found.batches) == 8
    np.testing.assert_allclose(found.risk_difference, np.mean([each.risk_difference for each in found.batches], axis=0))
    scale = EffectScale.RISK_DIFFERENCE
    draws = cate_draws(posterior, DESIGN, scale=scale, group_effects=GroupEffects.INCLUDED)
    mcse = jackknife_mean(*draws_matrix(draws)).mcse()
    ours = [found.number(lambda each, i=i: each.risk_difference[i]).mcse for i in range(500)]
    # With eight batches a single error is known to a quarter; their average over patients is better known.
    assert np.mean(ours) == pytest.approx(float(mcse.mean()), rel=0.4)


def test_draws_that_make_no_equal_batches_are_left_out(posterior) -> None:
    odd = posterior.isel(chain=[0], draw=slice(0, 499))
    found = predict_effects(odd, DESIGN, group_effects=GroupEffects.INCLUDED)
    scale = EffectScale.LOG_ODDS_RATIO
    expected = cate(odd.isel(draw=slice(0, 496)), DESIGN, scale=scale, group_effects=GroupEffects.INCLUDED)
    np.testing.assert_allclose(found.log_odds_ratio, expected["mean"], atol=1e-12)


def test_a_number_without_batches_has_no_error() -> None:
    number = predict_by_age(TRIAL, TRIAL).number(lambda each: each.risk_difference.mean())
    assert number.mcse == 0.0


def test_parts_are_put_back_in_their_places(posterior) -> None:
    whole = predict_effects(posterior, DESIGN, group_effects=GroupEffects.INCLUDED)
    rows = np.random.default_rng(1).permutation(500)
    parts = [
        predict_effects(posterior, DESIGN.apply(TRIAL.iloc[some]), group_effects=GroupEffects.INCLUDED)
        for some in (rows[:200], rows[200:])
    ]
    again = EffectPredictions.scattered(parts, [rows[:200], rows[200:]])
    np.testing.assert_allclose(again.p_harm, whole.p_harm, atol=1e-12)
    np.testing.assert_allclose(again.batches[3].baseline_risk, whole.batches[3].baseline_risk, atol=1e-12)


def test_age_alone_is_a_logistic_regression_of_four_terms() -> None:
    """Written as a formula, statsmodels gives the same risks."""
    import statsmodels.formula.api as smf

    table = TRIAL.assign(treated=(TRIAL["treatment"] == "Treatment").astype(float))
    theirs = smf.logit("event ~ treated * age", table).fit(disp=False)
    ours = predict_by_age(TRIAL, TRIAL)
    np.testing.assert_allclose(ours.baseline_risk, theirs.predict(table.assign(treated=0.0)), atol=1e-6)
    np.testing.assert_allclose(ours.treated_risk, theirs.predict(table.assign(treated=1.0)), atol=1e-6)
    assert ((ours.p_harm > 0.5) == (ours.log_odds_ratio > 0)).all()
    crossed = cross_fit(TRIAL, DESIGN.treatment, by_age)[AGE]
    assert 0 < np.abs(crossed.risk_difference - ours.risk_difference).max() < 0.2


def test_cohort_knows_what_listing_1_knows() -> None:
    truth = simulate_truth(300, 123)
    cohort = Cohort.of(truth)
    np.testing.assert_allclose(cohort.factual_risk, truth.event_probability, atol=1e-12)
    np.testing.assert_allclose(cohort.log_odds_ratio, truth.treatment_effect, atol=1e-9)
