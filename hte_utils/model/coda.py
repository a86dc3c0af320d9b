"""The statistics of R's coda, for any number of series at once: Tables 4, 5 and 6.

Arrays have the shape (..., chains, draws), or (..., draws) where chains are not compared; all axes before are a
batch. R's coda is the reference: `tests/reference/coda_values.R`.

The spectral density at frequency zero is that of an autoregressive model, ``v / (1 - sum(phi))**2``, fitted by
Yule-Walker with the order chosen by AIC (Heidelberger & Welch 1981; the defaults of R's ``ar``). statsmodels has no
such fit for a batch.
"""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import chi2
from scipy.stats import f as f_distribution

if TYPE_CHECKING:
    from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]

_ROUNDING: Final = 1e-12
"""A series that varies by less than this, relative to its largest value, is constant but for rounding."""
_SMALLEST_EIGENVALUE: Final = 1e-10
"""Below this a within-chain correlation matrix is singular: a parameter is a linear function of others."""
_F_IS_CHI_SQUARED: Final = 4e5
"""From this many denominator degrees of freedom on, R's ``qf`` takes the chi-squared limit: up to 1e-5 less."""
_LIMIT_LEVEL: Final = 0.975
"""*Upper C.I.* is the upper end of a two-sided 95 % interval."""


def is_constant(series: FloatArray) -> NDArray[np.bool_]:
    """Tell which series (..., draws) do not vary, beyond rounding."""
    constant: NDArray[np.bool_] = np.ptp(series, axis=-1) <= _ROUNDING * np.abs(series).max(axis=-1)
    return constant


def spectrum_at_zero(series: FloatArray) -> tuple[FloatArray, NDArray[np.int64]]:
    """Spectral density at frequency zero and the order that AIC chose, as coda's ``spectrum0.ar``.

    Notes
    -----
    Orders up to ``floor(10 * log10(n))`` are tried. The autocovariances divide by ``n``; the innovation variance of
    order ``k`` is multiplied by ``n / (n - k - 1)``. A constant or straight-line series gets density 0 and order 0,
    as in coda, which however judges by an absolute residual SD of 1.5e-8: here the unit of a parameter plays no part.
    """
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
    return np.where(degenerate, 0.0, density[..., 0]), np.where(degenerate, 0, order[..., 0])


def _is_straight_line(series: FloatArray, centred: FloatArray) -> NDArray[np.bool_]:
    """Tell which series are a straight line in time (a constant among them)."""
    n = series.shape[-1]
    time = np.arange(n) - (n - 1) / 2
    slope = np.vecdot(centred, time) / np.vecdot(time, time)
    residual = centred - slope[..., np.newaxis] * time
    straight: NDArray[np.bool_] = np.abs(residual).max(axis=-1) <= _ROUNDING * np.abs(series).max(axis=-1)
    return straight


def _yule_walker(autocovariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Innovation variance and sum of the coefficients for every order, by the Levinson-Durbin recursion.

    ``autocovariance`` has lags 0..p along its last axis; both results have orders 0..p there.
    """
    variance, coefficient_sum = np.empty_like(autocovariance), np.zeros_like(autocovariance)
    variance[..., 0] = autocovariance[..., 0]
    phi = np.zeros((*autocovariance.shape[:-1], 0))
    for order in range(1, autocovariance.shape[-1]):
        explained = np.vecdot(phi, autocovariance[..., order - 1 : 0 : -1]) if order > 1 else 0.0
        reflection = ((autocovariance[..., order] - explained) / variance[..., order - 1])[..., np.newaxis]
        phi = np.concatenate([phi - reflection * phi[..., ::-1], reflection], axis=-1)
        variance[..., order] = variance[..., order - 1] * (1.0 - reflection[..., 0] ** 2)
        coefficient_sum[..., order] = phi.sum(axis=-1)
    return variance, coefficient_sum


def time_series_se(chains: FloatArray) -> FloatArray:
    """Column *Time.series.SE* of Table 4: standard error of the pooled mean that allows for autocorrelation.

    The root of the chains' mean spectral density at zero over the number of all draws, as coda's ``summary.mcmc.list``.
    """
    density, _ = spectrum_at_zero(chains)
    error: FloatArray = np.sqrt(density.mean(axis=-1) / (chains.shape[-2] * chains.shape[-1]))
    return error


def effective_size(chains: FloatArray) -> FloatArray:
    """Sum over chains of ``n * variance / density``, as coda's ``effectiveSize``; a chain of density 0 adds nothing."""
    density, _ = spectrum_at_zero(chains)
    ratio = np.divide(chains.var(axis=-1, ddof=1), density, out=np.zeros_like(density), where=density > 0)
    size: FloatArray = chains.shape[-1] * ratio.sum(axis=-1)
    return size


def geweke_windows(draws: int, thin: int = 1) -> tuple[slice, slice]:
    """The first tenth and the last half of the draws, which Geweke's z compares.

    coda rounds their bounds outwards to whole *iterations*: of 1000 draws the first 101 and the last 501 are compared
    when every iteration was kept, the first 100 and the last 500 when every tenth was.
    """
    span = thin * (draws - 1)
    slack = 1e-9  # undoes rounding such as 0.1 * 30 = 3.0000000000000004
    early = slice(0, 1 + ceil(0.1 * span - slack) // thin)
    late = slice(-(floor(0.5 * span + slack) // -thin), draws)
    return early, late


def geweke_z(series: FloatArray, thin: int = 1) -> FloatArray:
    """Geweke's z (1992), Table 6: difference between the means of the early and late draws, over its standard error.

    Parameters
    ----------
    thin
        Iterations between draws; it moves the windows by a draw at most, see `geweke_windows`.

    Raises
    ------
    ValueError
        If a series is constant in both windows.
    """
    early, late = (series[..., window] for window in geweke_windows(series.shape[-1], thin))
    variance = sum((spectrum_at_zero(part)[0] / part.shape[-1] for part in (early, late)), start=np.float64(0))
    if not (variance > 0).all():
        where = tuple(int(i) for i in np.argwhere(np.atleast_1d(variance) == 0)[0])
        raise ValueError(f"the series at index {where} does not vary in either window: leave it out")
    z: FloatArray = (early.mean(axis=-1) - late.mean(axis=-1)) / np.sqrt(variance)
    return z


def second_half(draws: int, first_iteration: int = 1, thin: int = 1) -> slice:
    """The draws that coda's ``gelman.diag(autoburnin = TRUE)`` keeps.

    Those after half of the *last iteration number*. Chains that start later than that, because a burn-in has been
    discarded already, are kept whole: with 1000 draws the setting matters when sampling starts at iteration 1, not at
    1001.
    """
    last_iteration = first_iteration + thin * (draws - 1)
    if first_iteration >= last_iteration / 2:
        return slice(0, draws)
    return slice(ceil((last_iteration / 2 + 1 - first_iteration) / thin), draws)


def scale_reduction(chains: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gelman and Rubin's potential scale reduction factor, Table 5: *Point est.* and *Upper C.I.*, each of shape (...).

    With the correction ``(d + 3) / (d + 1)`` of Brooks & Gelman (1998). In the limit, the ratio of the between-chain
    to the within-chain variance is replaced by its quantile under an F distribution (Gelman & Rubin 1992, section 3.7).

    Raises
    ------
    ValueError
        If there are fewer than two chains, all are constant, or they are copies of each other.
    """
    chain_variance = _chain_variance(chains)
    n, m = chains.shape[-1], chains.shape[-2]
    within, mean = chain_variance.mean(axis=-1), chains.mean(axis=-1)
    between = n * mean.var(axis=-1, ddof=1)
    correction, within_freedom = _degrees_of_freedom(within, between, chain_variance, mean, n)
    random_part = (1 + 1 / m) * between / (n * within)
    quantile = np.where(
        within_freedom > _F_IS_CHI_SQUARED,
        chi2.ppf(_LIMIT_LEVEL, m - 1) / (m - 1),
        f_distribution.ppf(_LIMIT_LEVEL, m - 1, within_freedom),
    )
    fixed = (n - 1) / n
    return np.sqrt(correction * (fixed + random_part)), np.sqrt(correction * (fixed + quantile * random_part))


def multivariate_scale_reduction(chains: FloatArray) -> FloatArray:
    """Multivariate factor of Brooks & Gelman (1998) as coda has it, caption of Table 5.

    Parameters
    ----------
    chains
        Shape (..., parameters, chains, draws).

    coda weights the largest eigenvalue by ``1 + 1/parameters`` where the paper (lemma 2) has ``1 + 1/chains``.

    Raises
    ------
    ValueError
        As `scale_reduction`; if there are fewer than two parameters, or one is a linear function of others.
    """
    if chains.ndim < 3 or chains.shape[-3] < 2:
        raise ValueError(f"an array of shape {chains.shape} has not two parameters: use scale_reduction")
    within_variance = _chain_variance(chains).mean(axis=-1)
    p, m, n = chains.shape[-3:]
    # Parameters on their within-chain scale: the factor does not depend on units, but the test for singularity would.
    scaled = (chains - chains.mean(axis=(-2, -1), keepdims=True)) / np.sqrt(within_variance)[..., None, None]
    means = scaled.mean(axis=-1)
    deviations = (scaled - means[..., None]).reshape(*scaled.shape[:-2], m * n)
    within = deviations @ np.swapaxes(deviations, -1, -2) / (m * (n - 1))
    centred_means = means - means.mean(axis=-1, keepdims=True)
    between_over_n = centred_means @ np.swapaxes(centred_means, -1, -2) / (m - 1)
    if (np.linalg.eigvalsh(within)[..., 0] < _SMALLEST_EIGENVALUE).any():
        raise ValueError(
            "the within-chain covariance matrix is singular: a parameter is a linear function of others (as te_gender "
            "is of b_trt and re_trt), or there are more parameters than draws; leave such parameters out"
        )
    root = np.linalg.cholesky(within)
    half = np.linalg.solve(root, between_over_n)
    largest = np.linalg.eigvalsh(np.linalg.solve(root, np.swapaxes(half, -1, -2)))[..., -1]
    factor: FloatArray = np.sqrt((n - 1) / n + (1 + 1 / p) * largest)
    return factor


def _chain_variance(chains: FloatArray) -> FloatArray:
    if chains.ndim < 2 or chains.shape[-2] < 2:
        raise ValueError(f"an array of shape {chains.shape} has not two chains along axis -2: run at least two chains")
    variance: FloatArray = chains.var(axis=-1, ddof=1)
    if not (variance.mean(axis=-1) > 0).all():
        raise ValueError("the chains of a quantity are all constant: leave a quantity that does not vary out")
    if not np.ptp(variance, axis=-1).all():
        raise ValueError("the chains of a quantity have exactly equal variances: are they copies, run with one seed?")
    return variance


def _degrees_of_freedom(
    within: FloatArray, between: FloatArray, chain_variance: FloatArray, mean: FloatArray, n: int
) -> tuple[FloatArray, FloatArray]:
    """The correction ``(d + 3) / (d + 1)`` for estimating the scale, and the degrees of freedom of W.

    Both match moments: a variance estimate with mean ``V`` and sampling variance ``var(V)`` has ``2 V**2 / var(V)``
    degrees of freedom (Gelman & Rubin 1992, section 3.5). The sampling variances come from the spread over the chains.
    """
    m = mean.shape[-1]
    # The covariances of s2 with the mean and the squared mean cancel for a common shift: means about the grand mean.
    deviation = mean - mean.mean(axis=-1, keepdims=True)
    variance_deviation = chain_variance - within[..., None]
    var_within = np.square(variance_deviation).sum(axis=-1) / (m - 1) / m
    var_between = 2 * between**2 / (m - 1)
    cov_within_between = n / m * (variance_deviation * deviation**2).sum(axis=-1) / (m - 1)
    total = (n - 1) / n * within + (1 + 1 / m) * between / n
    var_total = (
        (n - 1) ** 2 * var_within + (1 + 1 / m) ** 2 * var_between + 2 * (n - 1) * (1 + 1 / m) * cov_within_between
    ) / n**2
    freedom = 2 * total**2 / var_total
    return (freedom + 3) / (freedom + 1), 2 * within**2 / var_within
