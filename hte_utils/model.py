"""The paper's hierarchical logistic model in PyMC; nothing is sampled here.

`listing_model` is Listing 2 line by line. `sums_model` is the same posterior in the coordinates that the data can
see: the group intercepts ``alpha_g = b_intercept + re_g`` and group treatment effects ``delta_g = b_trt +
re_trt_g`` (see `hte_utils.priors` for the algebra, and for the exact way back). The scale is log-odds of the
event; in the paper's trial the event is major bleeding, so a positive effect is harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm

from hte_utils.priors import NormalPrior, Priors

if TYPE_CHECKING:
    from hte_utils.spec import TrialDesign


def listing_model(design: TrialDesign, priors: Priors | None = None) -> pm.Model:
    """Build Listing 2 as printed, for any covariates and any number of groups; its priors if None.

    Variables ``b_intercept``, ``b_trt``, ``b_prognostic`` (dim prognostic), ``b_interaction`` (dim modifier), ``re``,
    ``re_trt``, ``te_group`` (dim group), ``tau_re``, ``tau_re_trt``; observed ``event`` (dim patient). With
    `Priors.interaction_scale` also ``sd_interaction``.
    """
    priors = priors or Priors()
    shape, rate = priors.precision_shape, priors.precision_rate
    with pm.Model(coords=_coords(design)) as model:
        # Priors for fixed effects and interaction effects, lines 23-35. JAGS writes normals with a precision.
        b_intercept = pm.Normal("b_intercept", priors.shared_intercept.mean, priors.shared_intercept.sd)
        b_trt = pm.Normal("b_trt", priors.shared_effect.mean, priors.shared_effect.sd)
        b_prognostic = pm.Normal("b_prognostic", 0.0, priors.fixed_sd, dims="prognostic")
        b_interaction = _interactions(priors)

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

    Variables ``alpha``, ``delta`` (dim group) in place of intercept, treatment effect and deviations, which
    `hte_utils.priors.draw_split` gives back; ``te_group`` is ``delta``.
    """
    priors = priors or Priors()
    shape, rate = priors.precision_shape, priors.precision_rate
    with pm.Model(coords=_coords(design)) as model:
        b_prognostic = pm.Normal("b_prognostic", 0.0, priors.fixed_sd, dims="prognostic")
        b_interaction = _interactions(priors)

        tau_re = pm.Gamma("tau_re", shape, rate)
        tau_re_trt = pm.Gamma("tau_re_trt", shape, rate)
        alpha = _sums("alpha", priors.shared_intercept, tau_re, len(design.group_labels))
        delta = _sums("delta", priors.shared_effect, tau_re_trt, len(design.group_labels))

        logit_p = (
            alpha[design.group]
            + delta[design.group] * design.treatment
            + design.prognostic @ b_prognostic
            + design.treatment * (design.modifiers @ b_interaction)
        )
        pm.Bernoulli("event", logit_p=logit_p, observed=design.outcome, dims="patient")
    return model


# PyMC's variables: its functions have no return types.
def _interactions(priors: Priors) -> Any:
    if priors.interaction_scale is None:
        return pm.Normal("b_interaction", 0.0, priors.fixed_sd, dims="modifier")
    # As a product with a standard normal: events are few, and a normal whose SD is sampled too would be a funnel.
    sd_interaction = pm.HalfNormal("sd_interaction", priors.interaction_scale)
    standard = pm.Normal("standard_interaction", 0.0, 1.0, dims="modifier")
    return pm.Deterministic("b_interaction", sd_interaction * standard, dims="modifier")


def _sums(name: str, shared: NormalPrior, precision: Any, n_groups: int) -> Any:
    covariance = np.full((n_groups, n_groups), shared.sd**2) + np.eye(n_groups) / precision
    return pm.MvNormal(name, np.full(n_groups, shared.mean), cov=covariance, dims="group")


def _coords(design: TrialDesign) -> dict[str, tuple[str, ...] | range]:
    return {
        "prognostic": design.prognostic_labels,
        "modifier": design.modifier_labels,
        "group": design.group_labels,
        "patient": range(design.n_patients),
    }
