"""Conditional average treatment effects (CATE) and baseline risks of single patients, from posterior draws.

The event is bleeding, so on every scale an effect beyond "no effect" in the positive direction is **harm**: a log odds
ratio above 0, a risk difference above 0, a risk ratio above 1.

Two ways lead to the result. `cate_draws` and `baseline_risk_draws` give the whole labelled matrix of draws (2000
patients x 4000 draws: 64 MB); `summarise_cate` and `summarise_baseline_risk` go through blocks of patients and never
hold it. Which terms of the model enter is said by `GroupEffects` (see `predictors`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from hte_utils.logistic import expit_in_place
from hte_utils.monte_carlo import batch_edges, require_probability
from hte_utils.predictors import (
    GroupEffects,
    baseline_log_odds,
    log_odds_ratio,
    posterior_dataset,
    require_moderate,
)
from hte_utils.spec import Patients
from hte_utils.trial_checks import FloatArray, IntArray

__all__ = [
    "EffectScale",
    "GroupEffects",
    "baseline_risk_draws",
    "cate_draws",
    "summarise_baseline_risk",
    "summarise_cate",
]

# A block of patients x draws of this many numbers (2 MiB) stays in a core's own cache.
_BLOCK_NUMBERS = 2**18


class EffectScale(Enum):
    """The scale on which treated and untreated risk of the same patient are compared; positive direction = harm."""

    LOG_ODDS_RATIO = "log odds ratio"
    RISK_DIFFERENCE = "risk difference"
    RISK_RATIO = "risk ratio"

    @property
    def no_effect(self) -> float:
        """The value that means "treatment changes nothing"; larger values are harm."""
        return 1.0 if self is EffectScale.RISK_RATIO else 0.0


def cate_draws(
    posterior: xr.DataTree, patients: Patients, *, scale: EffectScale, group_effects: GroupEffects
) -> xr.DataArray:
    """CATE of every patient in every posterior draw.

    Parameters
    ----------
    posterior
        Group `posterior` with the variables of Listing 2: dims chain, draw, and prognostic, modifier or group.
    patients
        The trial's design, or other patients on the same scale (`TrialDesign.apply`).
    scale
        Log odds ratio, risk difference (a probability, not percentage points) or risk ratio. Positive = harm.
    group_effects
        Whether the group's own effects enter. On the two risk scales this holds for the baseline risk as well.

    Returns
    -------
    xarray.DataArray
        Dims chain, draw, patient (patients numbered from 0 in their order); `attrs` name scale and group effects.

    Raises
    ------
    TypeError, ValueError
        If an option is no member of its enum, a variable, dimension or label does not fit, or a value is not finite.
    """
    quantity = _effect(posterior, patients, scale, group_effects)
    return _draws(quantity, patients, f"CATE ({scale.value})", {"scale": scale.value})


def baseline_risk_draws(posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects) -> xr.DataArray:
    """Probability of the event without treatment, for every patient in every posterior draw.

    Parameters, labels and errors are those of `cate_draws`; values lie in [0, 1].
    """
    quantity = _baseline_risk(posterior, patients, group_effects)
    return _draws(quantity, patients, "baseline risk", {"scale": "probability"})


def summarise_cate(
    posterior: xr.DataTree,
    patients: Patients,
    *,
    scale: EffectScale,
    group_effects: GroupEffects,
    interval: float = 0.95,
    threads: int | None = None,
) -> xr.Dataset:
    """Posterior summary of every patient's CATE, in memory that grows with the patients alone.

    Parameters
    ----------
    posterior, patients, scale, group_effects
        As in `cate_draws`.
    interval
        Probability of the equal-tailed credible interval.
    threads
        Number of worker threads; default: the processors this process may use.

    Returns
    -------
    xarray.Dataset
        Dim patient; variables `mean`, `sd` (n-1), `lower`, `upper` (quantiles as R's type 7), `mcse_mean` (Monte
        Carlo standard error of `mean`, by batch means) and `p_harm` (share of draws above no effect).

    Raises
    ------
    TypeError, ValueError
        As in `cate_draws`, and if `interval` is not inside (0, 1) or `threads` is not a positive integer.
    """
    quantity = _effect(posterior, patients, scale, group_effects)
    summary = _summarise(quantity, patients, interval, threads, scale.no_effect)
    return summary.assign_attrs(scale=scale.value)


def summarise_baseline_risk(
    posterior: xr.DataTree,
    patients: Patients,
    *,
    group_effects: GroupEffects,
    interval: float = 0.95,
    threads: int | None = None,
) -> xr.Dataset:
    """Posterior summary of every patient's event probability without treatment.

    As `summarise_cate`, without `p_harm`.
    """
    quantity = _baseline_risk(posterior, patients, group_effects)
    summary = _summarise(quantity, patients, interval, threads, None)
    return summary.assign_attrs(scale="probability")


@dataclass(frozen=True, slots=True)
class _Quantity:
    """Something computed for each patient and draw, and the chains the draws came from."""

    values: Callable[[slice], FloatArray]
    chain: xr.DataArray
    draw: xr.DataArray
    group_effects: GroupEffects


def _effect(posterior: xr.DataTree, patients: Patients, scale: EffectScale, group_effects: GroupEffects) -> _Quantity:
    if not isinstance(scale, EffectScale):
        raise TypeError(f"scale must be a member of EffectScale, e.g. EffectScale.RISK_DIFFERENCE, not {scale!r}")
    ratio = log_odds_ratio(posterior, patients, group_effects)
    if scale is EffectScale.LOG_ODDS_RATIO:
        return _quantity(posterior, ratio.values, group_effects)
    baseline = baseline_log_odds(posterior, patients, group_effects)
    require_moderate(baseline, ratio)
    compare = _risk_difference if scale is EffectScale.RISK_DIFFERENCE else _risk_ratio
    return _quantity(posterior, lambda rows: compare(baseline.values(rows), ratio.values(rows)), group_effects)


def _baseline_risk(posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects) -> _Quantity:
    baseline = baseline_log_odds(posterior, patients, group_effects)
    require_moderate(baseline)
    return _quantity(posterior, lambda rows: expit_in_place(baseline.values(rows)), group_effects)


def _quantity(posterior: xr.DataTree, values: Callable[[slice], FloatArray], group_effects: GroupEffects) -> _Quantity:
    draws = posterior_dataset(posterior)
    return _Quantity(values, draws["chain"], draws["draw"], group_effects)


# The two functions below work in place, because memory traffic costs more than the arithmetic.
def _risk_difference(baseline_logit: FloatArray, log_odds_ratio: FloatArray) -> FloatArray:
    log_odds_ratio += baseline_logit
    treated = expit_in_place(log_odds_ratio)
    treated -= expit_in_place(baseline_logit)
    return treated


def _risk_ratio(baseline_logit: FloatArray, log_odds_ratio: FloatArray) -> FloatArray:
    log_odds_ratio += baseline_logit
    treated = expit_in_place(log_odds_ratio)
    treated /= expit_in_place(baseline_logit)
    return treated


def _draws(quantity: _Quantity, patients: Patients, name: str, attrs: dict[str, str]) -> xr.DataArray:
    n_chains, n_draws, n = quantity.chain.size, quantity.draw.size, patients.n_patients
    # Laid out in memory patient by patient, because whatever follows (quantiles above all) goes through the draws.
    values = np.empty((n, n_chains * n_draws))
    with threadpool_limits(limits=1, user_api="blas"):
        for rows in _blocks(n, n_chains * n_draws):
            values[rows] = quantity.values(rows)
    return xr.DataArray(
        values.reshape(n, n_chains, n_draws).transpose(1, 2, 0),
        dims=("chain", "draw", "patient"),
        coords={"chain": quantity.chain, "draw": quantity.draw, "patient": np.arange(n)},
        name=name,
        attrs={**attrs, "group_effects": quantity.group_effects.value},
    )


def _summarise(
    quantity: _Quantity, patients: Patients, interval: float, threads: int | None, no_effect: float | None
) -> xr.Dataset:
    n_chains, n_draws, n = quantity.chain.size, quantity.draw.size, patients.n_patients
    edges = batch_edges(n_chains, n_draws)
    require_probability(interval)
    if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
        raise ValueError(f"threads must be a positive integer or None, not {threads!r}")
    names = ["mean", "sd", "lower", "upper", "mcse_mean"] + (["p_harm"] if no_effect is not None else [])
    summary = {name: np.empty(n) for name in names}

    def fill(rows: slice) -> None:
        for name, values in _summarise_block(quantity.values(rows), edges, interval, no_effect).items():
            summary[name][rows] = values

    # One BLAS thread for each of our own: the products are too small to share out, the blocks are not.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(threads or _processors()) as pool:
        for _ in pool.map(fill, _blocks(n, n_chains * n_draws)):
            pass
    return xr.Dataset(
        {name: ("patient", values) for name, values in summary.items()},
        coords={"patient": np.arange(n)},
        attrs={"interval": interval, "group_effects": quantity.group_effects.value},
    )


def _summarise_block(
    values: FloatArray, edges: IntArray, interval: float, no_effect: float | None
) -> dict[str, FloatArray]:
    """Summaries over the last axis of `values`, shape (patients, draws), which is overwritten."""
    n_draws = values.shape[1]
    sizes = np.diff(edges)
    summary: dict[str, FloatArray] = {}
    if no_effect is not None:
        summary["p_harm"] = np.count_nonzero(values > no_effect, axis=1) / n_draws
    totals = np.add.reduceat(values, edges[:-1], axis=1)
    mean = totals.sum(axis=1) / n_draws
    # With batches of equal size this is the usual batch-means formula; the weights allow for a last, longer batch.
    spread = (totals - mean[:, None] * sizes) / n_draws
    n_batches = sizes.size
    mcse = np.sqrt(n_batches / (n_batches - 1) * np.square(spread).sum(axis=1))
    values -= mean[:, None]
    sd = np.sqrt(np.einsum("ij,ij->i", values, values) / (n_draws - 1))
    lower = _quantile(values, (1.0 - interval) / 2.0) + mean
    upper = _quantile(values, (1.0 + interval) / 2.0) + mean
    return {**summary, "mean": mean, "sd": sd, "lower": lower, "upper": upper, "mcse_mean": mcse}


def _quantile(values: FloatArray, probability: float) -> FloatArray:
    """R's type-7 quantile over the last axis of `values`, which is reordered.

    One `partition` per quantile: NumPy vectorises it for a single position only, four times faster than for several.
    """
    position = probability * (values.shape[1] - 1)
    below = int(position)
    values.partition(below, axis=1)
    at = values[:, below].copy()
    if position > below:
        at += (position - below) * (values[:, below + 1 :].min(axis=1) - at)
    return at


def _blocks(n_patients: int, n_draws: int) -> list[slice]:
    size = max(1, _BLOCK_NUMBERS // n_draws)
    return [slice(start, min(start + size, n_patients)) for start in range(0, n_patients, size)]


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
