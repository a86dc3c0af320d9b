"""Baseline risk by ridge-penalised logistic regression: a fit in half a millisecond, for when thousands are wanted.

The estimate is the posterior mode under Normal(0, 1) priors on all slopes, so it stands in for the Bayesian model
where only the ranking of the patients matters. A general library needs several times as long for fits as small as
these; hence the Newton iteration here (the tests hold it against scikit-learn).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

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
