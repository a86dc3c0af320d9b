"""Risk modelling as the PATH statement recommends it (Kent et al. 2020): the effect as a function of predicted risk.

Two stages. The risk model is a logistic regression of the event on the covariates, fitted to all patients without
knowledge of their arm. Its linear predictor, the predicted log odds of the event, is then the only covariate, and the
only effect modifier, of a logistic regression with treatment. As is usual, the intervals of the second stage take the
risk model as known, and are too narrow by what that ignores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import MethodResult
from hte_utils.comparators.likelihood import fit_logistic
from hte_utils.comparators.logistic_effects import interaction_terms, logistic_effects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def fit_risk_model(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Risk model x treatment; see `hte_utils.comparators.estimates.Method`. No randomness."""
    numbers = TrialNumbers.of(trial)
    predicted, notes = _risk_model(numbers)

    def terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
        return interaction_terms(predicted(covariates)[:, None], arm)

    fitted = fit_logistic(terms(numbers.covariates, numbers.treatment), numbers.outcome)
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        estimates.append(logistic_effects(fitted.coefficients, terms(covariates, 0.0), terms(covariates, 1.0)))
    return MethodResult(tuple(estimates), {**fitted.notes, **notes})


def predicted_log_odds(numbers: TrialNumbers) -> Callable[[FloatArray], FloatArray]:
    """Fit the risk model.

    Returns
    -------
    callable
        From covariates, shape (patients, 8), to predicted log odds of the event, less their mean in the trial, shape
        (patients,).
    """
    return _risk_model(numbers)[0]


def _risk_model(numbers: TrialNumbers) -> tuple[Callable[[FloatArray], FloatArray], Mapping[str, float]]:
    model = fit_logistic(_with_intercept(numbers.covariates), numbers.outcome)
    coefficients = model.coefficients.value
    centre = float((_with_intercept(numbers.covariates) @ coefficients).mean())

    def predicted(covariates: FloatArray) -> FloatArray:
        return np.asarray(_with_intercept(covariates) @ coefficients - centre)

    return predicted, model.notes


def _with_intercept(covariates: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(covariates)), covariates])
