"""Cross-fitted predictions: each patient's risk and effect from a model that has not seen that patient.

A model that is judged on the patients it was fitted to looks better than it is. Here the trial is cut into folds
(`cross_fitting.arm_balanced_folds`); the model is fitted to all folds but one, and predicts the patients of that one
(Stone 1974; Chernozhukov et al. 2018, Definition 3.1). Standardisation, too, is learned without the fold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hte_utils.cate import GroupEffects
from hte_utils.predictions.batched_predictions import BatchedPredictions, predict_in_batches
from hte_utils.predictions.cross_fitting import N_FOLDS, arm_balanced_folds
from hte_utils.predictions.effect_predictions import EffectPredictions, predict_effects
from hte_utils.quick_posterior import quick_posterior
from hte_utils.trial_checks import IntArray

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from hte_utils.priors import Priors
    from hte_utils.spec import Patients, TrialSpec

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
