"""Doubly robust scores: each patient's outcome under either arm, estimated without bias in a randomised trial.

A patient is seen in one arm. The augmented inverse-probability-weighted score takes the model's prediction for the
other arm and corrects it by the patient's own residual, weighted by the *known* probability of the arm (Robins,
Rotnitzky & Zhao 1994). With predictions that were made without the patient, its mean over any group that was formed
without the outcomes is unbiased, however wrong the model: a good model makes it more precise, that is all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hte_utils.trial_checks import FloatArray, require_probability, zeros_and_ones

if TYPE_CHECKING:
    from hte_utils.predictions.effect_predictions import EffectPredictions


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Doubly robust scores, shape (patients,) each: on average the event probability, for one patient far from it.

    `untreated`, `treated`: Scores of the event probability in either arm.
    """

    untreated: FloatArray
    treated: FloatArray

    @property
    def risk_difference(self) -> FloatArray:
        """Treated minus untreated, shape (patients,); positive = harm."""
        return self.treated - self.untreated


def doubly_robust_scores(
    predictions: EffectPredictions, outcome: npt.ArrayLike, treatment: npt.ArrayLike, *, p_treated: float
) -> Scores:
    """Combine predictions and outcomes.

    `predictions`: For the same patients; made without them (cross-fitted, or from another trial).
    `outcome`, `treatment`: 0/1, shape (patients,).
    `p_treated`: The probability with which patients were randomised to treatment. It belongs to the design of the trial
        (`trial.P_TREATED` for Listing 1) and has no default: a wrong one biases every score.
    """
    require_probability("p_treated", p_treated)
    n_patients = predictions.baseline_risk.size
    y, arm = zeros_and_ones("outcome", outcome, n_patients), zeros_and_ones("treatment", treatment, n_patients)
    control, treated = predictions.baseline_risk, predictions.treated_risk
    return Scores(
        untreated=np.asarray(control + (1 - arm) / (1.0 - p_treated) * (y - control)),
        treated=np.asarray(treated + arm / p_treated * (y - treated)),
    )
