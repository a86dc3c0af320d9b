"""What R's coda computes from a series' spectral density at zero, for any number of series at once.

An array holds one series along its last axis; every axis before that is a batch. Nothing here knows labels:
:mod:`hte_utils.diagnostics` puts them on.

The spectral density at frequency zero is that of an autoregressive model, ``v / (1 - sum(phi))**2``, fitted
by Yule-Walker with the order chosen by AIC (Heidelberger & Welch 1981; the defaults of R's ``ar``). From it
follow the time-series standard error and the effective sample size here, and Geweke's z in
:mod:`hte_utils.coda_geweke`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, log10
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MINIMUM_DRAWS: Final = 10
"""The shortest series that is analysed: below it an autoregression is guesswork."""

_ROUNDING: Final = 1e-12
"""A series that varies by less than this, relative to its largest value, is constant but for rounding."""


@dataclass(frozen=True, slots=True)
class SpectrumAtZero:
    """The spectral density of each series at frequency zero, and the autoregressive order behind it.

    Attributes
    ----------
    density
        Shape of the batch; in squared units of the series. Zero where a series is constant or a straight
        line.
    order
        Shape of the batch; the order AIC chose.
    """

    density: NDArray[np.float64]
    order: NDArray[np.int64]


def require_series(values: ArrayLike, minimum_draws: int = MINIMUM_DRAWS) -> NDArray[np.float64]:
    """Return the series as floats, or refuse what has no diagnostics.

    Parameters
    ----------
    values
        Shape (..., draws).
    minimum_draws
        The fewest draws a series may have.

    Returns
    -------
    ndarray of float64
        Shape (..., draws).

    Raises
    ------
    ValueError
        If there is no axis of draws, a series is shorter than ``minimum_draws``, or a draw is NaN or
        infinite.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim == 0 or series.size == 0:
        raise ValueError(f"an array of shape {series.shape} holds no series: give at least one, along the last axis")
    if series.shape[-1] < minimum_draws:
        raise ValueError(
            f"a series of {series.shape[-1]} draws is too short: at least {minimum_draws} are needed; sample longer"
        )
    if not np.isfinite(series).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(series))[0])
        raise ValueError(
            f"the draw at index {where} is {series[where]}: diagnostics need finite draws; "
            "find out why the sampler made it, or leave that chain out"
        )
    return series


def require_count(name: str, value: int) -> None:
    """Refuse what is not a positive whole number.

    Raises
    ------
    ValueError
        If ``value``, called ``name`` in the message, is not a whole number of at least 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}={value!r}: a whole number of at least 1 is needed")


def is_constant(series: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which series do not vary, beyond rounding.

    Parameters
    ----------
    series
        Shape (..., draws).

    Returns
    -------
    ndarray of bool
        Shape of the batch.
    """
    constant: NDArray[np.bool_] = np.ptp(series, axis=-1) <= _ROUNDING * np.abs(series).max(axis=-1)
    return constant


def spectrum_at_zero(values: ArrayLike) -> SpectrumAtZero:
    """Spectral density at frequency zero by an autoregressive fit, as coda's ``spectrum0.ar``.

    Parameters
    ----------
    values
        Shape (..., draws).

    Returns
    -------
    SpectrumAtZero
        Densities and orders with the shape of the batch.

    Raises
    ------
    ValueError
        If a series is too short or not finite.

    Notes
    -----
    Orders up to ``floor(10 * log10(n))`` are tried, at most ``n - 1``. The autocovariances divide by ``n``;
    the innovation variance of order ``k`` is multiplied by ``n / (n - k - 1)``. Like coda, a constant or
    straight-line series gets density 0 and order 0; coda calls a series so when its residual SD is below
    1.5e-8, we when it is negligible relative to the values, so that the unit of a parameter plays no part.
    """
    series = require_series(values)
    n = series.shape[-1]
    largest_order = min(n - 1, floor(10 * log10(n)))
    centred = series - series.mean(axis=-1, keepdims=True)
    autocovariance = np.stack(
        [np.vecdot(centred[..., : n - lag], centred[..., lag:]) / n for lag in range(largest_order + 1)], axis=-1
    )
    degenerate = _is_straight_line(series, centred)
    # A stand-in that keeps the recursion finite; its result is overwritten below.
    autocovariance[degenerate] = np.eye(1, largest_order + 1)
    variance, coefficient_sum = _yule_walker(autocovariance)

    orders = np.arange(largest_order + 1)
    order = np.argmin(n * np.log(variance) + 2 * orders, axis=-1, keepdims=True)
    # Order n - 1 leaves no degree of freedom: its density is infinite, as in R.
    with np.errstate(divide="ignore"):
        innovation = np.take_along_axis(variance * (n / (n - orders - 1.0)), order, axis=-1)
    density = innovation / (1.0 - np.take_along_axis(coefficient_sum, order, axis=-1)) ** 2
    return SpectrumAtZero(
        density=np.where(degenerate, 0.0, density[..., 0]), order=np.where(degenerate, 0, order[..., 0])
    )


def _is_straight_line(series: NDArray[np.float64], centred: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which series are a straight line in time (a constant among them)."""
    n = series.shape[-1]
    time = np.arange(n) - (n - 1) / 2
    slope = np.vecdot(centred, time) / np.vecdot(time, time)
    residual = centred - slope[..., np.newaxis] * time
    straight: NDArray[np.bool_] = np.abs(residual).max(axis=-1) <= _ROUNDING * np.abs(series).max(axis=-1)
    return straight


def _yule_walker(autocovariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Innovation variance and sum of the coefficients for every order, by the Levinson-Durbin recursion.

    ``autocovariance`` has lags 0..p along its last axis; both results have orders 0..p there.
    """
    largest_order = autocovariance.shape[-1] - 1
    variance = np.empty_like(autocovariance)
    coefficient_sum = np.zeros_like(autocovariance)
    variance[..., 0] = autocovariance[..., 0]
    phi = np.zeros((*autocovariance.shape[:-1], 0))
    for order in range(1, largest_order + 1):
        explained = np.vecdot(phi, autocovariance[..., order - 1 : 0 : -1]) if order > 1 else 0.0
        reflection = ((autocovariance[..., order] - explained) / variance[..., order - 1])[..., np.newaxis]
        phi = np.concatenate([phi - reflection * phi[..., ::-1], reflection], axis=-1)
        variance[..., order] = variance[..., order - 1] * (1.0 - reflection[..., 0] ** 2)
        coefficient_sum[..., order] = phi.sum(axis=-1)
    return variance, coefficient_sum


def naive_se(chains: ArrayLike) -> NDArray[np.float64]:
    """Standard error of the pooled mean as if all draws were independent.

    Parameters
    ----------
    chains
        Shape (..., chains, draws).

    Returns
    -------
    ndarray of float64
        Shape (...). Column *Naive.SE* of Table 4.

    Raises
    ------
    ValueError
        If a series is too short or not finite.
    """
    draws = _require_chains(chains)
    pooled = draws.reshape(*draws.shape[:-2], -1)
    error: NDArray[np.float64] = pooled.std(axis=-1, ddof=1) / np.sqrt(pooled.shape[-1])
    return error


def time_series_se(chains: ArrayLike) -> NDArray[np.float64]:
    """Standard error of the pooled mean that allows for autocorrelation within the chains.

    Parameters
    ----------
    chains
        Shape (..., chains, draws).

    Returns
    -------
    ndarray of float64
        Shape (...). Column *Time.series.SE* of Table 4: the root of the chains' mean spectral density at zero
        over the number of all draws, as coda's ``summary.mcmc.list``.

    Raises
    ------
    ValueError
        If a series is too short or not finite.
    """
    draws = _require_chains(chains)
    density = spectrum_at_zero(draws).density
    error: NDArray[np.float64] = np.sqrt(density.mean(axis=-1) / (draws.shape[-2] * draws.shape[-1]))
    return error


def effective_size(chains: ArrayLike) -> NDArray[np.float64]:
    """Number of independent draws worth as much as these for a mean, as coda's ``effectiveSize``.

    Parameters
    ----------
    chains
        Shape (..., chains, draws).

    Returns
    -------
    ndarray of float64
        Shape (...): the sum over chains of ``n * variance / density``; a chain of density 0 adds nothing.

    Raises
    ------
    ValueError
        If a series is too short or not finite.
    """
    draws = _require_chains(chains)
    density = spectrum_at_zero(draws).density
    ratio = np.divide(draws.var(axis=-1, ddof=1), density, out=np.zeros_like(density), where=density > 0)
    size: NDArray[np.float64] = draws.shape[-1] * ratio.sum(axis=-1)
    return size


def _require_chains(chains: ArrayLike) -> NDArray[np.float64]:
    draws = require_series(chains)
    if draws.ndim < 2:
        raise ValueError(f"an array of shape {draws.shape} has no axis of chains: give (..., chains, draws)")
    return draws
