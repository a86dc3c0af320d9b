"""Diagnostics of a posterior: what R's coda prints (Tables 4 to 6), and what is used today (ArviZ's).

The labelled functions take a DataTree with a group ``posterior``, or a Dataset, whose variables have the dims ``chain``
and ``draw``; further dims are spread out into scalars, as in ``te_group[Male]``. Their tables have one row a parameter.

coda's statistics take arrays of shape (..., chains, draws), or (..., draws) where chains are not compared. Their
reference is R's coda itself: `tests/reference/coda_values.R`.
"""

from __future__ import annotations

from importlib import import_module
from itertools import product
from math import ceil, floor, log10, prod
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from hte_utils.model.checks import FloatArray, IntArray

Posterior = xr.DataTree | xr.Dataset

PARAMETER: Final = "parameter"
MINIMUM_DRAWS: Final = 10
"""The shortest chain that is analysed: below it an autoregression is guesswork."""
_SAMPLE_DIMS: Final = ("chain", "draw")
_BATCHES: Final = 10
_ROUNDING: Final = 1e-12
"""A series that varies by less than this, relative to its largest value, is constant but for rounding."""
_F_IS_CHI_SQUARED: Final = 4e5
"""From this many denominator degrees of freedom on, R's ``qf`` takes the chi-squared limit: up to 1e-5 less."""
_LIMIT_LEVEL: Final = 0.975
"""*Upper C.I.* is the upper end of a two-sided 95 % interval."""


def scalar_draws(posterior: Posterior) -> xr.DataArray:
    """Spread a posterior out into scalars, dims (parameter, chain, draw), in the order of its variables.

    Raises ``ValueError`` if a variable lacks ``chain`` or ``draw``, or a chain is too short, constant or not finite.
    """
    dataset = posterior["posterior"].to_dataset() if isinstance(posterior, xr.DataTree) else posterior
    labels: list[str] = []
    arrays: list[FloatArray] = []
    for name, variable in dataset.data_vars.items():
        if not set(_SAMPLE_DIMS) <= set(variable.dims):
            raise ValueError(f"variable {name!r} has the dims {variable.dims}, not 'chain' and 'draw': leave it out")
        other = [str(dim) for dim in variable.dims if dim not in _SAMPLE_DIMS]
        levels = product(*(variable[dim].to_numpy() for dim in other))  # without other dims, one empty level
        labels += [f"{name}[{', '.join(map(str, level))}]" if level else str(name) for level in levels]
        ordered = variable.transpose(*other, *_SAMPLE_DIMS)
        arrays.append(ordered.to_numpy().astype(np.float64).reshape(prod(ordered.shape[:-2]), *ordered.shape[-2:]))
    values = np.concatenate(arrays)
    chains = dataset["chain"].to_numpy()  # 0, 1, ... where the dataset has no coordinate
    _require_sound(values, labels, chains)
    return xr.DataArray(
        values,
        dims=(PARAMETER, *_SAMPLE_DIMS),
        coords={PARAMETER: labels, "chain": chains, "draw": dataset["draw"].to_numpy()},
        name="draws",
    )


def _require_sound(values: FloatArray, labels: list[str], chains: NDArray[Any]) -> None:
    """Refuse chains without diagnostics by their names; the array layer could only give an index."""

    def first(bad: NDArray[np.bool_]) -> str:
        parameter, chain = np.argwhere(bad)[0]
        return f"parameter {labels[parameter]!r}, chain {chains[chain]}"

    if values.shape[-2] == 0 or values.shape[-1] < MINIMUM_DRAWS:
        raise ValueError(
            f"the posterior has {values.shape[-2]} chains of {values.shape[-1]} draws: at least one chain of "
            f"{MINIMUM_DRAWS} draws is needed; sample longer"
        )
    unsound = ~np.isfinite(values).all(axis=-1)
    if unsound.any():
        raise ValueError(
            f"{first(unsound)} holds NaN or infinite draws: diagnostics need finite draws; find out why the sampler "
            "made them, or leave that chain out"
        )
    constant = is_constant(values)
    if constant.any():
        raise ValueError(
            f"{first(constant)} does not vary: a fixed quantity has no diagnostics, leave it out; a chain that should "
            "vary is stuck"
        )


def summary_statistics(posterior: Posterior) -> pd.DataFrame:
    """Table 4 as coda's ``summary``: columns ``mean``, ``sd`` (n-1), ``naive_se``, ``time_series_se``."""
    draws = scalar_draws(posterior)
    values = draws.to_numpy()
    pooled = values.reshape(len(values), -1)
    mean, sd = pooled.mean(axis=-1), pooled.std(axis=-1, ddof=1)
    naive_se = sd / np.sqrt(pooled.shape[-1])
    return _table(draws, mean=mean, sd=sd, naive_se=naive_se, time_series_se=time_series_se(values))


def gelman_rubin(posterior: Posterior) -> pd.DataFrame:
    """Table 5 as coda's ``gelman.diag`` on full chains: columns ``point`` and ``upper`` of `scale_reduction`."""
    draws = scalar_draws(posterior)
    point, upper = scale_reduction(draws.to_numpy())
    return _table(draws, point=point, upper=upper)


def modern_diagnostics(posterior: Posterior) -> pd.DataFrame:
    """Today's diagnostics by ArviZ (Vehtari et al. 2021).

    Columns ``r_hat`` (rank-normalised, split, the larger of bulk and folded; NaN for one chain), ``ess_bulk``,
    ``ess_tail`` (effective draws), ``mcse_mean`` and ``mcse_sd`` (in the parameter's unit).
    """
    arviz_stats: Any = import_module("arviz_stats")  # takes seconds, and coda's statistics do not need it
    draws = scalar_draws(posterior)
    dataset = draws.to_dataset()
    columns = {
        "r_hat": arviz_stats.rhat(dataset, method="rank"),
        "ess_bulk": arviz_stats.ess(dataset, method="bulk"),
        "ess_tail": arviz_stats.ess(dataset, method="tail"),
        "mcse_mean": arviz_stats.mcse(dataset, method="mean"),
        "mcse_sd": arviz_stats.mcse(dataset, method="sd"),
    }
    return _table(draws, **{name: result["draws"].to_numpy() for name, result in columns.items()})


def energy_diagnostics(posterior: xr.DataTree) -> pd.DataFrame:
    """E-BFMI of every chain by ArviZ (Betancourt 2016); below 0.3 is a warning.

    One row a chain; columns ``e_bfmi`` and its Monte Carlo standard error ``mcse``, from batches of the chain. Raises
    ``ValueError`` if the tree holds no energies: the draws do not come from a Hamiltonian sampler.
    """
    if "sample_stats" not in posterior.children or "energy" not in posterior["sample_stats"].data_vars:
        raise ValueError("no 'energy' in the group 'sample_stats': E-BFMI exists for Hamiltonian samplers only")
    energy = posterior["sample_stats"]["energy"].transpose("chain", "draw")
    bfmi, size = import_module("arviz_stats").bfmi, energy.sizes["draw"] // _BATCHES
    batches = energy[:, : size * _BATCHES].to_numpy().reshape(-1, size)
    mcse = np.asarray(bfmi(batches)).reshape(-1, _BATCHES).std(axis=1, ddof=1) / np.sqrt(_BATCHES)
    found = {"e_bfmi": np.asarray(bfmi(energy.to_numpy())), "mcse": mcse}
    return pd.DataFrame(found, index=pd.Index(energy["chain"].to_numpy(), name="chain"))


def _table(draws: xr.DataArray, **columns: FloatArray) -> pd.DataFrame:
    labels = pd.Index([str(label) for label in draws[PARAMETER].to_numpy()], name=PARAMETER)
    return pd.DataFrame(columns, index=labels)


# --- R's coda -----------------------------------------------------------------------------------------------------


def is_constant(series: FloatArray) -> NDArray[np.bool_]:
    """Which series (..., draws) do not vary, beyond rounding."""
    constant: NDArray[np.bool_] = np.ptp(series, axis=-1) <= _ROUNDING * np.abs(series).max(axis=-1)
    return constant


def spectrum_at_zero(series: FloatArray) -> tuple[FloatArray, IntArray]:
    """Spectral density at frequency zero and the order of the autoregression, as coda's ``spectrum0.ar``.

    That of an autoregressive model, ``v / (1 - sum(phi))**2``, by Yule-Walker with the order that AIC chooses up to
    ``floor(10 * log10(n))`` (Heidelberger & Welch 1981; statsmodels has no such fit for a batch). The autocovariances
    divide by ``n``; the innovation variance of order ``k`` is multiplied by ``n / (n - k - 1)``, as in R's ``ar``. A
    constant or straight-line series gets density 0 and order 0, as in coda, which however judges by an absolute
    residual SD of 1.5e-8: here the unit of a parameter plays no part.
    """
    n = series.shape[-1]
    largest_order = min(n - 1, floor(10 * log10(n)))
    centred = series - series.mean(axis=-1, keepdims=True)
    autocovariance = np.stack(
        [np.vecdot(centred[..., : n - lag], centred[..., lag:]) / n for lag in range(largest_order + 1)], axis=-1
    )
    time = np.arange(n) - (n - 1) / 2
    slope = np.vecdot(centred, time) / np.vecdot(time, time)
    off_the_line = np.abs(centred - slope[..., np.newaxis] * time).max(axis=-1)
    degenerate = off_the_line <= _ROUNDING * np.abs(series).max(axis=-1)
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


def _yule_walker(autocovariance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Levinson-Durbin: innovation variance and sum of the coefficients for the orders 0..p, from the lags 0..p."""
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
    """Column *Time.series.SE* of Table 4: root of the chains' mean spectral density at zero over all draws."""
    density, _ = spectrum_at_zero(chains)
    error: FloatArray = np.sqrt(density.mean(axis=-1) / (chains.shape[-2] * chains.shape[-1]))
    return error


def geweke_windows(draws: int, thin: int = 1) -> tuple[slice, slice]:
    """First tenth and last half of the draws; coda rounds outwards to *iterations*, which lie `thin` to a draw."""
    span = thin * (draws - 1)
    slack = 1e-9  # undoes rounding such as 0.1 * 30 = 3.0000000000000004
    early = slice(0, 1 + ceil(0.1 * span - slack) // thin)
    late = slice(-(floor(0.5 * span + slack) // -thin), draws)
    return early, late


def geweke_z(series: FloatArray, thin: int = 1) -> FloatArray:
    """Geweke's z (1992), Table 6: difference between the means of the early and late draws, over its standard error.

    `thin`, the iterations between draws, moves the windows by a draw at most (`geweke_windows`). Raises ``ValueError``
    if a series is constant in both windows.
    """
    early, late = (series[..., window] for window in geweke_windows(series.shape[-1], thin))
    variance = sum((spectrum_at_zero(part)[0] / part.shape[-1] for part in (early, late)), start=np.float64(0))
    if not (variance > 0).all():
        where = tuple(int(i) for i in np.argwhere(np.atleast_1d(variance) == 0)[0])
        raise ValueError(f"the series at index {where} does not vary in either window: leave it out")
    z: FloatArray = (early.mean(axis=-1) - late.mean(axis=-1)) / np.sqrt(variance)
    return z


def scale_reduction(chains: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gelman and Rubin's potential scale reduction factor, Table 5: *Point est.* and *Upper C.I.*, each of shape (...).

    With the correction ``(d + 3) / (d + 1)`` of Brooks & Gelman (1998) for estimating the scale. In the limit, the
    ratio of between-chain to within-chain variance is replaced by its quantile under an F distribution (Gelman &
    Rubin 1992, section 3.7). Raises ``ValueError`` if there are fewer than two chains, all are constant, or copies.
    """
    chain_variance = variance_of_chains(chains)
    n, m = chains.shape[-1], chains.shape[-2]
    within, mean = chain_variance.mean(axis=-1), chains.mean(axis=-1)
    between = n * mean.var(axis=-1, ddof=1)
    # Degrees of freedom match moments: a variance estimate with mean V and sampling variance var(V) has 2 V² / var(V)
    # of them (Gelman & Rubin 1992, section 3.5). The sampling variances come from the spread over the chains.
    # The covariances of s² with the mean and the squared mean cancel for a common shift: means about the grand mean.
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
    correction, within_freedom = (freedom + 3) / (freedom + 1), 2 * within**2 / var_within
    random_part = (1 + 1 / m) * between / (n * within)
    quantile = np.where(
        within_freedom > _F_IS_CHI_SQUARED,
        chi2.ppf(_LIMIT_LEVEL, m - 1) / (m - 1),
        f_distribution.ppf(_LIMIT_LEVEL, m - 1, within_freedom),
    )
    fixed = (n - 1) / n
    return np.sqrt(correction * (fixed + random_part)), np.sqrt(correction * (fixed + quantile * random_part))


def variance_of_chains(chains: FloatArray) -> FloatArray:
    """Variance of each chain, refused where chains cannot be compared; shape (..., chains)."""
    if chains.ndim < 2 or chains.shape[-2] < 2:
        raise ValueError(f"an array of shape {chains.shape} has not two chains along axis -2: run at least two chains")
    variance: FloatArray = chains.var(axis=-1, ddof=1)
    if not (variance.mean(axis=-1) > 0).all():
        raise ValueError("the chains of a quantity are all constant: leave a quantity that does not vary out")
    if not np.ptp(variance, axis=-1).all():
        raise ValueError("the chains of a quantity have exactly equal variances: are they copies, run with one seed?")
    return variance
