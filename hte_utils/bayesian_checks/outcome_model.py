"""What a fitted model says about the outcomes of the trial itself: event probabilities, log-likelihood, replicates.

Everything here is about the arm that each patient was assigned to. The group effects are in, as the model implies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hte_utils.cate import GroupEffects, PatientEffects, labelled

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
    return labelled(1.0 / (1.0 + np.exp(-log_odds)), posterior).rename("event probability")


def log_likelihood_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Log-likelihood of every patient's observed outcome in every draw (Listing 2, lines 2-21; equation (9)).

    Parameters and errors as for `event_probability_draws`.

    Dims chain, draw, patient; name ``event``.
    """
    log_odds = _assigned_log_odds(posterior, design)
    # log P(y) = -log(1 + exp(±log odds)), minus for events: exact for rare outcomes too.
    log_odds *= (1.0 - 2.0 * design.outcome)[:, None]
    return labelled(-np.logaddexp(0.0, log_odds), posterior).rename(OUTCOME)


def replicate_outcomes(probabilities: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Draw one outcome for every patient and draw: a replicated trial per posterior draw (posterior predictive).

    0/1 (int8) of the same shape and labels; name ``event``.
    """
    events = rng.random(probabilities.shape) < probabilities.to_numpy()
    return probabilities.copy(data=events.astype(np.int8)).rename(OUTCOME)


def _assigned_log_odds(posterior: xr.DataTree, design: TrialDesign) -> FloatArray:
    """Shape (patients, draws), chain after chain."""
    everybody = slice(None)
    effects = PatientEffects.of(posterior, design, GroupEffects.INCLUDED)
    log_odds = effects.baseline.values(everybody)
    treated = design.treatment == 1.0
    log_odds[treated] += effects.ratio.values(everybody)[treated]
    return log_odds
