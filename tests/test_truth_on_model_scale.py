"""The listing's coefficients on the model's scale."""

import numpy as np
import pytest
import statsmodels.api as sm

from hte_utils.trial import simulate_truth
from hte_utils.truth_on_model_scale import implied_coefficients


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
