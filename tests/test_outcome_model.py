"""Event probabilities and log-likelihood, against SciPy and against PyMC's model."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from scipy import stats
from scipy.special import expit

from hte_utils.corrected.predictive_checks import (
    draw_from_prior,
    event_probability_draws,
    log_likelihood_draws,
    replicate_outcomes,
)
from hte_utils.model.listing_2 import Priors, listing_model


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
