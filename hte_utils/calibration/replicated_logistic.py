"""Logistic regression of many bootstrap replicates at once.

statsmodels fits one model a call; three hundred replicates of five models would take longer than all of this book's
other computations. Newton's method on all replicates together is two matrix products a step. The tests hold it
against statsmodels.
"""

from __future__ import annotations

import numpy as np

from hte_utils.calibration.bootstrap import Estimate
from hte_utils.logistic import expit_in_place
from hte_utils.trial_checks import FloatArray

_STEPS = 40
_LARGEST_STEP = 4.0
_TOLERANCE = 1e-8


def fit_logistic(
    columns: FloatArray, outcome: FloatArray, *, offset: FloatArray | None = None, weights: FloatArray | None = None
) -> FloatArray:
    """Maximum-likelihood coefficients of logistic regressions that share their covariates.

    `columns`: Shape (patients, terms); an intercept must be among them if one is wanted.
    `outcome`: 0/1, shape (patients,), or (replicates, patients) if each replicate has its own.
    `offset`: Part of the log odds that is known, shape (patients,); zero if None.
    `weights`: How often each patient counts, shape (replicates, patients); once if None.

    Shape (replicates, terms); NaN where there is no finite maximum (separation) or the columns are collinear.
    """
    weights = np.ones((1, outcome.shape[-1])) if weights is None else weights
    n_replicates = max(weights.shape[0], outcome.shape[0] if outcome.ndim == 2 else 1)
    n_terms = columns.shape[1]
    squares = (columns[:, :, None] * columns[:, None, :]).reshape(len(columns), -1)
    # Replicates differ little from all data taken once: that fit is where they start.
    alone = n_replicates == 1
    start = np.zeros(n_terms) if alone else np.nan_to_num(fit_logistic(columns, _mean(outcome), offset=offset)[0])
    beta = np.tile(start, (n_replicates, 1))
    known = 0.0 if offset is None else offset
    settled = np.zeros(n_replicates, dtype=bool)
    for _ in range(_STEPS):
        probability = expit_in_place(np.clip(beta @ columns.T + known, -500.0, 500.0))
        gradient = (weights * (outcome - probability)) @ columns
        information = ((weights * probability * (1.0 - probability)) @ squares).reshape(-1, n_terms, n_terms)
        step = _solve(information, gradient)
        settled = np.abs(step).max(axis=1) < _TOLERANCE
        # A long step overshoots where the likelihood is far from quadratic; it is cut, not turned.
        longest = np.abs(step @ columns.T).max(axis=1, initial=0.0)
        step *= np.minimum(1.0, _LARGEST_STEP / np.maximum(longest, _TOLERANCE))[:, None]
        beta += step
        if settled.all():
            break
    beta[~settled] = np.nan
    return beta


def last_coefficient(columns: FloatArray, outcome: FloatArray, *, offset: FloatArray | None = None) -> Estimate:
    """The last coefficient of one regression, with its standard error from the information; NaN as in `fit_logistic`.

    Parameters are those of `fit_logistic`.
    """
    beta = fit_logistic(columns, outcome, offset=offset)[0]
    if not np.isfinite(beta).all():
        return Estimate.normal(np.nan, np.nan)
    probability = expit_in_place(columns @ beta + (0.0 if offset is None else offset))
    information = (columns.T * (probability * (1.0 - probability))) @ columns
    return Estimate.normal(beta[-1], np.sqrt(np.linalg.inv(information)[-1, -1]))


def _mean(outcome: FloatArray) -> FloatArray:
    return outcome if outcome.ndim == 1 else np.asarray(outcome.mean(axis=0))


def _solve(information: FloatArray, gradient: FloatArray) -> FloatArray:
    scale = np.sqrt(np.einsum("rtt->rt", information))
    singular = ~(scale > 0.0).all(axis=1)
    scale[singular] = 1.0
    correlation = information / (scale[:, :, None] * scale[:, None, :])
    correlation[singular] = np.eye(gradient.shape[1])
    collinear = np.linalg.cond(correlation) > 1e12
    correlation[collinear] = np.eye(gradient.shape[1])
    step = np.linalg.solve(correlation, (gradient / scale)[:, :, None])[:, :, 0] / scale
    # Never small enough to count as settled.
    step[singular | collinear] = _LARGEST_STEP
    return np.asarray(step)
