"""Predictive comparison of models by leave-one-out cross-validation, and how much it could show at best.

The expected log predictive density (elpd) of a new patient's outcome is estimated by Pareto-smoothed importance
sampling (Vehtari, Gelman & Gabry 2017; computed by ArviZ). `attainable_difference` says what the true effects
themselves would gain on this scale over a constant odds ratio: no model can hope for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import optimize
from scipy.special import expit, logit

from hte_utils.bayesian_checks.outcome_model import log_likelihood_draws

if TYPE_CHECKING:
    from hte_utils.trial import TrialTruth
    from hte_utils.trial_design import TrialDesign


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
