"""Folds and risk groups for models that have not seen the patients they rank (cross-fitting).

Whoever ranks patients by a risk model fitted to their own outcomes uses these outcomes twice: a control patient's bleed
raises the predicted risk of patients like this one, and is then counted among the bleeds of a high-risk group. Group
effects are biased by it (endogenous stratification; Abadie, Chingos & West 2018). The remedy: cut the patients into
folds, take each fold's risks from a model fitted to the others, and rank patients *within* their fold. Given the other
folds, a fold's groups do not depend on its outcomes, so a comparison of arms within them is unbiased.

Cross-fitted predictions: each patient's risk and effect from a model that has not seen that patient.

A model that is judged on the patients it was fitted to looks better than it is. Here the trial is cut into folds
(`cross_fitting.arm_balanced_folds`); the model is fitted to all folds but one, and predicts the patients of that one
(Stone 1974; Chernozhukov et al. 2018, Definition 3.1). Standardisation, too, is learned without the fold.

Valid inference on predicted effects: learn from the first folds, test on the next, and add up (Wager 2024).

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
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, ndtr
from sklearn.model_selection import StratifiedKFold

from hte_utils.corrected.calibration import Estimate
from hte_utils.corrected.predictions import BatchedPredictions, EffectPredictions, predict_effects, predict_in_batches
from hte_utils.effects.cate import GroupEffects
from hte_utils.effects.logistic import fit_logistic
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.quick_posterior import quick_posterior
from hte_utils.model.spec import Covariate, TrialSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    import xarray as xr

    from hte_utils.model.spec import Patients

if TYPE_CHECKING:
    import xarray as xr

    from hte_utils.model.checks import FloatArray
    from hte_utils.model.listing_2 import Priors
    from hte_utils.model.spec import Patients, TrialSpec


N_FOLDS = 5


def arm_balanced_folds(treatment: npt.ArrayLike, n_folds: int, seed: int) -> IntArray:
    """Deal patients at random to folds, numbered from 0, with the same share of treated (1, not 0) in each.

    The outcome has no say in it, on purpose: folds that were balanced by outcome would depend on it.
    """
    arm = np.asarray(treatment)
    fold = np.empty(arm.size, dtype=np.int64)
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(arm.size), arm)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold


def groups_within_folds(risk: npt.ArrayLike, fold: npt.ArrayLike, n_groups: int) -> IntArray:
    """Rank patients within their fold and cut each fold into groups of equal size, 1 = lowest risk."""
    risks, folds = np.asarray(risk, dtype=np.float64), np.asarray(fold)
    group = np.empty(risks.size, dtype=np.int64)
    for number in np.unique(folds):
        group[folds == number] = quantile_groups(risks[folds == number], n_groups)
    return group


def group_members(group: npt.ArrayLike) -> pd.DataFrame:
    """Membership table (boolean, a column per group: Q1, Q2, ...) of groups that are numbered from 1."""
    groups = np.asarray(group)
    return pd.DataFrame({f"Q{number}": groups == number for number in range(1, int(groups.max()) + 1)})


_EFFECTIVE_DRAWS = 2000


class CrossFitted(NamedTuple):
    """Predictions in the order of the trial's table, and the fold (from 0) each patient's model was fitted without."""

    predictions: EffectPredictions
    fold: IntArray


class FoldModel(NamedTuple):
    """One fold: the posterior of a trial without it, and its patients, `rows` of the trial's table."""

    posterior: xr.DataTree
    patients: Patients
    rows: IntArray


def fit_folds(
    trial: pd.DataFrame, spec: TrialSpec, *, priors: Priors | None = None, n_folds: int = N_FOLDS, seed: int = 1
) -> tuple[FoldModel, ...]:
    """Fit the model (priors of Listing 2 if None) once without each fold; the seed decides folds and draws."""
    fold = arm_balanced_folds(spec.design(trial).treatment, n_folds, seed)
    models = []
    for number in range(n_folds):
        here = fold == number
        others = spec.design(trial.loc[~here])
        own_seed = np.random.SeedSequence((seed, number))
        posterior = quick_posterior(others, priors=priors, draws=_EFFECTIVE_DRAWS, seed=own_seed).tree()
        models.append(FoldModel(posterior, others.apply(trial.loc[here]), np.flatnonzero(here)))
    return tuple(models)


def predict_folds(models: tuple[FoldModel, ...], *, group_effects: GroupEffects = GroupEffects.INCLUDED) -> CrossFitted:
    """Predict the patients of each fold from the model that was fitted without it."""
    parts = [predict_effects(model.posterior, model.patients, group_effects=group_effects) for model in models]
    rows = [model.rows for model in models]
    fold = np.empty(sum(row.size for row in rows), dtype=np.int64)
    for number, row in enumerate(rows):
        fold[row] = number
    return CrossFitted(EffectPredictions.scattered(parts, rows), fold)


def predict_folds_in_batches(
    models: tuple[FoldModel, ...], *, group_effects: GroupEffects = GroupEffects.INCLUDED
) -> BatchedPredictions:
    """As `predict_folds`, with the predictions of batches of draws for Monte Carlo errors."""
    rows = [model.rows for model in models]
    parts = [predict_in_batches(model.posterior, model.patients, group_effects=group_effects) for model in models]
    # Batch k of one fold has nothing to do with batch k of another: together they are one run of all folds.
    batches = zip(*(part.batches for part in parts), strict=True)
    return BatchedPredictions(
        EffectPredictions.scattered([part.whole for part in parts], rows),
        tuple(EffectPredictions.scattered(batch, rows) for batch in batches),
    )


N_DEALS = 3
_SEQUENTIAL_DRAWS = 500

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
        posterior = quick_posterior(design, priors=priors, draws=_SEQUENTIAL_DRAWS, seed=seed).tree()
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


AGE_SPEC = TrialSpec(
    outcome="event",
    treatment="treatment",
    group="gender",
    prognostic=(Covariate("age", "age", standardise=True),),
    modifiers=("age",),
)
"""Gender is read with the table, as every specification has a group, and not used."""


def predict_by_age(trial: pd.DataFrame, patients: pd.DataFrame) -> EffectPredictions:
    """Fit by maximum likelihood to `trial` (no shrinkage, no prior), predict `patients`.

    The probability of harm is that of the normal approximation to the log odds ratio at the patient's age.
    """
    design = AGE_SPEC.design(trial)
    age, arm = design.prognostic[:, 0], design.treatment
    fit = fit_logistic(np.column_stack([np.ones(age.size), age, arm, arm * age]), design.outcome)
    return _predicted(fit.coefficients, fit.covariance[2:, 2:], design.apply(patients))


def cross_fitted_by_age(trial: pd.DataFrame, *, folds: int = N_FOLDS, seed: int = 1) -> EffectPredictions:
    """Predict every patient from a fit without the patient's fold; the folds are those of `cross_fitted_effects`."""
    fold = arm_balanced_folds(AGE_SPEC.design(trial).treatment, folds, seed)
    here = [fold == number for number in range(folds)]
    parts = [predict_by_age(trial.loc[~rows], trial.loc[rows]) for rows in here]
    return EffectPredictions.scattered(parts, [np.flatnonzero(rows) for rows in here])


def _predicted(coefficients: FloatArray, covariance: FloatArray, patients: Patients) -> EffectPredictions:
    age = patients.prognostic[:, 0]
    untreated = coefficients[0] + coefficients[1] * age
    effect = coefficients[2] + coefficients[3] * age
    se = np.sqrt(covariance[0, 0] + 2.0 * age * covariance[0, 1] + np.square(age) * covariance[1, 1])
    risk = expit(untreated)
    return EffectPredictions(risk, expit(untreated + effect) - risk, effect, ndtr(effect / se))
