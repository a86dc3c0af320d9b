"""Baseline risk by ridge-penalised logistic regression: a fit in half a millisecond, for when thousands are wanted.

The estimate is the posterior mode under Normal(0, 1) priors on all slopes, so it stands in for the Bayesian model
where only the ranking of the patients matters. A general library needs several times as long for fits as small as
these; hence the Newton iteration here (the tests hold it against scikit-learn).

How far "same data" risk groups mislead: many simulated trials whose truth is known.

In each trial a risk model is fitted, the patients are cut into quintiles of predicted baseline risk, and the event
rates of the two arms are compared in each quintile. The truth of the same patients tells what this comparison should
have shown on average; the difference has expectation zero whenever the groups do not depend on the patients' own
outcomes. The event is bleeding: positive risk differences are **harm**.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hte_utils.corrected.cross_fitting import arm_balanced_folds, groups_within_folds
from hte_utils.effects.monte_carlo import FloatArray, IntArray
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.spec import TrialDesign, TrialSpec
from hte_utils.trial import TrialTruth, simulate_truth, trial_table

_MOST_STEPS = 50
# Newton's error is squared at each step, so the last one leaves an error of about its own square.
_SMALL_STEP = 1e-6


class RiskModel(Enum):
    """Whose outcomes a model of baseline risk is fitted to. The value says so in words."""

    WITH_EFFECTS = "both arms, with treatment effects (as Listing 2)"
    CONTROL_ARM = "control arm only"
    BLINDED = "both arms, treatment ignored"


class PredictedRisks(NamedTuple):
    """Probability of the event without and with treatment, shape (patients,); the same if a model ignores treatment."""

    untreated: FloatArray
    treated: FloatArray


class RiskMatrices(NamedTuple):
    """Design matrices of all patients as assigned, untreated and treated, and whose outcomes the model may see."""

    rows: FloatArray
    untreated: FloatArray
    treated: FloatArray
    used: FloatArray

    @classmethod
    def of(cls, design: TrialDesign, model: RiskModel) -> RiskMatrices:
        """Lay out a trial for a risk model."""
        one = np.ones((design.n_patients, 1))
        group = np.eye(len(design.group_labels))[design.group][:, 1:]
        main = np.hstack([one, design.prognostic, group])
        if model is not RiskModel.WITH_EFFECTS:
            return cls(main, main, main, (design.treatment == 0.0) | (model is RiskModel.BLINDED))
        modifying = np.hstack([one, design.modifiers, group])
        assigned, untreated, treated = (
            np.hstack([main, modifying * arm]) for arm in (design.treatment[:, None], 0.0, 1.0)
        )
        return cls(assigned, untreated, treated, np.ones(design.n_patients, dtype=bool))

    def predict(self, coefficients: FloatArray) -> PredictedRisks:
        """Risks of all patients."""
        return PredictedRisks(expit(self.untreated @ coefficients), expit(self.treated @ coefficients))


def ridge_logit(rows: FloatArray, outcome: FloatArray, start: FloatArray | None = None, sd: float = 1.0) -> FloatArray:
    """Coefficients of a logistic regression with Normal(0, sd²) priors on all but the first: the posterior mode.

    Parameters
    ----------
    rows, outcome
        Design matrix whose first column is ones, and 0/1, of which both must occur.
    start
        Where Newton's method begins; the intercept-only fit if None.
    """
    penalty = np.full(rows.shape[1], 1.0 / sd**2)
    penalty[0] = 0.0
    point = np.append(logit(outcome.mean()), np.zeros(rows.shape[1] - 1)) if start is None else start
    for _ in range(_MOST_STEPS):
        probability = expit(rows @ point)
        gradient = (outcome - probability) @ rows - penalty * point
        curvature = (rows.T * (probability * (1.0 - probability))) @ rows + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        point = point + step
        if np.abs(step).max() < _SMALL_STEP:
            return point
    raise ValueError(f"Newton's method has not settled after {_MOST_STEPS} steps: standardise the covariates")


def same_data_risks(design: TrialDesign, model: RiskModel) -> PredictedRisks:
    """Predict the patients whose outcomes the model was fitted to."""
    matrices = RiskMatrices.of(design, model)
    return matrices.predict(ridge_logit(matrices.rows[matrices.used], design.outcome[matrices.used]))


def cross_fitted_risks(design: TrialDesign, model: RiskModel, fold: IntArray) -> PredictedRisks:
    """Predict each patient by a model fitted to the other folds (`arm_balanced_folds`)."""
    matrices = RiskMatrices.of(design, model)
    whole = ridge_logit(matrices.rows[matrices.used], design.outcome[matrices.used])
    risks = np.empty((2, design.n_patients))
    for number in np.unique(fold):
        held_out = fold == number
        used = matrices.used & ~held_out
        # The fit to all patients is near, so two or three steps from there suffice.
        part = matrices.predict(ridge_logit(matrices.rows[used], design.outcome[used], start=whole))
        risks[:, held_out] = part.untreated[held_out], part.treated[held_out]
    return PredictedRisks(*risks)


QUINTILES = 5


class Ranking(Enum):
    """Whether patients are ranked by a model that has seen their outcomes."""

    SAME_DATA = "same data"
    CROSS_FITTED = "cross-fitted"


def same_data_study(
    spec: TrialSpec,
    seeds: Sequence[int],
    *,
    n_patients: int = 2000,
    n_folds: int = 10,
    models: Sequence[RiskModel] = tuple(RiskModel),
) -> pd.DataFrame:
    """Group-wise errors of simulated trials, with patients ranked by same-data and by cross-fitted risk.

    Parameters
    ----------
    spec, models
        Covariates and modifiers of the risk models, and which of them to try.
    seeds
        One trial of Listing 1 for each; a trial's folds are dealt with the same seed.
    n_patients, n_folds
        Size of each trial, and folds of the cross-fitting.

    Returns
    -------
    pandas.DataFrame
        Index `seed`, `model`, `ranking`, `risk_group` (names of the enums; Q1 to Q5). Risk differences are
        probabilities: `observed` (event rate of the treated minus that of the controls), `expected` (the same with
        the patients' true probabilities instead of their outcomes), `true` (mean true effect of the group), and
        `predicted` (mean predicted effect; only for `RiskModel.WITH_EFFECTS`, else NaN).
    """
    tables = {}
    for seed in seeds:
        truth = simulate_truth(n_patients, seed)
        design = spec.design(trial_table(truth))
        fold = arm_balanced_folds(design.treatment, n_folds, seed)
        for model in models:
            for ranking, table in one_trial(design, truth, model, fold).items():
                tables[seed, model.name, ranking.name] = table
    return pd.concat(tables, names=["seed", "model", "ranking", "risk_group"])


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


def paired_differences(study: pd.DataFrame) -> pd.DataFrame:
    """Stratification error with the same data minus that with cross-fitting, trial by trial.

    Both rankings see the same outcomes, so the difference is far more precise than either error. Index `model`,
    `risk_group`; `mean` over the trials (a probability) and its `mcse`.
    """
    error = study["observed"] - study["expected"]
    same, crossed = (error.xs(ranking.name, level="ranking") for ranking in Ranking)
    difference = same - crossed
    grouped = difference.groupby(level=["model", "risk_group"], sort=False)
    return pd.DataFrame({"mean": grouped.mean(), "mcse": grouped.sem()})


def one_trial(design: TrialDesign, truth: TrialTruth, model: RiskModel, fold: IntArray) -> dict[Ranking, pd.DataFrame]:
    """Compare the arms in the risk groups of one trial; columns as in `same_data_study`, index Q1 to Q5."""
    same, crossed = same_data_risks(design, model), cross_fitted_risks(design, model, fold)
    ranked = {
        Ranking.SAME_DATA: (same, quantile_groups(same.untreated, QUINTILES)),
        Ranking.CROSS_FITTED: (crossed, groups_within_folds(crossed.untreated, fold, QUINTILES)),
    }
    return {name: _group_errors(design, truth, group, risks, model) for name, (risks, group) in ranked.items()}


def repeated_cross_fits(
    design: TrialDesign, truth: TrialTruth, model: RiskModel, fold_seeds: Sequence[int], *, n_folds: int = 10
) -> pd.DataFrame:
    """Analyse one trial in cross-fitted risk groups, with folds dealt anew for each seed.

    Index `fold_seed`, `risk_group`; columns as in `same_data_study`.
    """
    tables = {}
    for seed in fold_seeds:
        fold = arm_balanced_folds(design.treatment, n_folds, seed)
        risks = cross_fitted_risks(design, model, fold)
        group = groups_within_folds(risks.untreated, fold, QUINTILES)
        tables[seed] = _group_errors(design, truth, group, risks, model)
    return pd.concat(tables, names=["fold_seed", "risk_group"])


def _group_errors(
    design: TrialDesign, truth: TrialTruth, group: IntArray, predicted: PredictedRisks, model: RiskModel
) -> pd.DataFrame:
    place, treated = group - 1, design.treatment == 1.0

    def mean(values: FloatArray, rows: FloatArray) -> FloatArray:
        return np.bincount(place[rows], values[rows], QUINTILES) / np.bincount(place[rows], minlength=QUINTILES)

    everybody = np.ones_like(treated)
    has_effects = model is RiskModel.WITH_EFFECTS
    return pd.DataFrame(
        {
            "observed": mean(design.outcome, treated) - mean(design.outcome, ~treated),
            "expected": mean(truth.event_probability, treated) - mean(truth.event_probability, ~treated),
            "true": mean(truth.risk_difference, everybody),
            "predicted": mean(predicted.treated - predicted.untreated, everybody) if has_effects else np.nan,
        },
        index=[f"Q{number}" for number in range(1, QUINTILES + 1)],
    )
