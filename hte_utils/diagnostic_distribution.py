"""Where reported diagnostics lie among those of many simulated runs, and under the normal law.

A Geweke z, a scale reduction factor or a time-series SE is itself random: another seed gives another value. To ask
whether the paper's values (Tables 4, 5 and 6) can have come from a given sampler is to ask where they lie among the
values of many runs of that sampler, as long as the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import binom, norm


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


def joint_distance(
    observed: pd.Series[float], simulated: pd.DataFrame, *, decimals: int, independent_runs: int | None = None
) -> TailProbability:
    """Ask of all quantities together whether the observed run is one of the simulated kind.

    Parameters
    ----------
    observed
        One value a quantity.
    simulated
        One row a run, one column a quantity.
    decimals
        Decimals to which ``observed`` was printed: the simulated values are rounded likewise, so that ties are seen.
    independent_runs
        How many runs have no draws in common, where runs share chains; all of them by default. The probability and its
        error take it for the number of runs, and so are rather too large than too small.

    Returns
    -------
    TailProbability
        Of the sum over quantities of the squared distances from the runs' mean in their SDs (rounding included): a
        chi-squared with as many degrees of freedom as quantities, were they independent and normal.
    """
    runs = simulated[list(observed.index)]
    centre, variance = runs.mean(), runs.var() + 10.0 ** (-2 * decimals) / 12  # a rounding error is uniform
    values = ((runs.round(decimals) - centre) ** 2 / variance).sum(axis="columns")
    statistic = float(((observed - centre) ** 2 / variance).sum())
    n = len(runs) if independent_runs is None else independent_runs
    probability = (float((values >= statistic).mean()) * n + 1) / (n + 1)
    error = float(np.sqrt(probability * (1 - probability) / n))
    return TailProbability(statistic, float(values.median()), probability, error)


def normal_exceedance(n_scores: int, threshold: float, at_least: int = 1) -> tuple[float, float]:
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
    tuple of float
        Expected number beyond, and the probability of ``at_least`` as many.
    """
    beyond = 2 * norm.sf(threshold)
    return float(n_scores * beyond), float(binom.sf(at_least - 1, n_scores, beyond))
