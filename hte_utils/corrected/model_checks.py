"""Checks of a fitted model: diagnostics of what is reported, predictive comparison, sensitivity to the priors.

The event is major bleeding in the paper's trial, so positive effects are harm. The group effects are in.

- What a report states are averages over patients and risk groups, not single coefficients: so those are diagnosed.
- Models are compared by leave-one-out cross-validation with Pareto-smoothed importance sampling (Vehtari, Gelman &
  Gabry 2017; computed by ArviZ).
- Power-scaling (Kallioinen et al. 2024; ArviZ's `psense`) raises a prior, or the likelihood, to a power near 1, and
  importance sampling gives the posterior that this would lead to. *Sensitivity* is how fast a posterior moves with the
  logarithm (base 2) of that power. Only top-level priors are scaled, as they advise for hierarchical models: the law of
  gender's deviations given their precision, and of the interactions given their common SD, belong to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from scipy import optimize, stats
from scipy.special import expit, logit

from hte_utils.corrected.predictive_checks import log_likelihood_draws
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.monte_carlo import draws_matrix, jackknife_mean
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.diagnostics import modern_diagnostics
from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import Patients, TrialDesign
from hte_utils.trial import TrialTruth

LIKELIHOOD: Final = "likelihood"
THRESHOLD: Final = 0.05
"""Sensitivity that Kallioinen et al. (2024) call worth attention."""
_QUINTILES = 5


def reported_quantities(posterior: xr.DataTree, patients: Patients) -> xr.Dataset:
    """Draws of the averages over `patients` that a report of this trial would state; dims chain, draw.

    `risk untreated`, `risk treated`: mean event probability (per cent) if nobody, everybody is treated; `average log
    odds ratio`; `average risk difference`, and `risk difference Q1` to `Q5` by quintile of the posterior mean risk
    without treatment (percentage points).
    """
    included = GroupEffects.INCLUDED
    untreated = 100.0 * baseline_risk_draws(posterior, patients, group_effects=included)
    scale = EffectScale.RISK_DIFFERENCE
    difference = 100.0 * cate_draws(posterior, patients, scale=scale, group_effects=included)
    quintile = quantile_groups(untreated.mean(["chain", "draw"]), _QUINTILES)
    log_odds_ratio = cate_draws(posterior, patients, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included)
    quantities = {
        "risk untreated": untreated.mean("patient"),
        "risk treated": (untreated + difference).mean("patient"),
        "average log odds ratio": log_odds_ratio.mean("patient"),
        "average risk difference": difference.mean("patient"),
    }
    for number in range(1, _QUINTILES + 1):
        quantities[f"risk difference Q{number}"] = difference.isel(patient=quintile == number).mean("patient")
    return xr.Dataset({name: values.drop_attrs().rename(name) for name, values in quantities.items()})


def diagnostics_of_quantities(quantities: xr.Dataset) -> pd.DataFrame:
    """Mean, SD and today's diagnostics of derived quantities (Vehtari et al. 2021; ArviZ).

    Index: quantity. Columns `mean`, `sd`, `r_hat` (rank-normalised), `ess_bulk`, `ess_tail`, `mcse_mean`, `mcse_sd`,
    the last two in the quantity's unit.
    """
    both = ["chain", "draw"]
    moments = pd.DataFrame(
        {
            "mean": quantities.mean(both).to_array("quantity").to_series(),
            "sd": quantities.std(both, ddof=1).to_array("quantity").to_series(),
        }
    )
    return moments.join(modern_diagnostics(quantities)).rename_axis("quantity")


def diagnostics_of_worst_patients(effects: xr.DataArray, n_worst: int = 50) -> pd.DataFrame:
    """Diagnostics of the patients' effects whose Monte Carlo error is largest beside their posterior SD.

    All patients are screened by batch means, which is fast; ArviZ then looks at the `n_worst` worst. `effects` are
    draws of the CATE, dims chain, draw, patient. As `diagnostics_of_quantities`, by patient, smallest bulk ESS first.
    """
    matrix, edges = draws_matrix(effects)
    relative_error = jackknife_mean(matrix, edges).mcse() / matrix.std(axis=0, ddof=1)
    worst = effects.isel(patient=np.argsort(relative_error)[::-1][:n_worst])
    each = {str(int(patient)): worst.sel(patient=patient, drop=True) for patient in worst["patient"].to_numpy()}
    table = diagnostics_of_quantities(xr.Dataset(each).drop_attrs())
    return table.rename_axis("patient").sort_values("ess_bulk")


def leave_one_out(posterior: xr.DataTree, design: TrialDesign) -> Any:
    """ArviZ's estimate of the elpd of the trial's patients, each left out in turn, with pointwise values and Pareto k.

    The expected log predictive density (elpd) is that of a new patient's outcome, summed over the patients. Two
    thousand draws are plenty.
    """
    log_likelihood = log_likelihood_draws(posterior, design).to_dataset(name="event")
    tree = xr.DataTree.from_dict({"posterior": posterior["posterior"].to_dataset(), "log_likelihood": log_likelihood})
    return _arviz_stats().loo(tree, pointwise=True)


def elpd_error(posterior: xr.DataTree, design: TrialDesign) -> float:
    """Monte Carlo standard error of the elpd that `leave_one_out` estimates, for nearly independent draws.

    A patient's leave-one-out density is the harmonic mean of the likelihoods over the draws; each draw moves the sum of
    their logarithms over all patients at once (delta method).
    """
    inverse = np.exp(-log_likelihood_draws(posterior, design).to_numpy())
    inverse = inverse.reshape(-1, design.n_patients)
    influence = (inverse / inverse.mean(axis=0)).sum(axis=1)
    return float(influence.std(ddof=1) / np.sqrt(influence.size))


def comparison_table(estimates: Mapping[str, Any], reference: str) -> pd.DataFrame:
    """Lay the models' elpds side by side, with differences from a reference model.

    `estimates` by label: what `leave_one_out` returned, all for the same patients. Index: model, in the order given;
    `elpd` and its standard error `se`; `difference` from the reference (positive: predicts better) and its standard
    error `se_difference`, from the patients' paired differences; `p_loo`, the effective number of parameters;
    `largest_k`, the largest Pareto k (below 0.7 is sound).
    """
    compared = _arviz_stats().compare(dict(estimates), reference=reference, round_to="none").loc[list(estimates)]
    names = {"elpd": "elpd", "se": "se", "elpd_diff": "difference", "dse": "se_difference", "p": "p_loo"}
    largest_k = [float(estimate.pareto_k.max()) for estimate in estimates.values()]
    table = pd.DataFrame(compared[list(names)]).rename(columns=names)
    return table.assign(largest_k=largest_k).rename_axis("model")


def attainable_difference(truth: TrialTruth) -> dict[str, float]:
    """What knowing every true effect gains in log predictive density over the best constant odds ratio.

    Both forecasts of a treated patient start from the true baseline risk; one adds the true effect on the log odds, the
    other the constant that predicts best on average. Outcomes are random given the true probabilities.

    By name: `constant`, that log odds ratio; `expected`, the expected gain, summed over the patients of the trial;
    `sd`, its standard deviation over the outcomes of such trials; `realised`, the gain with the outcomes of this trial.
    """
    treated = truth.treatment == 1
    baseline = logit(truth.baseline_risk[treated])
    true = truth.event_probability[treated]
    # The derivative of the expected log score: bleeds predicted minus bleeds expected.
    constant = float(optimize.brentq(lambda value: (expit(baseline + value) - true).sum(), -10.0, 10.0))
    forecast = expit(baseline + constant)
    if_event, if_none = np.log(true / forecast), np.log((1.0 - true) / (1.0 - forecast))
    return {
        "constant": constant,
        "expected": float((true * if_event + (1.0 - true) * if_none).sum()),
        "sd": float(np.sqrt((true * (1.0 - true) * np.square(if_event - if_none)).sum())),
        "realised": float(np.where(truth.event[treated] == 1, if_event, if_none).sum()),
    }


def log_prior_draws(posterior: xr.DataTree, priors: Priors) -> xr.Dataset:
    """Log density of every top-level prior at every draw; dims chain, draw.

    Variables `intercept` (b_intercept), `treatment` (b_trt), `main effects` (b_prognostic), `interactions`
    (b_interaction, or their common SD if it is learned), `precisions` (tau_re and tau_re_trt).
    """
    draws = posterior["posterior"].to_dataset()
    fixed = stats.norm(0.0, priors.fixed_sd)
    intercept, effect = priors.shared_intercept, priors.shared_effect
    precision = stats.gamma(priors.precision_shape, scale=1.0 / priors.precision_rate)

    def log_density(law: Any, name: str) -> xr.DataArray:
        values = draws[name]
        others = [dim for dim in values.dims if dim not in ("chain", "draw")]
        return values.copy(data=np.asarray(law.logpdf(values.to_numpy()))).sum(others)

    if priors.interaction_scale is None:
        interactions = log_density(fixed, "b_interaction")
    else:
        interactions = log_density(stats.halfnorm(scale=priors.interaction_scale), "sd_interaction")
    return xr.Dataset(
        {
            "intercept": log_density(stats.norm(intercept.mean, intercept.sd), "b_intercept"),
            "treatment": log_density(stats.norm(effect.mean, effect.sd), "b_trt"),
            "main effects": log_density(fixed, "b_prognostic"),
            "interactions": interactions,
            "precisions": log_density(precision, "tau_re") + log_density(precision, "tau_re_trt"),
        }
    )


def sensitivity(posterior: xr.DataTree, design: TrialDesign, priors: Priors, quantities: xr.Dataset) -> pd.DataFrame:
    """Power-scaling sensitivity of each quantity to each prior, to all of them, and to the likelihood.

    `quantities` are parameters or derived quantities of the same draws, dims chain, draw. Index: quantity. Columns: the
    variables of `log_prior_draws`, `all priors`, and `likelihood`.
    """
    for dim in ("chain", "draw"):
        if not quantities[dim].equals(posterior["posterior"].to_dataset()[dim]):
            raise ValueError(f"quantities and posterior differ in their {dim} labels: compute them from the same draws")
    log_prior = log_prior_draws(posterior, priors)
    log_likelihood = log_likelihood_draws(posterior, design).sum("patient").to_dataset(name=LIKELIHOOD)
    tree = xr.DataTree.from_dict({"posterior": quantities, "log_prior": log_prior, "log_likelihood": log_likelihood})

    def sense(group: str, component: str | None) -> pd.Series[float]:
        found = _arviz_stats().psense(tree, group=group, group_var_names=component)
        return pd.Series({str(name): float(value) for name, value in found.data_vars.items()})

    columns = {str(name): sense("prior", str(name)) for name in log_prior.data_vars}
    columns |= {"all priors": sense("prior", None), LIKELIHOOD: sense("likelihood", LIKELIHOOD)}
    return pd.DataFrame(columns).rename_axis("quantity")


def _arviz_stats() -> Any:
    return import_module("arviz_stats")  # when used: it takes seconds to load, and has no type hints
