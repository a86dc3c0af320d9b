"""The paper's hierarchical logistic model in PyMC; nothing is sampled here.

`listing_model` is Listing 2 line by line. `sums_model` is the same posterior in the coordinates that the data can
see: the group intercepts ``alpha_g = b_intercept + re_g`` and group treatment effects ``delta_g = b_trt +
re_trt_g`` (see `hte_utils.priors` for the algebra, and for the exact way back). The scale is log-odds of the
event; in the paper's trial the event is major bleeding, so a positive effect is harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pymc as pm

from hte_utils.priors import Priors

if TYPE_CHECKING:
    from hte_utils.spec import TrialDesign


def listing_model(design: TrialDesign, priors: Priors | None = None) -> pm.Model:
    """Build Listing 2 as printed, for any covariates and any number of groups.

    Parameters
    ----------
    design
        The trial, as `TrialSpec.design` returns it.
    priors
        Prior scales; those of Listing 2 if None.

    Returns
    -------
    pymc.Model
        Variables ``b_intercept``, ``b_trt``, ``b_prognostic`` (dim prognostic), ``b_interaction`` (dim modifier),
        ``re``, ``re_trt``, ``te_group`` (dim group), ``tau_re``, ``tau_re_trt``; observed ``event`` (dim patient).
    """
    priors = priors or Priors()
    sd, shape, rate = priors.fixed_sd, priors.precision_shape, priors.precision_rate
    with pm.Model(coords=_coords(design)) as model:
        # Priors for fixed effects and interaction effects, lines 23-35. JAGS writes normals with a precision.
        b_intercept = pm.Normal("b_intercept", 0.0, sd)
        b_trt = pm.Normal("b_trt", 0.0, sd)
        b_prognostic = pm.Normal("b_prognostic", 0.0, sd, dims="prognostic")
        b_interaction = pm.Normal("b_interaction", 0.0, sd, dims="modifier")

        # Hyperpriors and random effects, lines 37-45
        tau_re = pm.Gamma("tau_re", shape, rate)
        tau_re_trt = pm.Gamma("tau_re_trt", shape, rate)
        re = pm.Normal("re", 0.0, tau=tau_re, dims="group")
        re_trt = pm.Normal("re_trt", 0.0, tau=tau_re_trt, dims="group")

        # Group-specific treatment effects, lines 47-50
        pm.Deterministic("te_group", b_trt + re_trt, dims="group")

        # Likelihood, lines 2-21
        logit_p = (
            b_intercept
            + b_trt * design.treatment
            + design.prognostic @ b_prognostic
            + design.treatment * (design.modifiers @ b_interaction)
            + re[design.group]
            + re_trt[design.group] * design.treatment
        )
        pm.Bernoulli("event", logit_p=logit_p, observed=design.outcome, dims="patient")
    return model


def sums_model(design: TrialDesign, priors: Priors | None = None) -> pm.Model:
    """Build the equivalent of Listing 2 that holds only what the data identify.

    Parameters
    ----------
    design, priors
        As for `listing_model`.

    Returns
    -------
    pymc.Model
        Variables ``alpha``, ``delta`` (dim group), ``b_prognostic``, ``b_interaction``, ``tau_re``, ``tau_re_trt``.
        `hte_utils.priors.draw_split` gives the others of `listing_model`; ``te_group`` is ``delta``.
    """
    priors = priors or Priors()
    sd, shape, rate = priors.fixed_sd, priors.precision_shape, priors.precision_rate
    n_groups = len(design.group_labels)
    with pm.Model(coords=_coords(design)) as model:
        b_prognostic = pm.Normal("b_prognostic", 0.0, sd, dims="prognostic")
        b_interaction = pm.Normal("b_interaction", 0.0, sd, dims="modifier")

        tau_re = pm.Gamma("tau_re", shape, rate)
        tau_re_trt = pm.Gamma("tau_re_trt", shape, rate)
        centre, shared, own = np.zeros(n_groups), np.full((n_groups, n_groups), sd**2), np.eye(n_groups)
        alpha = pm.MvNormal("alpha", centre, cov=shared + own / tau_re, dims="group")
        delta = pm.MvNormal("delta", centre, cov=shared + own / tau_re_trt, dims="group")

        logit_p = (
            alpha[design.group]
            + delta[design.group] * design.treatment
            + design.prognostic @ b_prognostic
            + design.treatment * (design.modifiers @ b_interaction)
        )
        pm.Bernoulli("event", logit_p=logit_p, observed=design.outcome, dims="patient")
    return model


def _coords(design: TrialDesign) -> dict[str, tuple[str, ...] | range]:
    return {
        "prognostic": design.prognostic_labels,
        "modifier": design.modifier_labels,
        "group": design.group_labels,
        "patient": range(design.n_patients),
    }
