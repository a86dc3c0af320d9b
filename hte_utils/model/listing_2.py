"""Listing 2, the paper's hierarchical logistic model: its priors, its PyMC forms, and its draws by name.

The scale is log-odds of the event; in the paper's trial the event is major bleeding, so a positive effect is harm.

Listing 2 gives each group an intercept ``b_intercept + re[g]`` and a treatment effect ``b_trt + re_trt[g]``. The
data see these sums alone; the split into a shared part and deviations is known through the prior only:

    shared ~ Normal(m, sd²),   deviation_g ~ Normal(0, 1/τ),   sum_g = shared + deviation_g,   g = 1..G.

Given τ the sums are therefore normal with mean m and covariance sd² 11' + I/τ, and the shared part given the sums is

    shared | sums, τ ~ Normal(m + sd² τ Σ_g (sum_g - m) / q,  sd² / q),   q = 1 + G sd² τ.

So one may sample the sums (`sums_model`), and draw the split afterwards from its exact conditional law (`draw_split`):
the posterior is that of Listing 2 line by line (`listing_model`).

A posterior holds labelled vectors (``b_prognostic`` over `prognostic`, ...); the paper writes one scalar each:
``b_age``, ``b_trt_age``, ``re[1]``, ``te_gender[2]``. Groups count from 1 there: 1 = Male, 2 = Female.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from hte_utils.model.checks import FloatArray
from hte_utils.model.density import Coordinates
from hte_utils.model.spec import Patients, TrialDesign

if TYPE_CHECKING:
    import pymc as pm


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """Normal(mean, sd²), on the log-odds scale."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Priors:
    """Prior of Listing 2, lines 23-45, equations (10) and (11), and two departures from it that must be asked for.

    `fixed_sd` is the SD of the Normal(0, sd²) prior of every fixed effect, on the log-odds scale; `precision_shape` and
    `precision_rate` are those of the Gamma prior of both precisions, ``tau_re`` and ``tau_re_trt``. `intercept_mean`
    and `intercept_sd` (`fixed_sd` if None) are for ``b_intercept``: the log odds of an event that is known to be rare
    are hardly 0. With an `interaction_scale` s the interactions have not the fixed effects' prior, but are shrunk by a
    common amount that the data have a say in: Normal(0, ω²) with ω ~ HalfNormal(s²), log odds ratio per unit of the
    covariate (Gelman 2006); the posterior then holds ω as ``sd_interaction``.
    """

    fixed_sd: float = 1.0
    precision_shape: float = 2.0
    precision_rate: float = 2.0
    intercept_mean: float = 0.0
    intercept_sd: float | None = None
    interaction_scale: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and (value > 0.0 or name == "intercept_mean")):
                raise ValueError(f"prior {name} must be finite, and positive unless it is a mean, not {value!r}")

    @property
    def shared_intercept(self) -> NormalPrior:
        """Prior of ``b_intercept``."""
        return NormalPrior(self.intercept_mean, self.fixed_sd if self.intercept_sd is None else self.intercept_sd)

    @property
    def shared_effect(self) -> NormalPrior:
        """Prior of ``b_trt``."""
        return NormalPrior(0.0, self.fixed_sd)


def draw_split(
    sums: FloatArray, precision: FloatArray, prior: NormalPrior, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw the shared part (...) and the deviations (..., groups) given their sums, from the exact conditional law.

    `sums`, shape (..., groups), are group intercepts or group treatment effects in log-odds; `precision`, shape (...),
    is that of the deviations.
    """
    variance = prior.sd**2
    q = 1.0 + sums.shape[-1] * variance * precision
    mean = prior.mean + variance * precision * (sums - prior.mean).sum(axis=-1) / q
    shared = mean + np.sqrt(variance / q) * rng.standard_normal(precision.shape)
    return shared, sums - shared[..., None]


def listing_model(design: TrialDesign, priors: Priors | None = None) -> pm.Model:
    """Build Listing 2 as printed, for any covariates and any number of groups; its priors if None.

    Its variables are those of a posterior (`hte_utils.model.fit.fit`); observed is ``event`` (dim patient).
    """
    import pymc as pm

    priors = priors or Priors()
    shape, rate = priors.precision_shape, priors.precision_rate
    with pm.Model(coords=model_coords(design)) as model:
        # Priors for fixed effects and interaction effects, lines 23-35. JAGS writes normals with a precision.
        b_intercept = pm.Normal("b_intercept", priors.shared_intercept.mean, priors.shared_intercept.sd)
        b_trt = pm.Normal("b_trt", priors.shared_effect.mean, priors.shared_effect.sd)
        b_prognostic = pm.Normal("b_prognostic", 0.0, priors.fixed_sd, dims="prognostic")
        b_interaction = interaction_variable(priors)

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

    Variables ``alpha``, ``delta`` (dim group) stand for intercept, treatment effect and deviations (`draw_split`).
    """
    import pymc as pm

    priors = priors or Priors()
    shape, rate = priors.precision_shape, priors.precision_rate
    with pm.Model(coords=model_coords(design)) as model:
        b_prognostic = pm.Normal("b_prognostic", 0.0, priors.fixed_sd, dims="prognostic")
        b_interaction = interaction_variable(priors)

        tau_re = pm.Gamma("tau_re", shape, rate)
        tau_re_trt = pm.Gamma("tau_re_trt", shape, rate)
        alpha = sums_variable("alpha", priors.shared_intercept, tau_re, len(design.group_labels))
        delta = sums_variable("delta", priors.shared_effect, tau_re_trt, len(design.group_labels))

        logit_p = (
            alpha[design.group]
            + delta[design.group] * design.treatment
            + design.prognostic @ b_prognostic
            + design.treatment * (design.modifiers @ b_interaction)
        )
        pm.Bernoulli("event", logit_p=logit_p, observed=design.outcome, dims="patient")
    return model


# PyMC's variables: its functions have no return types.
def interaction_variable(priors: Priors) -> Any:
    """``b_interaction`` of the model that is being built, and what governs it."""
    import pymc as pm

    if priors.interaction_scale is None:
        return pm.Normal("b_interaction", 0.0, priors.fixed_sd, dims="modifier")
    # As a product with a standard normal: events are few, and a normal whose SD is sampled too would be a funnel.
    sd_interaction = pm.HalfNormal("sd_interaction", priors.interaction_scale)
    standard = pm.Normal("standard_interaction", 0.0, 1.0, dims="modifier")
    return pm.Deterministic("b_interaction", sd_interaction * standard, dims="modifier")


def sums_variable(name: str, shared: NormalPrior, precision: Any, n_groups: int) -> Any:
    """Group intercepts or effects of the model that is being built: shared part and deviations in one."""
    import pymc as pm

    covariance = np.full((n_groups, n_groups), shared.sd**2) + np.eye(n_groups) / precision
    return pm.MvNormal(name, np.full(n_groups, shared.mean), cov=covariance, dims="group")


def model_coords(design: TrialDesign) -> dict[str, tuple[str, ...] | range]:
    """Coordinates of the models' dimensions."""
    return {
        "prognostic": design.prognostic_labels,
        "modifier": design.modifier_labels,
        "group": design.group_labels,
        "patient": range(design.n_patients),
    }


GROUP_COLUMN: Final = "group_column"
"""Attribute of the group `posterior` that names the grouping factor: the ``gender`` of ``te_gender``."""

_OWN_DIM = {
    "b_prognostic": "prognostic",
    "b_interaction": "modifier",
    "re": "group",
    "re_trt": "group",
    "te_group": "group",
    "log_hazard": "interval",  # of `hte_utils.model.survival`
    "log_hazard_ratio": "interval",
}


def listing2_draws(posterior: xr.DataTree) -> xr.Dataset:
    """Draws (chain, draw) of every scalar of Listing 2 under the paper's name, in coda's alphabetical order.

    Effects are log odds ratios of the event (positive = harm, the event being major bleeding), precisions have the
    inverse square of that unit; ``sd_interaction`` is there where the prior has it.
    """
    draws = posterior["posterior"].to_dataset()
    stems = {"b_prognostic": "b", "b_interaction": "b_trt", "te_group": f"te_{draws.attrs.get(GROUP_COLUMN, 'group')}"}
    scalars = {}
    for name, variable in draws.data_vars.items():
        if name not in _OWN_DIM:
            scalars[str(name)] = variable
            continue
        dim, stem = _OWN_DIM[str(name)], stems.get(str(name), name)
        for place, label in enumerate(draws[dim].values, start=1):
            scalar = f"{stem}[{place}]" if dim == "group" else f"{stem}_{label}"
            scalars[scalar] = variable.sel({dim: label}, drop=True)
    return xr.Dataset(dict(sorted(scalars.items())))


def table4_draws(posterior: xr.DataTree) -> xr.Dataset:
    """Draws of those scalars that Tables 4 to 6 report: the fixed effects ``b_`` and the group effects ``te_``."""
    scalars = listing2_draws(posterior)
    return scalars[[name for name in scalars.data_vars if str(name).startswith(("b_", "te_"))]]


def sums_of(points: FloatArray, at: Coordinates) -> dict[str, FloatArray]:
    """Name what stands in points of the sums form, shape (..., coordinates); precisions and scale leave their log."""
    sums = {
        "alpha": points[..., at.alpha],
        "delta": points[..., at.delta],
        "b_prognostic": points[..., at.prognostic],
        "b_interaction": points[..., at.interaction],
        "tau_re": np.exp(points[..., at.log_tau[0]]),
        "tau_re_trt": np.exp(points[..., at.log_tau[1]]),
    }
    if at.has_scale:
        sums["sd_interaction"] = np.exp(points[..., at.log_scale])
    return sums


def split_sums(sums: Mapping[str, FloatArray], priors: Priors, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Take the sums apart (`draw_split`): the variables of Listing 2 by name."""
    b_intercept, re = draw_split(sums["alpha"], sums["tau_re"], priors.shared_intercept, rng)
    b_trt, re_trt = draw_split(sums["delta"], sums["tau_re_trt"], priors.shared_effect, rng)
    kept = {name: values for name, values in sums.items() if name not in ("alpha", "delta")}
    return {"b_intercept": b_intercept, "b_trt": b_trt, "re": re, "re_trt": re_trt, "te_group": sums["delta"]} | kept


def posterior_tree(draws: Mapping[str, FloatArray], stats: xr.Dataset | None, patients: Patients) -> xr.DataTree:
    """Label the variables of Listing 2, whose first two axes are chain and draw; `stats` is what a sampler says."""
    n_chains, n_draws = draws["b_intercept"].shape
    steps = {"chain": np.arange(n_chains), "draw": np.arange(n_draws)}
    posterior = xr.Dataset(
        {
            name: (("chain", "draw", _OWN_DIM[name]) if name in _OWN_DIM else ("chain", "draw"), values)
            for name, values in draws.items()
        },
        coords={
            **steps,
            "prognostic": list(patients.prognostic_labels),
            "modifier": list(patients.modifier_labels),
            "group": list(patients.group_labels),
        },
        attrs={GROUP_COLUMN: patients.coding.spec.group},
    )
    groups = {"posterior": posterior} | ({} if stats is None else {"sample_stats": stats.assign_coords(steps)})
    return xr.DataTree.from_dict(groups)
