"""From a fitted logistic model to effects: risks, risk differences and log odds ratios with Wald intervals.

Intervals of risk differences are by the delta method (Oehlert 1992): the gradient of the difference with respect to the
coefficients, and their covariance. The average's interval takes the patients as given: it is for *these* patients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from hte_utils.comparators.estimates import INTERVAL, EffectEstimates, IntervalEstimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_Z = float(norm.isf((1.0 - INTERVAL) / 2.0))


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """Estimated coefficients of a logistic model, and their covariance.

    Attributes
    ----------
    value
        Shape (terms,).
    covariance
        Shape (terms, terms); None for a method without intervals.
    """

    value: FloatArray
    covariance: FloatArray | None = None


def logistic_effects(fitted: Coefficients, untreated: FloatArray, treated: FloatArray) -> EffectEstimates:
    """Effects of the patients whose model terms are given, once as if untreated and once as if treated.

    Parameters
    ----------
    fitted
        Coefficients.
    untreated, treated
        Values of the model's terms, shape (patients, terms).

    Returns
    -------
    EffectEstimates
        Positive effects are harm.
    """
    risk = expit(untreated @ fitted.value)
    risk_treated = expit(treated @ fitted.value)
    contrast = treated - untreated
    log_odds_ratio, difference = contrast @ fitted.value, risk_treated - risk
    if fitted.covariance is None:
        return EffectEstimates(
            baseline_risk=risk,
            log_odds_ratio=IntervalEstimate(log_odds_ratio),
            risk_difference=IntervalEstimate(difference),
            average_risk_difference=IntervalEstimate(np.asarray(difference.mean())),
        )
    gradient = (risk_treated * (1 - risk_treated))[:, None] * treated - (risk * (1 - risk))[:, None] * untreated
    average_error = _standard_errors(gradient.mean(axis=0)[None], fitted.covariance)[0]
    return EffectEstimates(
        baseline_risk=risk,
        log_odds_ratio=_wald(log_odds_ratio, _standard_errors(contrast, fitted.covariance)),
        risk_difference=_wald(difference, _standard_errors(gradient, fitted.covariance), limit=1.0),
        average_risk_difference=_wald(difference.mean(), average_error, limit=1.0),
    )


def interaction_terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
    """Terms of the model with every treatment-covariate interaction: 1, T, X, T x X; shape (patients, 2 + 2 p)."""
    treatment = np.broadcast_to(np.asarray(arm, dtype=np.float64), covariates.shape[:1])[:, None]
    return np.column_stack([np.ones(len(covariates)), treatment, covariates, treatment * covariates])


def main_effect_terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
    """Terms of the model without interactions: 1, T, X; shape (patients, 2 + p)."""
    treatment = np.broadcast_to(np.asarray(arm, dtype=np.float64), covariates.shape[:1])
    return np.column_stack([np.ones(len(covariates)), treatment, covariates])


def _standard_errors(gradient: FloatArray, covariance: FloatArray) -> FloatArray:
    variance = np.einsum("ij,ij->i", gradient @ covariance, gradient)
    return cast("FloatArray", np.sqrt(np.maximum(variance, 0.0)))


def _wald(value: FloatArray, error: FloatArray, limit: float = np.inf) -> IntervalEstimate:
    """Symmetric interval, cut off where no value can be."""
    return IntervalEstimate(value, np.maximum(value - _Z * error, -limit), np.minimum(value + _Z * error, limit))
