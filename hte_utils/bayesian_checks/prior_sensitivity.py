"""How far the posterior follows the prior: power-scaling of single priors and of the likelihood.

A component (the prior of the intercept, say, or the likelihood) is raised to a power near 1, and importance sampling
gives the posterior that this would lead to; no model is fitted again (Kallioinen et al. 2024). The *sensitivity* of a
quantity is how fast its posterior moves with the logarithm (base 2) of that power, as a distance between cumulative
distribution functions. Values above 0.05 are worth a thought. The distances are ArviZ's (`arviz_stats.psense`).

Only top-level priors are scaled, as Kallioinen et al. advise for hierarchical models: the law of gender's deviations
given their precision, and that of the interactions given their common SD, belong to the model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from hte_utils.bayesian_checks.outcome_model import log_likelihood_draws

if TYPE_CHECKING:
    from hte_utils.priors import Priors
    from hte_utils.trial_design import TrialDesign

LIKELIHOOD: Final = "likelihood"
"""Name of the likelihood among the components."""
THRESHOLD: Final = 0.05
"""Sensitivity that Kallioinen et al. (2024) call worth attention."""


def log_prior_draws(posterior: xr.DataTree, priors: Priors) -> xr.Dataset:
    """Log density of every top-level prior at every draw.

    Dims chain, draw. Variables `intercept` (b_intercept), `treatment` (b_trt), `main effects` (b_prognostic),
    `interactions` (b_interaction, or their common SD if it is learned), `precisions` (tau_re and tau_re_trt).
    """
    draws = posterior["posterior"].to_dataset()
    fixed = stats.norm(0.0, priors.fixed_sd)
    intercept, effect = priors.shared_intercept, priors.shared_effect
    precision = stats.gamma(priors.precision_shape, scale=1.0 / priors.precision_rate)
    if priors.interaction_scale is None:
        interactions = _log_density(fixed, draws["b_interaction"])
    else:
        interactions = _log_density(stats.halfnorm(scale=priors.interaction_scale), draws["sd_interaction"])
    return xr.Dataset(
        {
            "intercept": _log_density(stats.norm(intercept.mean, intercept.sd), draws["b_intercept"]),
            "treatment": _log_density(stats.norm(effect.mean, effect.sd), draws["b_trt"]),
            "main effects": _log_density(fixed, draws["b_prognostic"]),
            "interactions": interactions,
            "precisions": _log_density(precision, draws["tau_re"]) + _log_density(precision, draws["tau_re_trt"]),
        }
    )


def sensitivity(posterior: xr.DataTree, design: TrialDesign, priors: Priors, quantities: xr.Dataset) -> pd.DataFrame:
    """Power-scaling sensitivity of each quantity to each prior, to all of them, and to the likelihood.

    `quantities`: Parameters or derived quantities, computed from the same draws: dims chain, draw.

    Index: quantity. Columns: the variables of `log_prior_draws`, `all priors`, and `likelihood`.
    """
    for dim in ("chain", "draw"):
        if not quantities[dim].equals(posterior["posterior"].to_dataset()[dim]):
            raise ValueError(f"quantities and posterior differ in their {dim} labels: compute them from the same draws")
    log_prior = log_prior_draws(posterior, priors)
    log_likelihood = log_likelihood_draws(posterior, design).sum("patient").to_dataset(name=LIKELIHOOD)
    tree = xr.DataTree.from_dict({"posterior": quantities, "log_prior": log_prior, "log_likelihood": log_likelihood})
    columns = {str(name): _sense(tree, "prior", str(name)) for name in log_prior.data_vars}
    columns |= {"all priors": _sense(tree, "prior", None), LIKELIHOOD: _sense(tree, "likelihood", LIKELIHOOD)}
    return pd.DataFrame(columns).rename_axis("quantity")


def _sense(tree: xr.DataTree, group: str, component: str | None) -> pd.Series[float]:
    arviz_stats: Any = import_module("arviz_stats")  # imported when used: it takes seconds
    found = arviz_stats.psense(tree, group=group, group_var_names=component)
    return pd.Series({str(name): float(value) for name, value in found.data_vars.items()})


def _log_density(law: Any, values: xr.DataArray) -> xr.DataArray:
    """Log density, summed over all dims but chain and draw."""
    others = [dim for dim in values.dims if dim not in ("chain", "draw")]
    return values.copy(data=np.asarray(law.logpdf(values.to_numpy()))).sum(others)
