"""Valid inference on predicted effects: learn from the first folds, test on the next, and add up (Wager 2024).

A trial is cut into folds. The patients of fold k are predicted by a model that was fitted to folds 1 to k-1, and a
statistic of the predictions is computed in fold k alone: a slope, an area under a targeting curve. Given the earlier
folds, its t-value is nearly standard normal if there is nothing to find; so the sum of all t-values, divided by the
root of their number, is as well (arXiv 2405.05534). Cross-fitted predictions of all folds together have no such
property: every fold helps to predict the others, and intervals from them exclude "nothing" far too often.

How the folds are dealt is chance. So the whole is done for several deals, and estimates and standard errors are
averaged. An average of normal variables varies no more than one of them: the interval errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from hte_utils.calibration.bootstrap import Estimate
from hte_utils.predictions.cross_fitting import N_FOLDS, arm_balanced_folds
from hte_utils.predictions.effect_predictions import EffectPredictions, predict_effects
from hte_utils.quick_posterior import quick_posterior
from hte_utils.trial_checks import IntArray

if TYPE_CHECKING:
    from hte_utils.cate import GroupEffects
    from hte_utils.priors import Priors
    from hte_utils.spec import TrialSpec
    from hte_utils.trial_checks import FloatArray

N_DEALS = 3
_EFFECTIVE_DRAWS = 500

type Predictor = Callable[[pd.DataFrame, pd.DataFrame, np.random.SeedSequence], dict[str, EffectPredictions]]
"""Fit to the first table, predict the patients of the second, by label; what is random comes from the third."""


class NextFold(NamedTuple):
    """The patients of one fold, `rows` of the trial's table, predicted from the folds before it."""

    predictions: EffectPredictions
    rows: IntArray


def bayesian(spec: TrialSpec, priors: Priors, versions: Mapping[str, GroupEffects]) -> Predictor:
    """Predictions of a Bayesian model, under each label with the group effects in or out."""

    def predict(
        earlier: pd.DataFrame, following: pd.DataFrame, seed: np.random.SeedSequence
    ) -> dict[str, EffectPredictions]:
        design = spec.design(earlier)
        posterior = quick_posterior(design, priors=priors, draws=_EFFECTIVE_DRAWS, seed=seed).tree()
        patients = design.apply(following)
        return {label: predict_effects(posterior, patients, group_effects=each) for label, each in versions.items()}

    return predict


def predict_sequentially(
    trial: pd.DataFrame,
    treatment: IntArray,
    predictor: Predictor,
    *,
    n_folds: int = N_FOLDS,
    n_deals: int = N_DEALS,
    seed: int = 1,
) -> dict[str, list[list[NextFold]]]:
    """Predict each fold but the first from the folds before it, for several deals of the folds.

    `treatment` is 0/1. By the predictor's labels: for each deal, the folds from the second on.
    """
    found: dict[str, list[list[NextFold]]] = {}
    for deal in range(n_deals):
        fold = arm_balanced_folds(treatment, n_folds, seed * n_deals + deal)
        for number in range(1, n_folds):
            here = fold == number
            child = np.random.SeedSequence((seed, deal, number))
            for label, predictions in predictor(trial.loc[fold < number], trial.loc[here], child).items():
                deals = found.setdefault(label, [[] for _ in range(n_deals)])
                deals[deal].append(NextFold(predictions, np.flatnonzero(here)))
    return found


def combine_folds(folds: Sequence[Estimate]) -> Estimate:
    """Estimate whose ratio to its standard error is the sum of the folds' t-values over the root of their number.

    The mean of the folds' estimates with weights 1 / standard error. Folds without an estimate (NaN) are left out; NaN
    if none has one.
    """
    values, errors = (np.array([getattr(each, name) for each in folds]) for name in ("value", "se"))
    known = np.isfinite(values) & (errors > 0.0) & np.isfinite(errors)
    if not known.any():
        return Estimate.normal(np.nan, np.nan)
    weights = 1.0 / errors[known]
    return Estimate.normal(float(weights @ values[known] / weights.sum()), float(np.sqrt(known.sum()) / weights.sum()))


def combine_deals(deals: Sequence[Estimate]) -> Estimate:
    """Mean estimate with the mean standard error: that of a single deal, on the safe side."""
    return Estimate.normal(*(float(np.mean([getattr(each, name) for each in deals])) for name in ("value", "se")))


def combine_truth(folds: Sequence[Estimate], true: FloatArray) -> float:
    """What `combine_folds` estimates: the same mean of what is true in each fold, shape (folds,)."""
    known = [Estimate(float(value), each.se, np.nan, np.nan) for each, value in zip(folds, true, strict=True)]
    return combine_folds(known).value
