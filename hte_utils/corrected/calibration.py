"""Estimates with their uncertainty, and the bootstrap of a two-armed trial.

Patients are resampled within their arm, so that every replicate has the trial's arm sizes (Davison & Hinkley 1997,
Section 3.2). Replicates are rows of one array: nothing here loops over them.

The smooth curve of every calibration plot here: a natural cubic spline (patsy's `cr`) with Harrell's knots.

Calibration of predicted risks: whether as many patients bleed as predicted, at every level of predicted risk.

Three questions of increasing strictness (Van Calster et al. 2016): the average (*intercept*), the spread (*slope*), and
the whole curve (*integrated calibration index*: mean absolute distance of the smooth calibration curve from the
diagonal; Austin & Steyerberg 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from hte_utils.effects.logistic import expit_in_place, fit_replicates
from hte_utils.model.checks import FloatArray, one_per_patient, zeros_and_ones

_TAIL = 0.025
_NORMAL = 1.959963984540054  # the 97.5 % point of the standard normal distribution
_LEAST_REPLICATES = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number estimated from one trial.

    `value`: The estimate.
    `se`: Its standard error: the spread over repeated trials, not a Monte Carlo error.
    `lower`, `upper`: 95 % confidence interval.
    """

    value: float
    se: float
    lower: float
    upper: float

    @classmethod
    def normal(cls, value: float, se: float) -> Self:
        """Estimate with the interval value ± 1.96 standard errors."""
        return cls(float(value), float(se), float(value - _NORMAL * se), float(value + _NORMAL * se))

    @classmethod
    def bootstrapped(cls, value: float, replicates: FloatArray) -> Self:
        """Estimate with the bootstrap's standard error and percentile interval; NaN replicates are left out."""
        known = replicates[np.isfinite(replicates)]
        if known.size < _LEAST_REPLICATES:
            raise ValueError(
                f"only {known.size} of {replicates.size} bootstrap replicates could be computed, at least "
                f"{_LEAST_REPLICATES} are needed: the data cannot support this estimate"
            )
        lower, upper = np.quantile(known, (_TAIL, 1.0 - _TAIL))
        return cls(float(value), float(known.std(ddof=1)), float(lower), float(upper))

    def __format__(self, spec: str) -> str:
        """Format as ``value (lower to upper)``, each number by `spec`."""
        return f"{self.value:{spec}} ({self.lower:{spec}} to {self.upper:{spec}})"


def bootstrap_counts(strata: npt.ArrayLike, n_replicates: int, rng: np.random.Generator) -> FloatArray:
    """How often each patient is drawn when patients are resampled within strata.

    `strata`: Each patient's stratum (the arm), shape (patients,).
    `n_replicates`: At least 20.

    Whole numbers as floats, shape (replicates, patients); within a stratum they add up to its size.
    """
    labels = np.asarray(strata)
    counts = np.empty((n_replicates, labels.size))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn = rng.integers(0, members.size, (n_replicates, members.size))
        cells = drawn + members.size * np.arange(n_replicates)[:, None]
        found = np.bincount(cells.ravel(), minlength=n_replicates * members.size)
        counts[:, members] = found.reshape(n_replicates, members.size)
    return counts


# Harrell (2015), Regression Modeling Strategies, Table 2.3: quantiles for few, and for more, knots.
QUANTILES = {4: (0.05, 0.35, 0.65, 0.95), 6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)}


def spline_columns(values: FloatArray, n_knots: int = 4, *, at: FloatArray | None = None) -> FloatArray:
    """Spline basis with 4 or 6 knots at quantiles of `values`, taken `at` these or other places: (places, knots).

    Linear beyond the outer knots; the columns add up to 1. ValueError if knots coincide.
    """
    from patsy import cr  # takes a while to import, and not every user of the calibration draws a curve

    first, *inner, last = knots = np.quantile(values, QUANTILES[n_knots])
    spread = float(np.ptp(values))
    if not spread > 0.0 or np.diff(knots).min() < 1e-9 * spread:
        raise ValueError(f"a curve with {n_knots} knots needs predictions that differ: their quantiles coincide")
    return np.asarray(cr(values if at is None else at, knots=inner, lower_bound=first, upper_bound=last), np.float64)


def last_coefficient(columns: FloatArray, outcome: FloatArray, *, offset: FloatArray | None = None) -> Estimate:
    """The last coefficient of one regression, with its standard error from the information; NaN as in `fit_replicates`.

    Parameters are those of `fit_replicates`.
    """
    beta = fit_replicates(columns, outcome, offset=offset)[0]
    if not np.isfinite(beta).all():
        return Estimate.normal(np.nan, np.nan)
    probability = expit_in_place(columns @ beta + (0.0 if offset is None else offset))
    information = (columns.T * (probability * (1.0 - probability))) @ columns
    return Estimate.normal(beta[-1], np.sqrt(np.linalg.inv(information)[-1, -1]))


_CURVE_POINTS = 101
_CURVE_RANGE = (0.01, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class RiskCalibration:
    """How well predicted risks agree with what happened.

    `intercept`: Calibration in the large: log odds to add to every prediction. 0 if calibrated, above 0 if risk is
        understated.
    `slope`: Coefficient of the predicted log odds: 1 if calibrated, below 1 if risks are predicted too far apart.
    `ici`: Mean, over the patients, of the absolute difference between the predicted risk and the smooth curve
        (probabilities). Never negative, so an estimate is above 0 for a perfect model as well. It has no interval: a
        bootstrap adds that bias a second time, and its percentiles may exclude their own estimate.
    `ici_if_calibrated`, `ici_if_calibrated_mcse`: What `ici` would be on average if every prediction were the patient's
        true risk: simulated, with the Monte Carlo standard error of the average.
    `observed`, `predicted`: Event rate, and mean predicted risk.
    `curve`: Columns `predicted`, `observed` (the smooth curve), `lower`, `upper` (pointwise 95 % bootstrap interval),
        over the central 98 % of the predictions.
    """

    intercept: Estimate
    slope: Estimate
    ici: float
    ici_if_calibrated: float
    ici_if_calibrated_mcse: float
    observed: float
    predicted: float
    curve: pd.DataFrame


def calibrate_risk(
    outcome: npt.ArrayLike,
    risk: npt.ArrayLike,
    *,
    strata: npt.ArrayLike | None = None,
    n_bootstrap: int = 200,
    seed: int,
) -> RiskCalibration:
    """Hold predicted risks against outcomes.

    `outcome`: 0/1, shape (patients,).
    `risk`: Predicted probability of the event under the treatment the patient had, shape (patients,), inside (0, 1).
    `strata`: Within which patients are resampled (the arms), shape (patients,); all together if None.
    `n_bootstrap`, `seed`: Bootstrap replicates, and what decides them. The predictions stay as they are: the intervals
        are about the outcomes, not about fitting the model anew.
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
    drawn = bootstrap_counts(np.zeros(y.size) if strata is None else strata, n_bootstrap, rng)
    weights = np.vstack([np.ones(y.size), drawn])
    intercept, slope = _lines(y, logit(p), weights)
    columns = spline_columns(logit(p))
    coefficients = fit_replicates(columns, y, weights=weights)
    simulated = (rng.random((n_bootstrap, y.size)) < p).astype(np.float64)
    as_calibrated = _distances(columns, fit_replicates(columns, simulated), p).mean(axis=1)
    known = as_calibrated[np.isfinite(as_calibrated)]
    return RiskCalibration(
        intercept=Estimate.bootstrapped(intercept[0], intercept[1:]),
        slope=Estimate.bootstrapped(slope[0], slope[1:]),
        ici=float(_distances(columns, coefficients[:1], p).mean()),
        ici_if_calibrated=float(known.mean()),
        ici_if_calibrated_mcse=float(known.std(ddof=1) / np.sqrt(known.size)),
        observed=float(y.mean()),
        predicted=float(p.mean()),
        curve=_curve(logit(p), coefficients),
    )


def bootstrapped_ici(
    outcome: npt.ArrayLike, risk: npt.ArrayLike, strata: npt.ArrayLike, *, n_bootstrap: int = 200, seed: int
) -> FloatArray:
    """ICI of the trial (first) and of its bootstrap replicates, shape (1 + replicates,): not to make an interval of.

    It is here to show why: `hte_utils.corrected.rates` measures how seldom percentiles of it hold the true ICI.
    Parameters are those of `calibrate_risk`.
    """
    y, p = np.asarray(outcome, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    weights = np.vstack([np.ones(y.size), bootstrap_counts(strata, n_bootstrap, np.random.default_rng(seed))])
    columns = spline_columns(logit(p))
    return np.asarray((_distances(columns, fit_replicates(columns, y, weights=weights), p) * weights).mean(axis=1))


class TrueRiskCalibration(NamedTuple):
    """As `RiskCalibration`, from known risks: what it tends to in ever larger trials."""

    intercept: float
    slope: float
    ici: float
    curve: pd.DataFrame


def calibrate_risk_against_truth(true_risk: FloatArray, risk: FloatArray) -> TrueRiskCalibration:
    """Hold predicted risks against true ones, which take the place of outcomes; shape (patients,), inside (0, 1)."""
    columns = spline_columns(logit(risk))
    coefficients = fit_replicates(columns, true_risk)
    (intercept,), (slope,) = _lines(true_risk, logit(risk), None)
    ici = float(_distances(columns, coefficients, risk).mean())
    return TrueRiskCalibration(float(intercept), float(slope), ici, _curve(logit(risk), coefficients))


def _lines(y: FloatArray, log_odds: FloatArray, weights: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Intercepts (slope fixed at 1) and slopes, shape (replicates,) each."""
    line = np.column_stack([np.ones(y.size), log_odds])
    intercept = fit_replicates(line[:, :1], y, offset=log_odds, weights=weights)[:, 0]
    return intercept, fit_replicates(line, y, weights=weights)[:, 1]


def _distances(columns: FloatArray, coefficients: FloatArray, risk: FloatArray) -> FloatArray:
    """Distance of each curve from each patient's predicted risk, shape (curves, patients)."""
    return np.asarray(np.abs(expit(coefficients @ columns.T) - risk))


def _curve(log_odds: FloatArray, coefficients: FloatArray) -> pd.DataFrame:
    first, last = (float(end) for end in np.quantile(log_odds, _CURVE_RANGE))
    at = np.linspace(first, last, _CURVE_POINTS)
    curves = expit(coefficients @ spline_columns(log_odds, at=at).T)
    lower, upper = np.nanquantile(curves[1:] if len(curves) > 1 else curves, (0.025, 0.975), axis=0)
    return pd.DataFrame({"predicted": expit(at), "observed": curves[0], "lower": lower, "upper": upper})
