"""Prior draws against closed forms of their marginals, and against PyMC's own prior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pymc as pm
import pytest
from hand_made_posteriors import small_design
from scipy import stats

from hte_utils.corrected.predictive_checks import draw_from_prior
from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.listing_2 import Priors, listing2_draws, listing_model
from hte_utils.trial import simulate_trial

DRAWS = 4000
# Two dozen comparisons with fixed seeds; a sound one falls below in one run of a thousand.
LEAST_P = 1e-3 / 24


def drawn(model: CandidateModel, seed: int = 1) -> dict[str, np.ndarray]:
    design = model.design(simulate_trial(60, 1))
    prior = draw_from_prior(model.priors, design, draws=DRAWS, rng=np.random.default_rng(seed))
    return {str(name): values.to_numpy().ravel() for name, values in listing2_draws(prior).items()} | (
        {"sd_interaction": prior["posterior"]["sd_interaction"].to_numpy().ravel()}
        if model.priors.interaction_scale
        else {}
    )


@pytest.mark.parametrize("model", [PAPER_MODEL, ALL_MODIFIERS_MODEL], ids=lambda model: model.name)
def test_marginals_have_their_closed_forms(model: CandidateModel) -> None:
    found, priors = drawn(model), model.priors
    intercept_sd = priors.fixed_sd if priors.intercept_sd is None else priors.intercept_sd
    gamma = stats.gamma(priors.precision_shape, scale=1 / priors.precision_rate)
    # A normal with a gamma precision is a t.
    deviation = stats.t(2 * priors.precision_shape, scale=np.sqrt(priors.precision_rate / priors.precision_shape))
    laws = {
        "b_intercept": stats.norm(priors.intercept_mean, intercept_sd),
        "b_trt": stats.norm(0, priors.fixed_sd),
        "b_bmi": stats.norm(0, priors.fixed_sd),
        "tau_re": gamma,
        "tau_re_trt": gamma,
        "re[1]": deviation,
        "re_trt[2]": deviation,
    }
    if priors.interaction_scale is None:
        laws["b_trt_age"] = stats.norm(0, priors.fixed_sd)
    else:
        laws["sd_interaction"] = stats.halfnorm(scale=priors.interaction_scale)
    p_values = {name: stats.kstest(found[name], law.cdf).pvalue for name, law in laws.items()}
    assert min(p_values.values()) > LEAST_P, p_values


@pytest.mark.parametrize("model", [PAPER_MODEL, ALL_MODIFIERS_MODEL], ids=lambda model: model.name)
def test_same_prior_as_the_pymc_model(model: CandidateModel) -> None:
    """Also in what two variables have in common: b_trt + re_trt, and an interaction over its common SD."""
    design = model.design(simulate_trial(60, 1))
    pymc_model = listing_model(design, model.priors)
    names = ["te_group", "re", "b_interaction", "tau_re_trt"]
    values = pm.draw([pymc_model[name] for name in names], draws=1000, random_seed=3)
    theirs = dict(zip(names, values, strict=True))
    prior = draw_from_prior(model.priors, design, draws=DRAWS, rng=np.random.default_rng(2))["posterior"]
    for name, values in theirs.items():
        ours = prior[name].to_numpy()[0]
        first = (ours[:, 0], values[:, 0]) if ours.ndim == 2 else (ours, values)
        assert stats.ks_2samp(*first).pvalue > LEAST_P, name
    # Two interactions share their scale, or they do not: the product of their sizes shows it.
    pairs = [
        np.abs(np.prod(each[:, :2], axis=1)) for each in (prior["b_interaction"][0].to_numpy(), theirs["b_interaction"])
    ]
    assert stats.ks_2samp(*pairs).pvalue > LEAST_P


def test_another_prior_is_noticed() -> None:
    wrong = drawn(replace(PAPER_MODEL, priors=Priors(precision_rate=0.5)))
    assert stats.kstest(wrong["tau_re"], stats.gamma(2, scale=1 / 2).cdf).pvalue < 1e-12


def test_prior_serves_where_a_posterior_does() -> None:
    design = small_design()
    prior = draw_from_prior(Priors(), design, draws=7, rng=np.random.default_rng(1))
    effects = cate_draws(prior, design, scale=EffectScale.RISK_RATIO, group_effects=GroupEffects.INCLUDED)
    assert effects.sizes == {"chain": 1, "draw": 7, "patient": 300}
    np.testing.assert_allclose(
        prior["posterior"]["te_group"], prior["posterior"]["b_trt"] + prior["posterior"]["re_trt"], rtol=1e-12
    )
