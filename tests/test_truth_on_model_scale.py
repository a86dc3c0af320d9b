"""The listing's coefficients on the model's scale."""

import numpy as np
import pytest
import statsmodels.api as sm

from hte_utils import PAPER_SPEC
from hte_utils.effects.truth import best_fit, implied_coefficients
from hte_utils.trial import (
    BaselineCoefficients,
    EffectCoefficients,
    ListingCoefficients,
    simulate_truth,
    trial_table,
)


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
    expected = implied_coefficients(design.coding.covariates[0].sd, right)[found.index]
    np.testing.assert_allclose(found, expected, atol=2e-3)  # the table's ages are rounded to tenths of a year


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
