"""Baseline risk by ridge-penalised logistic regression: a fit in half a millisecond, for when thousands are wanted.

The estimate is the posterior mode under Normal(0, sd²) priors on all slopes, so it stands in for the Bayesian model
where only the ranking of the patients matters. A general library needs several times as long for fits as small as
these; hence the Newton iteration here (the tests hold it against scikit-learn).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.special import expit

from hte_utils.monte_carlo import FloatArray, IntArray
from hte_utils.spec import TrialDesign

_MOST_STEPS = 50
# Newton's error is squared at each step, so the last one leaves an error of about its own square.
_SMALL_STEP = 1e-6


class RiskModel(Enum):
    """Whose outcomes a model of baseline risk is fitted to. The value says so in words."""

    WITH_EFFECTS = "both arms, with treatment effects (as Listing 2)"
    CONTROL_ARM = "control arm only"
    BLINDED = "both arms, treatment ignored"


@dataclass(frozen=True, slots=True, eq=False)
class PredictedRisks:
    """Probability of the event without and with treatment, each of shape (patients,).

    A model that ignores treatment predicts the same for both.
    """

    untreated: FloatArray
    treated: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class RiskMatrices:
    """What a risk model is fitted to, and what it is asked to predict.

    Attributes
    ----------
    rows
        Design matrix with a first column of ones, shape (patients, coefficients).
    untreated, treated
        The same for all patients if nobody, and if everybody is treated.
    used
        Whose outcomes the model may see, boolean, shape (patients,).
    """

    rows: FloatArray
    untreated: FloatArray
    treated: FloatArray
    used: FloatArray

    @classmethod
    def of(cls, design: TrialDesign, model: RiskModel) -> RiskMatrices:
        """Lay out a trial for a risk model."""
        n = design.n_patients
        group = np.eye(len(design.group_labels))[design.group][:, 1:]
        main = np.hstack([np.ones((n, 1)), design.prognostic, group])
        everybody = np.ones(n, dtype=bool)
        if model is RiskModel.CONTROL_ARM:
            return cls(main, main, main, design.treatment == 0.0)
        if model is RiskModel.BLINDED:
            return cls(main, main, main, everybody)
        modifying = np.hstack([np.ones((n, 1)), design.modifiers, group])
        assigned, untreated, treated = (
            np.hstack([main, modifying * arm]) for arm in (design.treatment[:, None], 0.0, 1.0)
        )
        return cls(assigned, untreated, treated, everybody)


def ridge_logit(rows: FloatArray, outcome: FloatArray, start: FloatArray | None = None, sd: float = 1.0) -> FloatArray:
    """Coefficients of a logistic regression with Normal(0, sd²) priors on all but the first: the posterior mode.

    Parameters
    ----------
    rows
        Design matrix, shape (patients, coefficients), whose first column is ones.
    outcome
        0/1, shape (patients,); both must occur.
    start
        Where Newton's method begins; the intercept-only fit if None.
    sd
        Prior standard deviation of the slopes.

    Raises
    ------
    ValueError
        If the outcome is constant, or Newton's method does not settle.
    """
    mean = float(outcome.mean())
    if not 0.0 < mean < 1.0:
        raise ValueError(f"all {outcome.size} outcomes are {mean:g}: a risk model needs both events and non-events")
    penalty = np.full(rows.shape[1], 1.0 / sd**2)
    penalty[0] = 0.0
    point = np.zeros(rows.shape[1])
    point[0] = np.log(mean / (1.0 - mean))
    point = point if start is None else start.copy()
    for _ in range(_MOST_STEPS):
        probability = expit(rows @ point)
        gradient = (outcome - probability) @ rows - penalty * point
        curvature = (rows.T * (probability * (1.0 - probability))) @ rows
        curvature += np.diag(penalty)
        try:
            step = np.linalg.solve(curvature, gradient)
        except np.linalg.LinAlgError:
            break
        point += step
        if np.abs(step).max() < _SMALL_STEP:
            return point
    raise ValueError(
        f"Newton's method has not settled after {_MOST_STEPS} steps: standardise the covariates, or choose an sd "
        f"smaller than {sd:g}"
    )


def same_data_risks(design: TrialDesign, model: RiskModel) -> PredictedRisks:
    """Predict the patients whose outcomes the model was fitted to.

    Raises
    ------
    ValueError
        As `ridge_logit`.
    """
    matrices = RiskMatrices.of(design, model)
    return _predict(matrices, _fit(design, matrices, matrices.used))


def cross_fitted_risks(design: TrialDesign, model: RiskModel, fold: IntArray) -> PredictedRisks:
    """Predict each patient by a model fitted to the other folds.

    Parameters
    ----------
    design, model
        The trial, and whose outcomes the model may see.
    fold
        0-based, shape (patients,): from `hte_utils.predictions.cross_fitting.arm_balanced_folds`.

    Raises
    ------
    ValueError
        If `fold` does not fit the trial, or as `ridge_logit`.
    """
    if fold.shape != design.outcome.shape:
        raise ValueError(f"fold must have one number per patient, shape {design.outcome.shape}, not {fold.shape}")
    matrices = RiskMatrices.of(design, model)
    whole = _fit(design, matrices, matrices.used)
    risks = np.empty((2, design.n_patients))
    for number in np.unique(fold):
        held_out = fold == number
        # The fit to all patients is near, so two or three steps from there suffice.
        part = _predict(matrices, _fit(design, matrices, matrices.used & ~held_out, start=whole))
        risks[:, held_out] = part.untreated[held_out], part.treated[held_out]
    return PredictedRisks(*risks)


def _fit(design: TrialDesign, matrices: RiskMatrices, used: FloatArray, start: FloatArray | None = None) -> FloatArray:
    return ridge_logit(matrices.rows[used], design.outcome[used], start=start)


def _predict(matrices: RiskMatrices, coefficients: FloatArray) -> PredictedRisks:
    return PredictedRisks(expit(matrices.untreated @ coefficients), expit(matrices.treated @ coefficients))
