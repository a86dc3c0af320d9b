"""Draws from the prior, probabilities and predictive checks, against SciPy, scikit-learn and PyMC's own model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from hte_utils.corrected.model_checks import (
    bands,
    calibration_curve,
    differences_by_group,
    draw_from_prior,
    event_probability_draws,
    log_likelihood_draws,
    prior_prediction,
    prior_summary,
    rates_by_group,
    replicate_outcomes,
    replicated_trials,
)
from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.listing_2 import Priors, listing2_draws, listing_model
from hte_utils.model.spec import TrialDesign
from hte_utils.trial import simulate_trial


def by_hand(posterior: xr.DataTree, draw: int) -> np.ndarray:
    """Listing 2, lines 7-20, for one draw of the first chain."""
    design, values = small_design(), posterior["posterior"].isel(chain=0, draw=draw)
    treated = design.treatment
    log_odds = (
        float(values["b_intercept"])
        + float(values["b_trt"]) * treated
        + design.prognostic @ values["b_prognostic"].to_numpy()
        + treated * (design.modifiers @ values["b_interaction"].to_numpy())
        + values["re"].to_numpy()[design.group]
        + values["re_trt"].to_numpy()[design.group] * treated
    )
    return np.asarray(expit(log_odds))


def test_probabilities_are_those_of_the_listing() -> None:
    posterior = random_posterior(1)
    found = event_probability_draws(posterior, small_design())
    assert found.dims == ("chain", "draw", "patient")
    for draw in (0, 17):
        np.testing.assert_allclose(found.isel(chain=0, draw=draw), by_hand(posterior, draw), rtol=1e-12)


def test_log_likelihood_is_the_bernoulli_one() -> None:
    posterior, design = random_posterior(2), small_design()
    expected = stats.bernoulli.logpmf(design.outcome, by_hand(posterior, 3))
    np.testing.assert_allclose(log_likelihood_draws(posterior, design).isel(chain=0, draw=3), expected, rtol=1e-10)


def test_log_likelihood_is_that_of_the_pymc_model() -> None:
    design = small_design()
    draws = draw_from_prior(Priors(), design, draws=3, rng=np.random.default_rng(4))
    model = listing_model(design)
    logp = model.compile_logp(vars=[model["event"]], jacobian=False)
    found = log_likelihood_draws(draws, design).sum("patient").to_numpy()[0]
    for number in range(3):
        point = model.initial_point()
        one = draws["posterior"].isel(chain=0, draw=number)
        for name in point:
            plain = name.removesuffix("_log__")
            point[name] = np.log(one[plain]) if name != plain else one[plain].to_numpy()
        point = {name: np.asarray(value, dtype=np.float64) for name, value in point.items()}
        assert found[number] == pytest.approx(float(logp(point)), rel=1e-10)


def test_rare_outcomes_do_not_underflow() -> None:
    posterior = random_posterior(3)
    posterior["posterior"]["b_intercept"] -= 60.0
    found = log_likelihood_draws(posterior, small_design())
    assert np.isfinite(found).all()
    assert found.min() < -50.0


def test_replicates_have_the_probabilities() -> None:
    probability = xr.DataArray(np.full((1, 4000, 3), [0.0, 0.1, 1.0]), dims=("chain", "draw", "patient"))
    rates = replicate_outcomes(probability, np.random.default_rng(5)).mean(["chain", "draw"]).to_numpy()
    assert rates[0] == 0.0
    assert rates[2] == 1.0
    assert abs(rates[1] - 0.1) < 4 * np.sqrt(0.09 / 4000)


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


def replicates_of(design: TrialDesign, posterior: xr.DataTree) -> np.ndarray:
    return replicated_trials(posterior, design, np.random.default_rng(2))


def binomial_trial(events: int, n_draws: int) -> tuple[np.ndarray, TrialDesign, dict[str, np.ndarray]]:
    """Replicates of a trial of 150 patients with a risk of 8 % each, and the trial with its number of events."""
    design = small_design(150)
    design = TrialDesign(
        design.prognostic,
        design.modifiers,
        design.group,
        design.coding,
        outcome=(np.arange(150) < events).astype(float),
        treatment=design.treatment,
    )
    replicated = (np.random.default_rng(1).random((n_draws, 150)) < 0.08).astype(float)
    return replicated, design, {"all": np.ones(150, dtype=bool)}


def test_rates_follow_the_binomial_law() -> None:
    n, draws, events = 150, 4000, 15
    row = rates_by_group(*binomial_trial(events, draws)).loc["all"]
    law = stats.binom(n, 0.08)
    assert row["patients"] == n
    assert row["events"] == events
    assert row["observed"] == events / n
    assert row["expected"] == pytest.approx(0.08, abs=4 * law.std() / n / np.sqrt(draws))
    assert row["lower"] * n == pytest.approx(law.ppf(0.025), abs=1)
    assert row["upper"] * n == pytest.approx(law.ppf(0.975), abs=1)
    mid_p = law.sf(events) + 0.5 * law.pmf(events)
    assert row["p_value"] == pytest.approx(mid_p, abs=4 * np.sqrt(mid_p / draws))


def test_a_misfit_has_an_extreme_p_value() -> None:
    assert rates_by_group(*binomial_trial(40, 1000)).loc["all", "p_value"] < 0.001


def test_differences_by_hand() -> None:
    design = small_design()
    men = design.group == 0
    row = differences_by_group(replicates_of(design, random_posterior(1)), design, {"men": men}).loc["men"]
    arm = design.treatment == 1
    expected = design.outcome[men & arm].mean() - design.outcome[men & ~arm].mean()
    assert row["observed"] == pytest.approx(expected)
    assert row["lower"] < row["expected"] < row["upper"]


def test_empty_groups_are_refused() -> None:
    design = small_design()
    replicated = replicates_of(design, random_posterior(1))
    with pytest.raises(ValueError, match="'nobody' has no patients"):
        rates_by_group(replicated, design, {"nobody": np.zeros(300, dtype=bool)})
    with pytest.raises(ValueError, match="'treated' has an arm without patients"):
        differences_by_group(replicated, design, {"treated": design.treatment == 1})


def test_calibration_is_isotonic_regression() -> None:
    design = small_design()
    posterior = random_posterior(4)
    mean = event_probability_draws(posterior, design).mean(["chain", "draw"]).to_numpy()
    curve = calibration_curve(mean, replicates_of(design, posterior), design.outcome)
    fitted = IsotonicRegression().fit(mean, design.outcome).predict(curve["predicted"])
    np.testing.assert_allclose(curve["observed"], fitted, atol=1e-12)
    assert (curve["lower"] <= curve["upper"]).all()


def test_the_band_holds_a_replicated_trial() -> None:
    """An outcome drawn from the model itself lies in the band for most of the patients; a shifted one does not."""
    design, posterior = small_design(), random_posterior(4)
    replicated = replicates_of(design, posterior)
    mean = event_probability_draws(posterior, design).mean(["chain", "draw"]).to_numpy()
    inside = {}
    for name, risk in {"right": mean, "wrong": np.clip(3 * mean + 0.2, 0, 1)}.items():
        outcome = (np.random.default_rng(5).random(300) < risk).astype(float)
        curve = calibration_curve(mean, replicated, outcome)
        inside[name] = np.mean((curve["lower"] <= curve["observed"]) & (curve["observed"] <= curve["upper"]))
    assert inside["right"] > 0.85
    assert inside["wrong"] < 0.3


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_bands_are_a_partition(values: list[float]) -> None:
    found = bands(np.array(values), (45, 55, 65), "age", "years")
    assert list(found) == ["age < 45 years", "age 45–55 years", "age 55–65 years", "age ≥ 65 years"]
    np.testing.assert_array_equal(sum(found.values()), 1)


def test_prior_of_the_paper_expects_a_coin_toss() -> None:
    trial, rng = simulate_trial(300, 1), np.random.default_rng(1)
    paper, better = (
        prior_prediction(model, model.design(trial), draws=1000, rng=rng)
        for model in (PAPER_MODEL, ALL_MODIFIERS_MODEL)
    )
    # Symmetric about one half but for the covariates' positive means; the all-modifiers model's prior about 5 %.
    assert 0.4 < np.median(paper["event_rate"]) < 0.6
    assert 0.03 < np.median(better["event_rate"]) < 0.25
    assert abs(paper["risk_difference"].mean()) < 4 * paper["risk_difference"].std() / np.sqrt(1000)
    assert np.median(better["effect_spread"]) < np.median(paper["effect_spread"])
    median = prior_summary(paper).loc["event rate, median (%)", "value"]
    assert median == pytest.approx(100 * np.median(paper["event_rate"]))


def test_the_error_of_a_prior_probability_is_the_binomial_one() -> None:
    rng = np.random.default_rng(3)
    rate, difference = rng.random(20_000) ** 2, rng.normal(0.0, 0.1, 20_000)
    columns = {"event_rate": rate, "risk_difference": difference, "effect_spread": rng.random(20_000)}
    found = prior_summary(pd.DataFrame(columns))
    share = np.sqrt(0.1)
    row = found.loc["probability of an event rate below 10 % (%)"]
    # Fifty batches give an error to some 10 %; the median's is 1 / (2 density sqrt(n)), with density 1 at rate 1/4.
    assert row["mcse"] == pytest.approx(100 * np.sqrt(share * (1 - share) / 20_000), rel=0.4)
    assert abs(row["value"] - 100 * share) < 4 * row["mcse"]
    assert found.loc["event rate, median (%)", "mcse"] == pytest.approx(100 * 0.5 / np.sqrt(20_000), rel=0.4)
    sd = found.loc["average risk difference, SD (points)"]
    assert sd["mcse"] == pytest.approx(10 / np.sqrt(2 * 20_000), rel=0.4)


def test_many_prior_draws_are_made_in_blocks_of_the_same_distribution() -> None:
    design = PAPER_MODEL.design(simulate_trial(40, 1))
    found = prior_prediction(PAPER_MODEL, design, draws=1201, rng=np.random.default_rng(2))
    assert found.shape == (1201, 3)
    parts = np.array_split(found["risk_difference"].to_numpy(), 3)
    assert min(stats.ks_2samp(parts[0], part).pvalue for part in parts[1:]) > 1e-3
