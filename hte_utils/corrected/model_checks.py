"""Quantities that a report is about, as draws: averages over patients and risk groups, not single coefficients.

The event is major bleeding in the paper's trial, so positive effects are harm. The group effects are in.

Predictive comparison of models by leave-one-out cross-validation, and how much it could show at best.

The expected log predictive density (elpd) of a new patient's outcome is estimated by Pareto-smoothed importance
sampling (Vehtari, Gelman & Gabry 2017; computed by ArviZ). `attainable_difference` says what the true effects
themselves would gain on this scale over a constant odds ratio: no model can hope for more.

How far the posterior follows the prior: power-scaling of single priors and of the likelihood.

A component (the prior of the intercept, say, or the likelihood) is raised to a power near 1, and importance sampling
gives the posterior that this would lead to; no model is fitted again (Kallioinen et al. 2024). The *sensitivity* of a
quantity is how fast its posterior moves with the logarithm (base 2) of that power, as a distance between cumulative
distribution functions. Values above 0.05 are worth a thought. The distances are ArviZ's (`arviz_stats.psense`).

Only top-level priors are scaled, as Kallioinen et al. advise for hierarchical models: the law of gender's deviations
given their precision, and that of the interactions given their common SD, belong to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

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

if TYPE_CHECKING:
    from hte_utils.model.checks import FloatArray
    from hte_utils.model.listing_2 import Priors
    from hte_utils.model.spec import Patients, TrialDesign
    from hte_utils.trial import TrialTruth


_QUINTILES = 5


def reported_quantities(posterior: xr.DataTree, patients: Patients) -> xr.Dataset:
    """Draws of the averages that a report of this trial would state.

    `patients`: Over whom is averaged, usually the trial's design.

    Dims chain, draw. `risk untreated`, `risk treated`: mean event probability (per cent) if nobody, everybody is
    treated; `average log odds ratio`; `average risk difference`, and `risk difference Q1` to `Q5` by quintile of the
    posterior mean risk without treatment (percentage points).
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
            "mean": {str(name): float(values.mean(both)) for name, values in quantities.items()},
            "sd": {str(name): float(values.std(both, ddof=1)) for name, values in quantities.items()},
        }
    )
    return moments.join(modern_diagnostics(quantities)).rename_axis("quantity")


def diagnostics_of_worst_patients(effects: xr.DataArray, n_worst: int = 50) -> pd.DataFrame:
    """Diagnostics of those patients' effects whose Monte Carlo error is largest beside their posterior SD.

    All patients are screened by batch means (fast); ArviZ then looks at the worst.

    `effects`: Draws of the CATE, dims chain, draw, patient.
    `n_worst`: How many patients ArviZ looks at.

    As `diagnostics_of_quantities`, index: patient, worst (smallest bulk ESS) first.
    """
    worst = np.argsort(_relative_error(effects))[::-1][:n_worst]
    chosen = effects.isel(patient=worst)
    each = {str(int(patient)): chosen.sel(patient=patient, drop=True) for patient in chosen["patient"].to_numpy()}
    table = diagnostics_of_quantities(xr.Dataset(each).drop_attrs())
    return table.rename_axis("patient").sort_values("ess_bulk")


def _relative_error(effects: xr.DataArray) -> FloatArray:
    """Batch-means MCSE over posterior SD, shape (patients,)."""
    matrix, edges = draws_matrix(effects)
    return np.asarray(jackknife_mean(matrix, edges).mcse() / matrix.std(axis=0, ddof=1))


def leave_one_out(posterior: xr.DataTree, design: TrialDesign) -> Any:
    """Estimate the elpd of the trial's patients, each left out in turn.

    `posterior`: Draws of the model; two thousand are plenty.

    With pointwise values and Pareto k.
    """
    arviz_stats: Any = import_module("arviz_stats")  # imported when used: it takes seconds
    log_likelihood = log_likelihood_draws(posterior, design).to_dataset()
    tree = xr.DataTree.from_dict({"posterior": posterior["posterior"].to_dataset(), "log_likelihood": log_likelihood})
    return arviz_stats.loo(tree, pointwise=True)


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

    `estimates`: By label of the model: what `leave_one_out` returned, all for the same patients.
    `reference`: Label of the model that the others are compared with.

    Index: model, in the order given. `elpd` and its standard error `se`; `difference` from the reference (positive:
    predicts better) and its standard error `se_difference`, from the patients' paired differences; `p_loo`, the
    effective number of parameters; `largest_k`, the largest Pareto k (below 0.7 is sound).
    """
    arviz_stats: Any = import_module("arviz_stats")
    compared = arviz_stats.compare(dict(estimates), reference=reference, round_to="none").loc[list(estimates)]
    return pd.DataFrame(
        {
            "elpd": compared["elpd"],
            "se": compared["se"],
            "difference": compared["elpd_diff"],
            "se_difference": compared["dse"],
            "p_loo": compared["p"],
            "largest_k": [float(estimate.pareto_k.max()) for estimate in estimates.values()],
        }
    ).rename_axis("model")


@dataclass(frozen=True, slots=True)
class AttainableDifference:
    """What knowing every patient's true effect gains in log predictive density over the best constant odds ratio.

    `constant`: That constant, a log odds ratio.
    `expected`: Expected gain, summed over the patients of the trial.
    `sd`: Its standard deviation over the outcomes of such trials: the noise that hides it.
    `realised`: The gain with the outcomes of this trial.
    """

    constant: float
    expected: float
    sd: float
    realised: float


def attainable_difference(truth: TrialTruth) -> AttainableDifference:
    """Find how much the true effects improve on a constant one, baseline risks being known exactly.

    Both forecasts of a treated patient start from the true baseline risk; one adds the true effect on the log odds, the
    other the constant that predicts best on average. Outcomes are random given the true probabilities.
    """
    treated = truth.treatment == 1
    baseline = logit(truth.baseline_risk[treated])
    true = truth.event_probability[treated]

    def excess(constant: float) -> float:
        # The derivative of the expected log score: bleeds predicted minus bleeds expected.
        return float((expit(baseline + constant) - true).sum())

    constant = float(optimize.brentq(excess, -10.0, 10.0))
    forecast = expit(baseline + constant)
    if_event, if_none = np.log(true / forecast), np.log((1.0 - true) / (1.0 - forecast))
    expected = true * if_event + (1.0 - true) * if_none
    variance = true * (1.0 - true) * np.square(if_event - if_none)
    realised = np.where(truth.event[treated] == 1, if_event, if_none)
    return AttainableDifference(constant, float(expected.sum()), float(np.sqrt(variance.sum())), float(realised.sum()))


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
