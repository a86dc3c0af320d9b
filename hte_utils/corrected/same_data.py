"""How far "same data" risk groups mislead: many simulated trials whose truth is known.

In each trial a risk model is fitted, the patients are cut into quintiles of predicted baseline risk, and the event
rates of the two arms are compared in each quintile. The truth of the same patients tells what this comparison should
have shown on average; the difference has expectation zero whenever the groups do not depend on the patients' own
outcomes. The event is bleeding: positive risk differences are **harm**.

Risk models are ridge-penalised logistic regressions, the posterior mode under Normal(0, 1) priors on all slopes: they
stand in for the Bayesian model where only the ranking of the patients matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from hte_utils.corrected.cross_fitting import arm_balanced_folds, groups_within_folds
from hte_utils.effects.logistic import fit_replicates
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.spec import TrialDesign, TrialSpec
from hte_utils.model.threads import one_blas_thread
from hte_utils.trial import TrialTruth, simulate_truth, trial_table

_QUINTILES = 5


class RiskModel(Enum):
    """Whose outcomes a model of baseline risk is fitted to. The value says so in words."""

    WITH_EFFECTS = "both arms, with treatment effects (as Listing 2)"
    CONTROL_ARM = "control arm only"
    BLINDED = "both arms, treatment ignored"


class PredictedRisks(NamedTuple):
    """Probability of the event without and with treatment, shape (patients,); the same if a model ignores treatment."""

    untreated: FloatArray
    treated: FloatArray


def predicted_risks(design: TrialDesign, model: RiskModel, fold: IntArray | None = None) -> PredictedRisks:
    """Predict each patient by a model fitted to the other folds (from 0), or to all patients if there are none."""
    if fold is None:
        fold, counted = np.zeros(design.n_patients, dtype=np.int64), np.ones((1, design.n_patients))
    else:
        counted = (fold != np.arange(fold.max() + 1)[:, None]).astype(np.float64)
    if model is RiskModel.CONTROL_ARM:
        counted = counted * (design.treatment == 0.0)
    terms = _terms(design, model, design.treatment)
    precision = np.append(0.0, np.ones(terms.shape[1] - 1))  # the intercept is free
    coefficients = fit_replicates(terms, design.outcome, weights=counted, precision=precision)
    arms = (_terms(design, model, np.full(design.n_patients, arm)) for arm in (0.0, 1.0))
    return PredictedRisks(*(expit(np.einsum("ij,ij->i", each, coefficients[fold])) for each in arms))


def _terms(design: TrialDesign, model: RiskModel, treatment: FloatArray) -> FloatArray:
    one = np.ones((design.n_patients, 1))
    group = np.eye(len(design.group_labels))[design.group][:, 1:]
    main = np.hstack([one, design.prognostic, group])
    if model is not RiskModel.WITH_EFFECTS:
        return main
    return np.hstack([main, treatment[:, None] * np.hstack([one, design.modifiers, group])])


def group_errors(
    design: TrialDesign, truth: TrialTruth, model: RiskModel, fold: IntArray | None = None
) -> pd.DataFrame:
    """Compare the arms in the risk groups of one trial, found as in `predicted_risks` and within the folds.

    Index `risk_group`, Q1 to Q5. Risk differences, as probabilities: `observed` (event rate of the treated minus that
    of the controls), `expected` (the same with the patients' true probabilities instead of their outcomes), `true`
    (mean true effect of the group), and `predicted` (mean predicted effect; NaN unless `RiskModel.WITH_EFFECTS`).
    """
    risks = predicted_risks(design, model, fold)
    group = groups_within_folds(risks.untreated, np.zeros(design.n_patients) if fold is None else fold, _QUINTILES)
    predicted = risks.treated - risks.untreated if model is RiskModel.WITH_EFFECTS else np.nan
    effects = pd.DataFrame({"true": truth.risk_difference, "predicted": predicted})
    by_arm = pd.DataFrame({"observed": design.outcome, "expected": truth.event_probability})
    treated = design.treatment == 1.0
    difference = by_arm[treated].groupby(group[treated]).mean() - by_arm[~treated].groupby(group[~treated]).mean()
    table: pd.DataFrame = pd.concat([difference, effects.groupby(group).mean()], axis=1)
    table.index = pd.Index([f"Q{number}" for number in table.index])
    return table


def same_data_study(
    spec: TrialSpec, seeds: Sequence[int], *, n_folds: int = 10, models: Sequence[RiskModel] = tuple(RiskModel)
) -> pd.DataFrame:
    """Group-wise errors of simulated trials, with patients ranked by same-data and by cross-fitted risk.

    Each seed is a trial of Listing 1 with 2000 patients, and deals its folds; `spec` has the covariates and modifiers
    of the risk models. Index `seed`, `model` (names of the enum), `ranking` (SAME_DATA, CROSS_FITTED), `risk_group`;
    columns as in `group_errors`.
    """
    tables = {}
    with one_blas_thread():  # threads cost more than products of this size gain
        for seed in seeds:
            truth = simulate_truth(2000, seed)
            design = spec.design(trial_table(truth))
            fold = arm_balanced_folds(design.treatment, n_folds, seed)
            for model in models:
                for ranking, folds in {"SAME_DATA": None, "CROSS_FITTED": fold}.items():
                    tables[seed, model.name, ranking] = group_errors(design, truth, model, folds)
    return pd.concat(tables, names=["seed", "model", "ranking", "risk_group"])


def repeated_cross_fits(
    design: TrialDesign, truth: TrialTruth, model: RiskModel, fold_seeds: Sequence[int], *, n_folds: int = 10
) -> pd.DataFrame:
    """`group_errors` of one trial with folds dealt anew for each seed; index `fold_seed`, `risk_group`."""
    folds = {seed: arm_balanced_folds(design.treatment, n_folds, seed) for seed in fold_seeds}
    with one_blas_thread():
        tables = {seed: group_errors(design, truth, model, fold) for seed, fold in folds.items()}
    return pd.concat(tables, names=["fold_seed", "risk_group"])


def summarise_study(study: pd.DataFrame) -> pd.DataFrame:
    """Average the errors of `same_data_study` over the trials.

    Index `model`, `ranking`, `risk_group`; for each error its mean over trials and the Monte Carlo standard error
    of this mean (`..._mcse`): `stratification` (observed minus expected: the bias of reading event rates off the
    groups), `predicted_minus_observed`, `predicted_minus_true`; and `true`, the mean true effect.
    """
    errors = pd.DataFrame(
        {
            "stratification": study["observed"] - study["expected"],
            "predicted_minus_observed": study["predicted"] - study["observed"],
            "predicted_minus_true": study["predicted"] - study["true"],
            "true": study["true"],
        }
    )
    grouped = errors.groupby(level=["model", "ranking", "risk_group"], sort=False)
    return pd.concat([grouped.mean(), grouped.sem().add_suffix("_mcse")], axis=1)


def paired_bias(study: pd.DataFrame) -> pd.DataFrame:
    """Stratification error with the same data minus that with cross-fitting, trial by trial.

    Both rankings see the same outcomes, so the difference is far more precise than either error. Index `model`,
    `risk_group`; `mean` over the trials (a probability) and its `mcse`.
    """
    error = study["observed"] - study["expected"]
    difference = error.xs("SAME_DATA", level="ranking") - error.xs("CROSS_FITTED", level="ranking")
    grouped = difference.groupby(level=["model", "risk_group"], sort=False)
    return pd.DataFrame({"mean": grouped.mean(), "mcse": grouped.sem()})
