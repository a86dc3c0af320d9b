"""Calibration of predicted risks: whether as many patients bleed as predicted, at every level of predicted risk.

Three questions of increasing strictness (Van Calster et al. 2016): the average (*intercept*), the spread (*slope*), and
the whole curve (*integrated calibration index*: mean absolute distance of the smooth calibration curve from the
diagonal; Austin & Steyerberg 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit, logit

from hte_utils.calibration.bootstrap import Estimate, bootstrap_counts
from hte_utils.calibration.natural_spline import NaturalSpline
from hte_utils.calibration.replicated_logistic import fit_logistic
from hte_utils.trial_checks import FloatArray

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
    y, p = _checked(outcome, risk)
    rng = np.random.default_rng(seed)
    groups = np.zeros(y.size) if strata is None else np.asarray(strata)
    # Row 0 is the trial itself.
    weights = np.vstack([np.ones(y.size), bootstrap_counts(groups, n_bootstrap, rng)])
    log_odds = logit(p)
    ones = np.ones((y.size, 1))
    intercept = fit_logistic(ones, y, offset=log_odds, weights=weights)[:, 0]
    slope = fit_logistic(np.column_stack([ones, log_odds]), y, weights=weights)[:, 1]
    curve = _SmoothCurve.of(log_odds)
    coefficients = fit_logistic(curve.columns, y, weights=weights)
    simulated = (rng.random((n_bootstrap, y.size)) < p).astype(np.float64)
    as_calibrated = curve.distances(fit_logistic(curve.columns, simulated), p)
    known = as_calibrated[np.isfinite(as_calibrated)]
    return RiskCalibration(
        intercept=Estimate.bootstrapped(intercept[0], intercept[1:]),
        slope=Estimate.bootstrapped(slope[0], slope[1:]),
        ici=float(curve.distances(coefficients[:1], p)[0]),
        ici_if_calibrated=float(known.mean()),
        ici_if_calibrated_mcse=float(known.std(ddof=1) / np.sqrt(known.size)),
        observed=float(y.mean()),
        predicted=float(p.mean()),
        curve=curve.table(coefficients),
    )


def bootstrapped_ici(
    outcome: npt.ArrayLike, risk: npt.ArrayLike, strata: npt.ArrayLike, *, n_bootstrap: int = 200, seed: int
) -> FloatArray:
    """ICI of the trial (first) and of its bootstrap replicates, shape (1 + replicates,): not to make an interval of.

    It is here to show why: `hte_utils.calibration.rates` measures how seldom percentiles of it hold the true ICI.
    Parameters and errors are those of `calibrate_risk`.
    """
    y, p = _checked(outcome, risk)
    drawn = bootstrap_counts(strata, n_bootstrap, np.random.default_rng(seed))
    weights = np.vstack([np.ones(y.size), drawn])
    curve = _SmoothCurve.of(logit(p))
    away = np.abs(expit(fit_logistic(curve.columns, y, weights=weights) @ curve.columns.T) - p)
    return np.asarray((away * weights).mean(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class TrueRiskCalibration:
    """The same as `RiskCalibration` where the true risks are known: what it tends to in ever larger trials."""

    intercept: float
    slope: float
    ici: float
    curve: pd.DataFrame


def calibrate_risk_against_truth(true_risk: npt.ArrayLike, risk: npt.ArrayLike) -> TrueRiskCalibration:
    """Hold predicted risks against true ones, which take the place of outcomes.

    `true_risk`, `risk`: True and predicted probability of the event, shape (patients,), inside (0, 1).
    """
    truth, p = np.asarray(true_risk, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    _require_risks(p, truth)
    _require_risks(truth, p)
    log_odds, ones = logit(p), np.ones((p.size, 1))
    curve = _SmoothCurve.of(log_odds)
    coefficients = fit_logistic(curve.columns, truth)
    return TrueRiskCalibration(
        intercept=float(fit_logistic(ones, truth, offset=log_odds)[0, 0]),
        slope=float(fit_logistic(np.column_stack([ones, log_odds]), truth)[0, 1]),
        ici=float(curve.distances(coefficients, p)[0]),
        curve=curve.table(coefficients),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _SmoothCurve:
    """The calibration curve on the log odds: spline columns of the patients' predicted log odds."""

    spline: NaturalSpline
    log_odds: FloatArray
    columns: FloatArray

    @classmethod
    def of(cls, log_odds: FloatArray) -> _SmoothCurve:
        spline = NaturalSpline.of(log_odds)
        return cls(spline, log_odds, spline.columns(log_odds))

    def distances(self, coefficients: FloatArray, risk: FloatArray) -> FloatArray:
        """Mean absolute distance of each curve from the predicted risks, shape (curves,)."""
        return np.asarray(np.abs(expit(coefficients @ self.columns.T) - risk).mean(axis=1))

    def table(self, coefficients: FloatArray) -> pd.DataFrame:
        first, last = (float(end) for end in np.quantile(self.log_odds, _CURVE_RANGE))
        at = np.linspace(first, last, _CURVE_POINTS)
        curves = expit(coefficients @ self.spline.columns(at).T)
        around = curves[1:] if len(curves) > 1 else curves
        lower, upper = np.nanquantile(around, (0.025, 0.975), axis=0)
        return pd.DataFrame({"predicted": expit(at), "observed": curves[0], "lower": lower, "upper": upper})


def _checked(outcome: npt.ArrayLike, risk: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    y, p = np.asarray(outcome, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    _require_risks(p, y)
    if not np.isin(y, (0.0, 1.0)).all() or y.min() == y.max():
        raise ValueError("outcome must be 0 or 1, and both must occur: otherwise there is nothing to calibrate")
    return y, p


def _require_risks(risk: FloatArray, others: FloatArray) -> None:
    if risk.ndim != 1 or risk.shape != others.shape:
        raise ValueError(f"risks and outcomes need one value per patient, not the shapes {risk.shape}, {others.shape}")
    outside = ~((risk > 0.0) & (risk < 1.0))
    if outside.any():
        raise ValueError(
            f"risk must lie inside (0, 1), but is {risk[outside][0]!r} at position {int(np.argmax(outside))}: "
            "give probabilities, not percentages"
        )
