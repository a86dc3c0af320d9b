"""Treatment effects of single patients under the model as described.

All effects are log odds ratios of bleeding: positive is harm. The described model knows two of them for a patient: the
mean effect in the patient's subgroup, beta_1 + tau_k[i] (a CATE), and the patient's own, beta_1 + eta_i. Of the
deviation eta_i - tau_k[i] the trial knows what one outcome says about it: a little for a treated patient, nothing for
an untreated one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from scipy import special

from hte_utils.described.model import DescribedPriors, Reading, layout_of

if TYPE_CHECKING:
    from hte_utils.described.model import Subgroups
    from hte_utils.monte_carlo import FloatArray
    from hte_utils.trial_design import TrialDesign


def mean_effect_draws(posterior: xr.DataTree, design: TrialDesign, subgroups: Subgroups) -> xr.DataArray:
    """Draw the mean effect among patients like each patient, dims (chain, draw, patient).

    Parameters
    ----------
    posterior
        From `described_fit.fit_described`; under the literal reading the effect is beta_1 for everybody.
    design, subgroups
        The patients.
    """
    draws = posterior["posterior"].to_dataset()
    if _reading(posterior) is Reading.CHARITABLE:
        effect = draws["sums"].to_numpy()[..., subgroups.index]
    else:
        common = draws["fixed"].sel(coefficient="treatment").to_numpy()
        effect = np.repeat(common[..., None], design.n_patients, axis=2)
    return _labelled(effect)


def own_effect_draws(
    posterior: xr.DataTree, design: TrialDesign, subgroups: Subgroups, *, seed: int = 1
) -> xr.DataArray:
    """Draw each patient's own effect, beta_1 + eta_i, dims (chain, draw, patient); charitable reading.

    Parameters
    ----------
    posterior
        From `described_fit.fit_described`.
    design, subgroups
        The trial that the posterior was fitted to.
    seed
        Of NumPy's generator, for the deviations.

    Raises
    ------
    ValueError
        If the posterior is of the literal reading, in which a deviation is no part of the effect.
    """
    if _reading(posterior) is not Reading.CHARITABLE:
        raise ValueError("in the literal reading eta_i is no treatment effect: take mean_effect_draws")
    draws = posterior["posterior"].to_dataset()
    layout = layout_of(design, subgroups, Reading.CHARITABLE, DescribedPriors())
    coefficients = np.concatenate([draws["sums"], draws["fixed"]], axis=2).reshape(-1, layout.rows.shape[1])
    sigma = draws["sigma_eta"].to_numpy().reshape(-1, 1)
    rng = np.random.default_rng(seed)
    deviation = rng.standard_normal((len(coefficients), design.n_patients))
    treated = np.flatnonzero(layout.deviates)
    log_odds = coefficients @ layout.rows[treated].T
    deviation[:, treated] = deviations_given_outcome(log_odds, sigma, design.outcome[treated], rng)
    own = mean_effect_draws(posterior, design, subgroups)
    return own + (sigma * deviation).reshape(own.shape)


def deviations_given_outcome(
    log_odds: FloatArray, sigma: FloatArray, outcome: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Draw standard normal e given a Bernoulli outcome with log odds ``log_odds + sigma e``, by rejection.

    Parameters
    ----------
    log_odds
        Shape (draws, patients).
    sigma
        Shape (draws, 1).
    outcome
        0/1, shape (patients,).
    rng
        Source of randomness.
    """
    drawn = np.empty_like(log_odds)
    sign = np.broadcast_to(2.0 * outcome - 1.0, log_odds.shape).ravel()
    flat, spread, found = log_odds.ravel(), np.broadcast_to(sigma, log_odds.shape).ravel(), drawn.ravel()
    open_places = np.arange(flat.size)
    while open_places.size:
        proposed = rng.standard_normal(open_places.size)
        chance = special.expit(sign[open_places] * (flat[open_places] + spread[open_places] * proposed))
        accepted = rng.random(open_places.size) < chance
        found[open_places[accepted]] = proposed[accepted]
        open_places = open_places[~accepted]
    return found.reshape(log_odds.shape)


def _reading(posterior: xr.DataTree) -> Reading:
    return Reading(posterior["posterior"].attrs["reading"])


def _labelled(effect: FloatArray) -> xr.DataArray:
    coords = {dim: np.arange(size) for dim, size in zip(("chain", "draw", "patient"), effect.shape, strict=True)}
    return xr.DataArray(effect, coords, ("chain", "draw", "patient"), attrs={"scale": "log odds ratio"})
