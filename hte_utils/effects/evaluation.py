"""How well estimated effects agree with the true ones: Table 7, and what a correlation does not show.

All numbers are on the scale of the effects that are handed in (the paper: log odds ratios; positive = harm), each with
its Monte Carlo standard error, found as `monte_carlo` describes.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hte_utils.effects.monte_carlo import draws_matrix, jackknife_summaries, standard_multipliers
from hte_utils.model.checks import FloatArray, one_per_patient, require_probability


class Metric(NamedTuple):
    """A number computed from posterior draws, and its Monte Carlo standard error: its SD over runs of the sampler."""

    value: float
    mcse: float


class PointMetrics(NamedTuple):
    """Agreement of predicted with true effects, without regard to uncertainty; NaN is what is not defined.

    `bias` is the mean of predicted minus true, `bias_share` the share of the mean squared error that is squared bias.
    Calibration is the least squares line of true on predicted effects: slope 1 and intercept 0 if calibrated, a slope
    below 1 if effects are predicted too far apart.
    """

    correlation: float
    rmse: float
    mae: float
    bias: float
    bias_share: float
    calibration_slope: float
    calibration_intercept: float


class CateEvaluation(NamedTuple):
    """Agreement of a posterior of CATEs with the true CATEs (Table 7 holds the first four).

    Those of `PointMetrics`, of the posterior means, and `coverage`: the share of patients whose true effect lies in
    their central credible interval, ends included. It jumps by whole patients, so near 0 or 1 it is skewed over runs.
    """

    correlation: Metric
    rmse: Metric
    mae: Metric
    coverage: Metric
    bias: Metric
    bias_share: Metric
    calibration_slope: Metric
    calibration_intercept: Metric

    def metrics(self) -> dict[str, Metric]:
        """The metrics by name."""
        return self._asdict()


def point_metrics(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> PointMetrics:
    """Compare predicted with true effects, both of shape (patients,)."""
    predicted = one_per_patient("predicted", predicted)
    truth = one_per_patient("truth", truth, predicted.size)
    return PointMetrics(**{name: float(values[0]) for name, values in _agreement(predicted[None], truth).items()})


def evaluate_cate(
    draws: npt.ArrayLike, truth: npt.ArrayLike, *, interval: float = 0.95, n_replicates: int = 400, seed: int = 1
) -> CateEvaluation:
    """Compare posterior draws of the CATE, shape (chain, draw, patient), with the true CATE, shape (patient,).

    `interval`: probability of the credible interval; `n_replicates` and `seed` decide the Monte Carlo errors alone.
    """
    require_probability("interval", interval)
    matrix, edges = draws_matrix(draws)
    truth = one_per_patient("truth", truth, matrix.shape[1])
    multipliers = standard_multipliers(edges, n_replicates, seed)
    summaries = jackknife_summaries(matrix, interval, edges)
    mean, lower, upper = (summaries[name].replicates(multipliers) for name in ("mean", "lower", "upper"))
    found = _agreement(mean, truth)
    found["coverage"] = ((lower <= truth) & (truth <= upper)).mean(axis=1)
    return CateEvaluation(**{name: Metric(float(each[0]), float(each[1:].std(ddof=1))) for name, each in found.items()})


def _agreement(predicted: FloatArray, truth: FloatArray) -> dict[str, FloatArray]:
    """The metrics of `PointMetrics`, each of shape (replicates,), of predictions of shape (replicates, patients)."""
    error = predicted - truth
    bias, mean_square = error.mean(axis=1), np.square(error).mean(axis=1)
    x, y = _centred(predicted), _centred(truth)
    products, squares = x @ y, np.square(x).sum(axis=1)
    slope = _ratio(products, squares)
    return {
        "correlation": _ratio(products, np.sqrt(squares * np.square(y).sum())),
        "rmse": np.sqrt(mean_square),
        "mae": np.abs(error).mean(axis=1),
        "bias": bias,
        "bias_share": _ratio(np.square(bias), mean_square),
        "calibration_slope": slope,
        "calibration_intercept": truth.mean() - slope * predicted.mean(axis=1),
    }


def _centred(values: FloatArray) -> FloatArray:
    """Deviations from the mean over patients; exactly 0 where rounding is all there is (a constant)."""
    centred = values - values.mean(axis=-1, keepdims=True)
    constant = np.ptp(values, axis=-1, keepdims=True) == 0.0
    return np.where(constant, 0.0, centred)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    undefined = denominator == 0.0
    return np.where(undefined, math.nan, numerator / np.where(undefined, 1.0, denominator))
