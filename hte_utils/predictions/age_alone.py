"""The simplest competitor: a logistic regression on treatment, age, and their product, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, ndtr

from hte_utils.predictions.cross_fitting import N_FOLDS, arm_balanced_folds
from hte_utils.predictions.effect_predictions import EffectPredictions
from hte_utils.spec import Covariate, TrialSpec
from hte_utils.trial_checks import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.spec import Patients

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
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM

    design = AGE_SPEC.design(trial)
    age, arm = design.prognostic[:, 0], design.treatment
    fit = GLM(design.outcome, np.column_stack([np.ones(age.size), age, arm, arm * age]), family=Binomial()).fit()
    return _predicted(fit.params, fit.cov_params()[2:, 2:], design.apply(patients))


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
