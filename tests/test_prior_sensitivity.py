"""Power-scaling: the log priors against PyMC's, and sensitivities where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import small_design
from paper_fits import paper_design, paper_posterior

from hte_utils.corrected.model_checks import LIKELIHOOD, THRESHOLD, log_prior_draws, sensitivity
from hte_utils.corrected.predictive_checks import draw_from_prior
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL
from hte_utils.model.listing_2 import Priors, listing2_draws, listing_model
from hte_utils.trial import simulate_trial


def test_log_priors_are_those_of_the_pymc_model() -> None:
    design, priors = small_design(), Priors(fixed_sd=1.3, intercept_mean=-2.0, intercept_sd=0.7)
    draws = draw_from_prior(priors, design, draws=2, rng=np.random.default_rng(4))
    model = listing_model(design, priors)
    variables = {
        "intercept": ["b_intercept"],
        "treatment": ["b_trt"],
        "main effects": ["b_prognostic"],
        "interactions": ["b_interaction"],
        "precisions": ["tau_re", "tau_re_trt"],
    }
    found = log_prior_draws(draws, priors)
    assert list(found.data_vars) == list(variables)
    for component, names in variables.items():
        logp = model.compile_logp(vars=[model[name] for name in names], jacobian=False)
        one = draws["posterior"].isel(chain=0, draw=1)
        point = {}
        for name in model.initial_point():
            plain = name.removesuffix("_log__")
            point[name] = np.asarray(np.log(one[plain]) if name != plain else one[plain], dtype=np.float64)
        assert float(found[component].isel(chain=0, draw=1)) == pytest.approx(float(logp(point)), rel=1e-7), component


def test_shrinkage_is_scaled_at_its_top() -> None:
    """With a learned scale, the interactions' component is the half-normal of that scale and nothing else."""
    design = ALL_MODIFIERS_MODEL.design(simulate_trial(200, 1))
    draws = draw_from_prior(ALL_MODIFIERS_MODEL.priors, design, draws=5, rng=np.random.default_rng(4))
    scale = draws["posterior"]["sd_interaction"]
    component = log_prior_draws(draws, ALL_MODIFIERS_MODEL.priors)["interactions"]
    np.testing.assert_allclose(component - component[0, 0], -(scale**2 - scale[0, 0] ** 2) / (2 * 0.5**2), atol=1e-10)


def test_what_the_data_identify_follows_them_and_the_rest_follows_the_prior() -> None:
    posterior = paper_posterior()
    found = sensitivity(posterior, paper_design(), Priors(), listing2_draws(posterior))
    assert list(found.columns)[-2:] == ["all priors", LIKELIHOOD]
    assert found.loc["b_intercept", "intercept"] > 2 * THRESHOLD
    assert found.loc["b_intercept", LIKELIHOOD] < THRESHOLD < found.loc["te_gender[1]", LIKELIHOOD]
    # A prior has most to say about its own parameter.
    for name, component in {"b_trt": "treatment", "b_trt_anticoag": "interactions", "b_prior": "main effects"}.items():
        others = found.loc[name].drop([component, "all priors", LIKELIHOOD])
        assert found.loc[name, component] > others.max()


def test_pure_noise_is_sensitive_to_nothing() -> None:
    posterior = paper_posterior()
    noise = posterior["posterior"]["b_trt"].copy(data=np.random.default_rng(1).normal(size=(4, 1000)))
    found = sensitivity(posterior, paper_design(), Priors(), noise.to_dataset(name="noise"))
    assert found.to_numpy().max() < THRESHOLD


def test_quantities_of_other_draws_are_refused() -> None:
    posterior = paper_posterior()
    other = xr.Dataset({"x": posterior["posterior"]["b_trt"].isel(draw=slice(10))})
    with pytest.raises(ValueError, match="differ in their draw labels"):
        sensitivity(posterior, paper_design(), Priors(), other)
