"""Calibration of predicted risks: whether as many patients bleed as predicted, at every level of predicted risk.

Three questions of increasing strictness (Van Calster et al. 2016): the average (*intercept*), the spread (*slope*), and
the whole curve (*integrated calibration index*, ICI: mean absolute distance of the smooth calibration curve from the
diagonal; Austin & Steyerberg 2019). Also what the other calibrations share: estimates, splines, the bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from patsy import cr
from scipy.special import expit, logit

from hte_utils.effects.logistic import Z, fit_replicates
from hte_utils.model.checks import FloatArray, one_per_patient, zeros_and_ones

_LEAST_REPLICATES = 20
# Harrell (2015), Regression Modeling Strategies, Table 2.3: quantiles for few, and for more, knots.
QUANTILES = {4: (0.05, 0.35, 0.65, 0.95), 6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number estimated from one trial, its standard error (the spread over repeated trials), and 95 % interval."""

    value: float
    se: float
    lower: float
    upper: float

    @classmethod
    def normal(cls, value: float, se: float) -> Self:
        """Estimate with the interval value ± 1.96 standard errors."""
        return cls(float(value), float(se), float(value - Z * se), float(value + Z * se))

    @classmethod
    def bootstrapped(cls, value: float, replicates: FloatArray) -> Self:
        """Estimate with the bootstrap's standard error and percentile interval; NaN replicates are left out."""
        known = replicates[np.isfinite(replicates)]
        if known.size < _LEAST_REPLICATES:
            raise ValueError(
                f"only {known.size} of {replicates.size} bootstrap replicates could be computed, at least "
                f"{_LEAST_REPLICATES} are needed: the data cannot support this estimate"
            )
        lower, upper = np.quantile(known, (0.025, 0.975))
        return cls(float(value), float(known.std(ddof=1)), float(lower), float(upper))

    def __format__(self, spec: str) -> str:
        """Format as ``value (lower to upper)``, each number by `spec`."""
        return f"{self.value:{spec}} ({self.lower:{spec}} to {self.upper:{spec}})"


def bootstrap_counts(strata: npt.ArrayLike, n_replicates: int, rng: np.random.Generator) -> FloatArray:
    """How often each patient is drawn when patients are resampled within strata (Davison & Hinkley 1997, Section 3.2).

    `strata` of shape (patients,); whole numbers as floats, shape (replicates, patients).
    """
    labels = np.asarray(strata)
    counts = np.empty((n_replicates, labels.size))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn = rng.integers(0, members.size, (n_replicates, members.size))
        counts[:, members] = [np.bincount(each, minlength=members.size) for each in drawn]
    return counts


def spline_columns(values: FloatArray, n_knots: int = 4, *, at: FloatArray | None = None) -> FloatArray:
    """Natural cubic spline with 4 or 6 knots at quantiles of `values`, `at` these or other places: (places, knots).

    Linear beyond the outer knots; the columns add up to 1. ValueError if knots coincide.
    """
    first, *inner, last = knots = np.quantile(values, QUANTILES[n_knots])
    spread = float(np.ptp(values))
    if not spread > 0.0 or np.diff(knots).min() < 1e-9 * spread:
        raise ValueError(f"a curve with {n_knots} knots needs predictions that differ: their quantiles coincide")
    return np.asarray(cr(values if at is None else at, knots=inner, lower_bound=first, upper_bound=last), np.float64)


def curve_places(values: FloatArray) -> FloatArray:
    """Where a smooth curve is drawn: over the central 98 % of `values`."""
    first, last = np.quantile(values, (0.01, 0.99))
    return np.linspace(float(first), float(last), 101)


def last_coefficient(columns: FloatArray, outcome: FloatArray, *, offset: FloatArray | None = None) -> Estimate:
    """The last coefficient of one logistic regression, its standard error from the information; as `fit_replicates`."""
    (beta,) = fit_replicates(columns, outcome, offset=offset)
    if np.isnan(beta).any():
        return Estimate.normal(np.nan, np.nan)
    probability = expit(columns @ beta + (0.0 if offset is None else offset))
    information = (columns.T * (probability * (1.0 - probability))) @ columns
    return Estimate.normal(beta[-1], np.sqrt(np.linalg.inv(information)[-1, -1]))


class RiskCalibration(NamedTuple):
    """How well predicted risks agree with what happened, or with true risks (an exact number is its own interval).

    `intercept` is what to add to the predicted log odds: 0 if calibrated, above 0 if risk is understated. `slope`, of
    the predicted log odds, is 1 if calibrated, below 1 if risks are predicted too far apart. `ici` (a probability) is
    never negative, so above 0 for a perfect model as well, on average `ici_if_right` (with its Monte Carlo standard
    error). It has no interval: a bootstrap adds that bias a second time (`rates` shows it by `ici_replicates`).
    `curve` has the columns `predicted` (the central 98 %), `observed` (smooth), `lower`, `upper` (pointwise 95 %
    bootstrap interval).
    """

    intercept: Estimate
    slope: Estimate
    ici: float
    ici_if_right: Estimate
    ici_replicates: FloatArray
    curve: pd.DataFrame


def calibrate_risk(
    outcome: npt.ArrayLike, risk: npt.ArrayLike, *, strata: npt.ArrayLike, n_bootstrap: int = 200, seed: int
) -> RiskCalibration:
    """Hold predicted risks against outcomes (0/1); all arrays have shape (patients,).

    `risk` is the predicted probability, inside (0, 1), of the event under the treatment the patient had. Patients are
    resampled within `strata` (the arms). The predictions stay as they are: the intervals are about the outcomes, not
    about fitting the model anew.
    """
    y = zeros_and_ones("outcome", outcome)
    p = one_per_patient("risk", risk, y.size)
    if y.min() == y.max():
        raise ValueError(f"all outcomes are {y[0]:g}, but both must occur: otherwise there is nothing to calibrate")
    outside = (p <= 0.0) | (p >= 1.0)
    if outside.any():
        raise ValueError(f"risk must lie inside (0, 1), but is {p[outside][0]:g}: give probabilities, not percentages")
    rng = np.random.default_rng(seed)
    # Row 0 is the trial itself.
    weights = np.vstack([np.ones(y.size), bootstrap_counts(strata, n_bootstrap, rng)])
    intercepts, slopes, icis, curve = _calibrations(y, p, weights)
    simulated = (rng.random((n_bootstrap, y.size)) < p).astype(np.float64)
    columns = spline_columns(logit(p))
    right = _distances(columns, fit_replicates(columns, simulated), p).mean(axis=1)
    right = right[np.isfinite(right)]
    if_right = Estimate.normal(right.mean(), right.std(ddof=1) / np.sqrt(right.size))
    intercept, slope = (Estimate.bootstrapped(each[0], each[1:]) for each in (intercepts, slopes))
    return RiskCalibration(intercept, slope, float(icis[0]), if_right, icis[1:], curve)


def calibrate_risk_against_truth(true_risk: FloatArray, risk: FloatArray) -> RiskCalibration:
    """Hold predicted risks against true ones in place of outcomes; shape (patients,) each, inside (0, 1)."""
    intercept, slope, ici, curve = _calibrations(true_risk, risk, np.ones((1, risk.size)))
    exact, slope_exact, right = (Estimate.normal(number, 0.0) for number in (intercept[0], slope[0], 0.0))
    return RiskCalibration(exact, slope_exact, float(ici[0]), right, np.empty(0), curve)


def _calibrations(
    y: FloatArray, risk: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, pd.DataFrame]:
    """Intercepts (slope fixed at 1), slopes and ICIs, shape (replicates,) each; and the curve."""
    log_odds = logit(risk)
    line = np.column_stack([np.ones(y.size), log_odds])
    intercept = fit_replicates(line[:, :1], y, offset=log_odds, weights=weights)[:, 0]
    slope = fit_replicates(line, y, weights=weights)[:, 1]
    columns = spline_columns(log_odds)
    coefficients = fit_replicates(columns, y, weights=weights)
    ici = (_distances(columns, coefficients, risk) * weights).mean(axis=1)
    at = curve_places(log_odds)
    curves = expit(coefficients @ spline_columns(log_odds, at=at).T)
    lower, upper = np.nanquantile(curves[1:] if len(curves) > 1 else curves, (0.025, 0.975), axis=0)
    curve = pd.DataFrame({"predicted": expit(at), "observed": curves[0], "lower": lower, "upper": upper})
    return intercept, slope, ici, curve


def _distances(columns: FloatArray, coefficients: FloatArray, risk: FloatArray) -> FloatArray:
    """Distance of each curve from each patient's predicted risk, shape (curves, patients)."""
    return np.asarray(np.abs(expit(coefficients @ columns.T) - risk))
