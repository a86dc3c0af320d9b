"""What a fitted model says about the outcomes of the trial itself: event probabilities, log-likelihood, replicates.

Everything here is about the arm that each patient was assigned to. The group effects are in, as the model implies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hte_utils.predictors import GroupEffects, baseline_log_odds, log_odds_ratio, posterior_dataset, require_moderate

if TYPE_CHECKING:
    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import TrialDesign

OUTCOME = "event"
"""Name of the outcome in the groups `log_likelihood`, `posterior_predictive` and `observed_data`."""


def event_probability_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Probability of the event under the assigned arm, for every patient in every draw.

    `posterior`: Draws of the model, as `hte_utils.fit.fit` or `prior_draws.draw_from_prior` return them.
    `design`: The patients, with their arms.

    Dims chain, draw, patient; values in [0, 1].
    """
    log_odds = _assigned_log_odds(posterior, design)
    return _labelled(1.0 / (1.0 + np.exp(-log_odds)), posterior, "event probability")


def log_likelihood_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Log-likelihood of every patient's observed outcome in every draw (Listing 2, lines 2-21; equation (9)).

    Parameters and errors as for `event_probability_draws`.

    Dims chain, draw, patient; name ``event``.
    """
    log_odds = _assigned_log_odds(posterior, design)
    # log P(y) = -log(1 + exp(±log odds)), minus for events: exact for rare outcomes too.
    log_odds *= (1.0 - 2.0 * design.outcome)[:, None]
    return _labelled(-np.logaddexp(0.0, log_odds), posterior, OUTCOME)


def replicate_outcomes(probabilities: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Draw one outcome for every patient and draw: a replicated trial per posterior draw (posterior predictive).

    0/1 (int8) of the same shape and labels; name ``event``.
    """
    events = rng.random(probabilities.shape) < probabilities.to_numpy()
    return probabilities.copy(data=events.astype(np.int8)).rename(OUTCOME)


def _assigned_log_odds(posterior: xr.DataTree, design: TrialDesign) -> FloatArray:
    """Shape (patients, draws), chain after chain."""
    everybody = slice(None)
    baseline = baseline_log_odds(posterior, design, GroupEffects.INCLUDED)
    effect = log_odds_ratio(posterior, design, GroupEffects.INCLUDED)
    require_moderate(baseline, effect)
    log_odds = baseline.values(everybody)
    treated = design.treatment == 1.0
    log_odds[treated] += effect.values(everybody)[treated]
    return log_odds


def _labelled(values: FloatArray, posterior: xr.DataTree, name: str) -> xr.DataArray:
    draws = posterior_dataset(posterior)
    chain, draw = draws["chain"], draws["draw"]
    n_patients = len(values)
    return xr.DataArray(
        values.reshape(n_patients, chain.size, draw.size).transpose(1, 2, 0),
        dims=("chain", "draw", "patient"),
        coords={"chain": chain, "draw": draw, "patient": np.arange(n_patients)},
        name=name,
    )
