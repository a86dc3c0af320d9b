"""Where a reported diagnostic lies among the diagnostics of many simulated runs, and under the normal law.

A Geweke z, a scale reduction factor or a time-series SE is itself random: another seed gives another value.
To ask whether the paper's values (Tables 4, 5 and 6) can have come from a given sampler is to ask where they
lie among the values of many runs of that sampler, as long as the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from hte_utils.coda_spectrum import require_count


@dataclass(frozen=True, slots=True)
class TailProbability:
    """How often chance alone does at least as much.

    Attributes
    ----------
    statistic
        The observed value.
    typical
        Its median over the simulated runs.
    probability
        Share of runs with a value at least as large; the observed run counts as one, so it is never zero.
    mcse
        Monte Carlo standard error of that share.
    """

    statistic: float
    typical: float
    probability: float
    mcse: float


@dataclass(frozen=True, slots=True)
class ExceedanceLaw:
    """Independent standard normal scores beyond a threshold in absolute value.

    Attributes
    ----------
    expected
        Expected number of scores beyond it.
    probability
        Probability of at least as many as asked for.
    """

    expected: float
    probability: float


def locate(
    observed: pd.Series[float],
    simulated: pd.DataFrame,
    *,
    decimals: int | None = None,
    independent_runs: int | None = None,
) -> pd.DataFrame:
    """Place each reported value in the distribution of simulated ones.

    Parameters
    ----------
    observed
        One value a quantity.
    simulated
        One row a run, one column a quantity; columns that ``observed`` does not name are ignored.
    decimals
        Decimals to which ``observed`` was printed: the simulated values are rounded likewise, so that ties
        are seen.
    independent_runs
        How many runs have no draws in common, where runs share chains; all of them by default. Probabilities
        and their standard errors take it for the number of runs, and so are rather too large than too small.

    Returns
    -------
    pandas.DataFrame
        One row a quantity: ``observed``; ``q2.5``, ``median``, ``q97.5`` of the runs; ``deviation``, the
        distance from the runs' mean in their SDs (rounding included); ``percentile`` in [0, 100], ties by half;
        ``two_sided``, twice the smaller tail's probability with the observed run counted among the simulated,
        so that few runs never give a small one; ``mcse`` of ``two_sided``.

    Raises
    ------
    ValueError
        If a quantity was not simulated, a value is missing or not finite, or the numbers are not sensible.
    """
    runs, n_independent = _runs_of(observed, simulated, independent_runs)
    printed = runs if decimals is None else runs.round(decimals)
    n = len(printed)
    below, above = (printed < observed).sum(), (printed > observed).sum()
    ties = n - below - above
    share = (np.minimum(below, above) + ties) / n
    tail = (share * n_independent + 1) / (n_independent + 1)
    quantiles = printed.quantile([0.025, 0.5, 0.975])
    return pd.DataFrame(
        {
            "observed": observed,
            "q2.5": quantiles.loc[0.025],
            "median": quantiles.loc[0.5],
            "q97.5": quantiles.loc[0.975],
            "deviation": (observed - runs.mean()) / np.sqrt(_variance_in_print(runs, decimals)),
            "percentile": 100 * (below + ties / 2) / n,
            "two_sided": np.minimum(1.0, 2 * tail),
            "mcse": 2 * np.sqrt(tail * (1 - tail) / n_independent),
        }
    )


def joint_distance(
    observed: pd.Series[float],
    simulated: pd.DataFrame,
    *,
    decimals: int,
    independent_runs: int | None = None,
) -> TailProbability:
    """Ask of all quantities together whether the observed run is one of the simulated kind.

    Parameters
    ----------
    observed, simulated, decimals, independent_runs
        As in `locate`.

    Returns
    -------
    TailProbability
        The statistic is the sum over quantities of the squared ``deviation`` of `locate`: a chi-squared with
        as many degrees of freedom as quantities, were they independent and normal.

    Raises
    ------
    ValueError
        As `locate`.
    """
    runs, n_independent = _runs_of(observed, simulated, independent_runs)
    centre, variance = runs.mean(), _variance_in_print(runs, decimals)
    distances = ((runs.round(decimals) - centre) ** 2 / variance).sum(axis="columns")
    statistic = float(((observed - centre) ** 2 / variance).sum())
    return tail_probability(statistic, distances, independent_runs=n_independent)


def tail_probability(
    observed: float, simulated: pd.Series[float], *, independent_runs: int | None = None
) -> TailProbability:
    """Share of runs whose statistic is at least as large as the observed one.

    Parameters
    ----------
    observed
        The observed value.
    simulated
        One value a run.
    independent_runs
        As in `locate`.

    Returns
    -------
    TailProbability
        With the observed run counted among the simulated.

    Raises
    ------
    ValueError
        As `locate`.
    """
    named = pd.Series({"statistic": float(observed)})
    runs, n_independent = _runs_of(named, simulated.to_frame("statistic"), independent_runs)
    values = runs["statistic"]
    share = float((values >= observed).mean())
    probability = (share * n_independent + 1) / (n_independent + 1)
    return TailProbability(
        statistic=float(observed),
        typical=float(values.median()),
        probability=probability,
        mcse=float(np.sqrt(probability * (1 - probability) / n_independent)),
    )


def normal_exceedance(n_scores: int, threshold: float, at_least: int = 1) -> ExceedanceLaw:
    """What independent standard normal z-scores do beyond a threshold: the null law of Table 6.

    Parameters
    ----------
    n_scores
        How many scores, such as 36 for twelve parameters in three chains.
    threshold
        The absolute value in question.
    at_least
        The number of scores beyond it whose probability is asked for; with 1 it is that of the largest.

    Returns
    -------
    ExceedanceLaw
        Expected number beyond, and the probability of ``at_least`` as many.

    Raises
    ------
    ValueError
        If a count is not a positive whole number or the threshold is negative or not finite.
    """
    require_count("n_scores", n_scores)
    require_count("at_least", at_least)
    if not (np.isfinite(threshold) and threshold >= 0):
        raise ValueError(f"threshold={threshold!r}: an absolute value is needed, so a finite number of at least 0")
    beyond = 2 * norm.sf(threshold)
    return ExceedanceLaw(expected=float(n_scores * beyond), probability=float(binom.sf(at_least - 1, n_scores, beyond)))


def _variance_in_print(runs: pd.DataFrame, decimals: int | None) -> pd.Series[float]:
    """Variance over the runs plus that of rounding, which is uniform over a unit of the last decimal."""
    rounding = 0.0 if decimals is None else 10.0 ** (-2 * decimals) / 12
    return runs.var() + rounding


def _runs_of(
    observed: pd.Series[float], simulated: pd.DataFrame, independent_runs: int | None
) -> tuple[pd.DataFrame, int]:
    """The runs of the observed quantities, in their order, and how many of them are independent."""
    absent = [name for name in observed.index if name not in simulated.columns]
    if absent:
        raise ValueError(f"no simulated values of {absent}: the columns are {list(simulated.columns)}")
    runs = simulated[list(observed.index)]
    if len(runs) < 2:
        raise ValueError(f"{len(runs)} simulated runs make no distribution: give at least two")
    if not (np.isfinite(observed.to_numpy(dtype=float)).all() and np.isfinite(runs.to_numpy(dtype=float)).all()):
        raise ValueError("an observed or simulated value is missing or not finite: leave that quantity or run out")
    if independent_runs is None:
        return runs, len(runs)
    require_count("independent_runs", independent_runs)
    if independent_runs > len(runs):
        raise ValueError(f"independent_runs={independent_runs} of {len(runs)} runs: there cannot be more than runs")
    return runs, independent_runs
