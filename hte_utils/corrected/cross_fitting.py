"""Folds, and models that have not seen the patients they rank or predict (cross-fitting).

Whoever ranks patients by a risk model fitted to their own outcomes uses these outcomes twice, and group effects are
biased by it (endogenous stratification; Abadie, Chingos & West 2018). The remedy: cut the patients into folds, take
each fold's risks from a model fitted to the others (Stone 1974; Chernozhukov et al. 2018, Definition 3.1), and rank
patients *within* their fold. Given the other folds, a fold's groups do not depend on its outcomes, so a comparison of
arms within them is unbiased.

That does not give intervals: every fold helps to predict the others, and statistics of all folds together exclude
"nothing" far too often. For these, fold k is predicted from folds 1 to k-1 alone, and the statistic computed in it.
Given the earlier folds its t-value is nearly standard normal if there is nothing to find, and so is the sum of all
t-values over the root of their number (Wager 2024, arXiv 2405.05534). How the folds are dealt is chance. So it is done
for several deals, and estimates and standard errors are averaged: the average varies no more than a single deal, and
the interval errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from hte_utils.corrected.predictions import EffectPredictions, predict_by_age, predict_effects
from hte_utils.effects.cate import GroupEffects
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.quick_posterior import quick_posterior

N_FOLDS, N_DEALS = 5, 3

IMPLIED, COMPUTED = "Listing 2, as implied", "Listing 2, as computed"
ALL_MODIFIERS, AGE = "all-modifiers model", "age alone"
MODELS: Final[tuple[tuple[CandidateModel, Mapping[str, GroupEffects]], ...]] = (
    (PAPER_MODEL, {IMPLIED: GroupEffects.INCLUDED, COMPUTED: GroupEffects.LEFT_OUT}),
    (ALL_MODIFIERS_MODEL, {ALL_MODIFIERS: GroupEffects.INCLUDED}),
)
"""The Bayesian models of chapter 10 and, by label, what becomes of the group effects in their predictions."""

type Predictor = Callable[[pd.DataFrame, pd.DataFrame, np.random.SeedSequence], dict[str, EffectPredictions]]
"""Fit to the first table, predict the patients of the second, by label; what is random comes from the third."""


def arm_balanced_folds(treatment: npt.ArrayLike, n_folds: int, seed: int) -> IntArray:
    """Deal patients at random to folds, numbered from 0, with the same share of treated (1, not 0) in each.

    The outcome has no say in it, on purpose: folds that were balanced by outcome would depend on it.
    """
    fold = np.empty(np.size(treatment), dtype=np.int64)
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(fold, treatment)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold


def groups_within_folds(risk: npt.ArrayLike, fold: npt.ArrayLike, n_groups: int) -> IntArray:
    """Rank patients within their fold and cut each fold into groups of equal size, 1 = lowest risk."""
    return pd.Series(risk).groupby(np.asarray(fold)).transform(quantile_groups, n_groups).to_numpy()


def group_members(group: npt.ArrayLike) -> pd.DataFrame:
    """Membership table (boolean, a column per group: Q1, Q2, ...) of groups that are numbered from 1."""
    groups = np.asarray(group)
    return pd.DataFrame({f"Q{number}": groups == number for number in range(1, int(groups.max()) + 1)})


def bayesian(model: CandidateModel, versions: Mapping[str, GroupEffects], *, draws: int) -> Predictor:
    """Predict by a Bayesian model, under each label with the group effects in or out; `draws` are effective draws."""

    def predict(
        earlier: pd.DataFrame, following: pd.DataFrame, seed: np.random.SeedSequence
    ) -> dict[str, EffectPredictions]:
        design = model.design(earlier)
        posterior = quick_posterior(design, priors=model.priors, draws=draws, seed=seed).tree()
        patients = design.apply(following)
        return {label: predict_effects(posterior, patients, group_effects=each) for label, each in versions.items()}

    return predict


def by_age(earlier: pd.DataFrame, following: pd.DataFrame, _: np.random.SeedSequence) -> dict[str, EffectPredictions]:
    """Predict by treatment, age and their product alone."""
    return {AGE: predict_by_age(earlier, following)}


def predictors() -> tuple[Predictor, ...]:
    """All that predicts effects in chapter 10, for `predict_sequentially`."""
    return (*(bayesian(model, versions, draws=500) for model, versions in MODELS), by_age)


def cross_fit(
    trial: pd.DataFrame, treatment: IntArray, predictor: Predictor, *, n_folds: int = N_FOLDS, seed: int = 1
) -> dict[str, EffectPredictions]:
    """Predict every patient by a model, standardisation included, that has not seen the patient's fold.

    `treatment` is 0/1. By the predictor's labels, in the order of the trial's table.
    """
    fold = arm_balanced_folds(treatment, n_folds, seed)
    parts = [
        predictor(trial.loc[fold != number], trial.loc[fold == number], np.random.SeedSequence((seed, number)))
        for number in range(n_folds)
    ]
    rows = [np.flatnonzero(fold == number) for number in range(n_folds)]
    return {label: EffectPredictions.scattered([part[label] for part in parts], rows) for label in parts[0]}


class NextFold(NamedTuple):
    """The patients of one fold, `rows` of the trial's table, predicted from the folds before it."""

    predictions: EffectPredictions
    rows: IntArray


def predict_sequentially(
    trial: pd.DataFrame, treatment: IntArray, predictor: Predictor, *, n_deals: int = N_DEALS, seed: int = 1
) -> dict[str, list[list[NextFold]]]:
    """Predict each fold but the first from the folds before it, for several deals of the folds.

    `treatment` is 0/1. By the predictor's labels: for each deal, the folds from the second on.
    """
    found: dict[str, list[list[NextFold]]] = {}
    for deal in range(n_deals):
        fold = arm_balanced_folds(treatment, N_FOLDS, seed * n_deals + deal)
        for number in range(1, N_FOLDS):
            rows = np.flatnonzero(fold == number)
            own_seed = np.random.SeedSequence((seed, deal, number))
            for label, predictions in predictor(trial.loc[fold < number], trial.iloc[rows], own_seed).items():
                deals = found.setdefault(label, [[] for _ in range(n_deals)])
                deals[deal].append(NextFold(predictions, rows))
    return found


def combine_folds(values: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimates whose ratio to their standard error is the sum of the folds' t-values over the root of their number.

    Folds run along the first axis; those without an estimate (NaN) are left out. Estimates, averaged with weights 1 /
    standard error; their standard errors; and the weights, of the shape of `values`. NaN where no fold has an estimate.
    """
    known = np.isfinite(values) & np.isfinite(errors) & (errors > 0.0)
    precision = np.where(known, 1.0 / np.where(known, errors, 1.0), 0.0)
    total = np.where(known.any(axis=0), precision.sum(axis=0), np.nan)
    weights = precision / total
    return (weights * np.where(known, values, 0.0)).sum(axis=0), np.sqrt(known.sum(axis=0)) / total, weights
