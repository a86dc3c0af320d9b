"""The truth of the simulated trial: by scale, by risk group, and as coefficients on the model's scale."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from paper_fits import paper_design, paper_posterior
from scipy.special import expit, logit

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.strata import RiskStrata, stratify_by_risk
from hte_utils.effects.truth import (
    averages_beside_the_truth,
    best_fit,
    implied_coefficients,
    three_patients,
    true_cate,
    true_effects_by_stratum,
    true_effects_error,
)
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import (
    BaselineCoefficients,
    EffectCoefficients,
    ListingCoefficients,
    TrialTruth,
    simulate_trial,
    simulate_truth,
    trial_table,
)

POSTERIOR = IndependenceSettings(draws=500, chains=2)
INCLUDED = GroupEffects.INCLUDED


@pytest.fixture(scope="module")
def truth() -> TrialTruth:
    return simulate_truth(2000, 123)


@pytest.fixture(scope="module")
def strata() -> RiskStrata:
    posterior, design = paper_posterior(POSTERIOR), paper_design()
    effect = cate_draws(posterior, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=INCLUDED)
    return stratify_by_risk(baseline_risk_draws(posterior, design, group_effects=INCLUDED), effect)


def test_the_log_odds_ratio_is_what_listing_1_added(truth: TrialTruth) -> None:
    np.testing.assert_allclose(true_cate(truth, EffectScale.LOG_ODDS_RATIO), truth.treatment_effect, atol=1e-12)
    np.testing.assert_allclose(true_cate(truth, EffectScale.LOG_ODDS_RATIO), simulate_trial()["true_te"], atol=1e-12)


def test_the_risk_scales_follow_from_the_risks(truth: TrialTruth) -> None:
    treated = expit(logit(truth.baseline_risk) + truth.treatment_effect)
    np.testing.assert_allclose(true_cate(truth, EffectScale.RISK_DIFFERENCE), treated - truth.baseline_risk)
    np.testing.assert_allclose(true_cate(truth, EffectScale.RISK_RATIO), treated / truth.baseline_risk)


def test_the_scales_agree_about_the_sign(truth: TrialTruth) -> None:
    harmed = [true_cate(truth, scale) > scale.no_effect for scale in EffectScale]
    assert (harmed[0] == harmed[1]).all()
    assert (harmed[0] == harmed[2]).all()


def test_three_patients_at_low_middle_and_high_risk(truth: TrialTruth) -> None:
    table = three_patients(paper_posterior(POSTERIOR), paper_design(), truth)
    risks = [float(str(label).split()[0]) for label in table.index.get_level_values(0)[::2]]
    expected = 100 * np.quantile(truth.baseline_risk, [0.05, 0.5, 0.95])
    np.testing.assert_allclose(risks, expected, atol=0.1)
    patient = np.argsort(truth.baseline_risk)[999]
    draws = cate_draws(
        paper_posterior(POSTERIOR), paper_design(), scale=EffectScale.LOG_ODDS_RATIO, group_effects=INCLUDED
    )
    true, predicted = table["log odds ratio"].iloc[2:4]
    assert float(true) == pytest.approx(truth.treatment_effect[patient], abs=0.006)
    assert float(predicted.split()[0]) == pytest.approx(float(draws[..., patient].mean()), abs=0.006)


def test_averages_of_truth_and_prediction(truth: TrialTruth) -> None:
    table = averages_beside_the_truth(paper_posterior(POSTERIOR), paper_design(), truth)
    assert table.loc["log odds ratio", "true"].to_numpy() == pytest.approx([truth.treatment_effect.mean()] * 2)
    points = table.loc[("risk difference (points)", "INCLUDED")]
    assert points["true"] == pytest.approx(100 * truth.risk_difference.mean())
    draws = cate_draws(
        paper_posterior(POSTERIOR), paper_design(), scale=EffectScale.RISK_DIFFERENCE, group_effects=INCLUDED
    )
    assert points["mean"] == pytest.approx(100 * float(draws.mean()))
    assert points["lower"] < points["mean"] < points["upper"]
    assert 0 < points["mcse"] < points["upper"] - points["lower"]


def test_groups_add_up_to_everybody(truth: TrialTruth, strata: RiskStrata) -> None:
    table = true_effects_by_stratum(truth, strata)
    assert list(table.index) == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    assert table["risk_difference"].mean() == pytest.approx(truth.risk_difference.mean())
    assert table["share_harmed"].mean() == pytest.approx(np.mean(truth.treatment_effect > 0))
    assert table.loc["Q2", "log_odds_ratio"] == pytest.approx(truth.treatment_effect[strata.group == 2].mean())
    assert table["baseline_risk"].is_monotonic_increasing


def test_harm_is_in_the_high_risk_groups(truth: TrialTruth, strata: RiskStrata) -> None:
    difference = true_effects_by_stratum(truth, strata)["risk_difference"]
    assert difference["Q1"] < 0 < difference["Q4"] < difference["Q5"]


def test_the_error_of_a_true_group_mean_is_how_far_it_moves_with_the_members(truth: TrialTruth) -> None:
    found, errors = [], []
    for seed in range(12):
        posterior = paper_posterior(IndependenceSettings(draws=500, chains=2, seed=seed))
        risk = baseline_risk_draws(posterior, paper_design(), group_effects=INCLUDED)
        found.append(true_effects_by_stratum(truth, stratify_by_risk(risk, risk, n_replicates=2))["risk_difference"])
        errors.append(true_effects_error(risk, truth))
    spread = np.std(found, axis=0, ddof=1)
    ratio = np.sqrt(np.mean(np.square(errors), axis=0)) / spread
    assert ratio.min() > 0.4  # an SD of 12 runs is known to a fifth
    assert ratio.max() < 2.5
    assert 0.7 < np.mean(ratio) < 1.6


def test_age_is_per_standard_deviation():
    truth = implied_coefficients(age_sd=12.0)
    assert truth["b_age"] == pytest.approx(0.02 * 12)
    assert truth["b_trt_age"] == pytest.approx(0.05 * 12)


def test_a_regression_on_the_full_truth_returns_the_coefficients():
    """A binomial regression of the true probabilities on every term of Listing 1 must give the implied coefficients."""
    trial = simulate_truth(20_000, 3)
    x = trial.covariates
    age_sd = x.age.std(ddof=1)
    age = (x.age - x.age.mean()) / age_sd
    main = {"b_age": age, "b_anticoag": x.anticoagulant, "b_diabetes": x.diabetes, "b_prior": x.prior_bleeding}
    treated = {f"b_trt_{name[2:]}": trial.treatment * value for name, value in main.items()}
    others = [x.sbp - 130, trial.treatment, trial.treatment * (x.bmi > 30), np.ones_like(age)]
    design = np.column_stack([*main.values(), *treated.values(), *others])
    logit = np.log(trial.event_probability / (1 - trial.event_probability))
    fitted = dict(zip([*main, *treated], sm.OLS(logit, design).fit().params, strict=False))
    truth = implied_coefficients(age_sd)
    for name in truth.index.drop("b_bmi"):
        assert fitted[name] == pytest.approx(truth[name], abs=1e-8)


def best_fit_of(coefficients, n, seed):
    truth = simulate_truth(n, seed, coefficients=coefficients)
    design = PAPER_SPEC.design(trial_table(truth))
    return design, best_fit(design, truth)


def test_the_best_fit_is_the_truth_where_the_model_has_all_its_terms():
    """Without pressure, and without obesity and prior bleeding as modifiers, Listing 2 can be exactly right."""
    right = ListingCoefficients(BaselineCoefficients(sbp=0.0), EffectCoefficients(obese=0.0, prior_bleeding=0.0))
    design, found = best_fit_of(right, 3000, 4)
    expected = implied_coefficients(design.coding.covariates[0].sd, right)
    # The table's ages are rounded to tenths of a year.
    np.testing.assert_allclose(found[expected.index], expected, atol=2e-3)


def test_the_best_fit_takes_up_what_the_model_lacks():
    """R 4.2's glm(family = quasibinomial) on the true risks of the paper's patients, made by listing_1.R."""
    _, found = best_fit_of(ListingCoefficients(), 2000, 123)
    of_r = {
        "b_age": 0.230083,
        "b_anticoag": 0.811973,
        "b_bmi": -0.037090,
        "b_diabetes": 0.311051,
        "b_prior": 1.369273,
        "b_trt_age": 0.586488,
        "b_trt_anticoag": 0.387256,
        "b_trt_diabetes": -0.327123,
    }
    for name, value in of_r.items():
        assert found[name] == pytest.approx(value, abs=2e-6), name
