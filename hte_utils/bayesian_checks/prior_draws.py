"""Draws from the prior, laid out as a posterior: what the model says before it has seen an outcome.

The tree has the variables, dims and labels of `hte_utils.fit.fit`, so that everything which takes a posterior (risks,
effects, event probabilities) takes a prior as well. The tests hold these draws against PyMC's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from hte_utils.parameters import posterior_tree

if TYPE_CHECKING:
    from hte_utils.priors import Priors
    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import Patients


def draw_from_prior(priors: Priors, patients: Patients, *, draws: int, rng: np.random.Generator) -> xr.DataTree:
    """Draw every quantity of the model from its prior.

    `patients`: Give the labels of covariates, modifiers and groups; their values do not matter.

    Group `posterior` (so called because that is where other functions look), dims chain (one) and draw, with the
    variables that `hte_utils.fit.fit` returns: effects are log odds ratios of the event, positive = more events.
    """
    n_groups = len(patients.group_labels)
    intercept = priors.shared_intercept
    values: dict[str, FloatArray] = {}
    for name in ("tau_re", "tau_re_trt"):
        values[name] = rng.gamma(priors.precision_shape, 1.0 / priors.precision_rate, draws)
    values["b_intercept"] = rng.normal(intercept.mean, intercept.sd, draws)
    values["b_trt"] = rng.normal(priors.shared_effect.mean, priors.shared_effect.sd, draws)
    values["b_prognostic"] = rng.normal(0.0, priors.fixed_sd, (draws, len(patients.prognostic_labels)))
    values |= _interactions(priors, len(patients.modifier_labels), draws, rng)
    for deviation, precision in (("re", "tau_re"), ("re_trt", "tau_re_trt")):
        values[deviation] = rng.standard_normal((draws, n_groups)) / np.sqrt(values[precision])[:, None]
    values["te_group"] = values["b_trt"][:, None] + values["re_trt"]
    return posterior_tree({name: value[None] for name, value in values.items()}, None, patients)


def _interactions(priors: Priors, n_modifiers: int, draws: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    standard = rng.standard_normal((draws, n_modifiers))
    if priors.interaction_scale is None:
        return {"b_interaction": priors.fixed_sd * standard}
    sd = priors.interaction_scale * np.abs(rng.standard_normal(draws))
    return {"sd_interaction": sd, "b_interaction": sd[:, None] * standard}
