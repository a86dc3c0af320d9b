"""Where reported diagnostics lie among those of many simulated runs, and under the normal law.

A Geweke z, a scale reduction factor or a time-series SE is itself random: another seed gives another value. To ask
whether the paper's values (Tables 4, 5 and 6) can have come from a given sampler is to ask where they lie among the
values of many runs of that sampler, as long as the paper's.

Runs of JAGS as long as the paper's, and where the paper's own diagnostics lie among them.

Tables 5 and 6 and the time-series SEs of Table 4 describe a *run* of a sampler: another seed prints other numbers, so
they can be reproduced only in distribution. The recorded runs (``tests/reference/jags_runs_*.csv.gz``, with the scripts
that made them) are three chains of 1000 kept draws each, by JAGS's default samplers (``slice``) and with its glm module
(``glm``), at several thinnings.

A printed number is held against the independent ones among them by its own t-statistic, (printed - mean) / (SD √(1 +
1/n)) with n - 1 degrees of freedom, on the scale on which such values are nearly normal. It is consistent with such
runs where its p-value is at least `LEVEL`; and all numbers of a table are judged together by the sum of their squares.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats
from scipy.stats import binom, norm

from hte_utils.ledger.entries import Reproduced
from hte_utils.ledger.notebooks import Project
from hte_utils.paper import entries_of, paper_entry, printed_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


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


PAPER_THINNING = 10
"""The thinning at which JAGS's default samplers give the paper's time-series SEs. It was chosen by them
(:func:`compare_settings`), so that they cannot confirm it; Tables 5 and 6 can."""

LEVEL = 0.002
"""Of a single number. With 73 such numbers, most of them dependent, a faithful run has one outside its range now and
then: :func:`family_wise_rate` says how often."""

_CHAINS = 3
_Z_COLUMNS = ["geweke_1", "geweke_2", "geweke_3"]
TABLES = ("Table 5", "Table 6")
# A scale reduction factor cannot fall below sqrt((n - 1) / n), just under 1; its excess over this is positive.
_PSRF_FLOOR = 0.999


class JagsSampler(StrEnum):
    """Which of JAGS's samplers made the runs."""

    SLICE = "slice"
    """The default: one parameter at a time. What a user gets who loads no module."""
    GLM = "glm"
    """The glm module: all coefficients of the regression together."""


def recorded_runs(sampler: JagsSampler, folder: Path | None = None) -> pd.DataFrame:
    """Read the recorded runs of one sampler.

    Parameters
    ----------
    sampler
        Which sampler.
    folder
        Where the files are; the checkout's ``tests/reference`` if None.

    Returns
    -------
    pandas.DataFrame
        One row per run and parameter: ``thin``, ``run``, ``independent_runs`` (how many of the runs at this thinning
        have no draw in common), ``independent`` (whether this one is of a set of such), ``parameter``,
        ``mean``, ``sd``, ``ts_se``, ``ess``, ``psrf``, ``upper``, ``mpsrf``,
        ``geweke_1`` to ``geweke_3``.
    """
    folder = folder or Project.find().root / "tests" / "reference"
    return pd.read_csv(folder / f"jags_runs_{sampler}.csv.gz", comment="#")


def recorded_chains(folder: Path | None = None) -> xr.Dataset:
    """Read a run such as the paper's: 3 x 1000 draws by JAGS's default samplers, one in ten kept.

    Returns
    -------
    xarray.Dataset
        The 18 quantities of Listing 2 by their names, dims (chain, draw).
    """
    folder = folder or Project.find().root / "tests" / "reference"
    table = pd.read_csv(folder / "jags_paper_run.csv.gz", comment="#")
    chains = {name: table[name].to_numpy().reshape(_CHAINS, -1) for name in table.columns.drop("chain")}
    return xr.Dataset({name: (("chain", "draw"), values) for name, values in chains.items()}).assign_coords(
        chain=range(_CHAINS)
    )


def at_thinning(runs: pd.DataFrame, thin: int) -> pd.DataFrame:
    """Select the runs at one thinning.

    Raises
    ------
    ValueError
        When nothing was recorded at that thinning.
    """
    chosen = runs[runs["thin"] == thin]
    if chosen.empty:
        raise ValueError(f"no runs at thinning {thin}; recorded are {sorted(runs['thin'].unique().tolist())}")
    return chosen


def printed_time_series_se() -> pd.Series:
    """Return the time-series SEs that Table 4 prints, by parameter."""
    entries = [entry for entry in entries_of("Table 4") if entry.quantity == "Time.series.SE"]
    return pd.Series({entry.row: float(entry.printed) for entry in entries}, name="printed")


def implied_ess() -> pd.Series:
    """Effective sample size that Table 4 implies: (SD / time-series SE) squared, by parameter."""
    errors = printed_time_series_se()
    sds = pd.Series({name: float(paper_entry(f"table4.{name}.SD").printed) for name in errors.index})
    return ((sds / errors) ** 2).rename("implied by Table 4")


def compare_settings(fewest_independent: int = 3) -> pd.DataFrame:
    """Hold the twelve time-series SEs of Table 4 against runs of each sampler and thinning.

    Parameters
    ----------
    fewest_independent
        Settings with fewer runs without a common draw are left out: their spread cannot be judged.

    Returns
    -------
    pandas.DataFrame
        Indexed by sampler and thinning: number of runs, how many are independent, the sum over parameters of squared
        standardised deviations of the printed values (``distance``), its median over the runs themselves (``typical``),
        and the median effective sizes of ``b_intercept`` and ``b_trt``.
    """
    rows = {}
    for sampler in JagsSampler:
        for thin, runs in recorded_runs(sampler).groupby("thin"):
            independent = int(runs["independent_runs"].iloc[0])
            if independent >= fewest_independent:
                rows[str(sampler), thin] = _compare_setting(runs, independent)
    index = pd.MultiIndex.from_tuples(rows, names=["sampler", "thinning"])
    return pd.DataFrame(list(rows.values()), index=index)


def _compare_setting(runs: pd.DataFrame, independent: int) -> dict[str, float]:
    wide = runs.pivot_table(index="run", columns="parameter", values="ts_se")
    distance = joint_distance(printed_time_series_se(), wide, decimals=3, independent_runs=independent)
    sizes = runs.groupby("parameter")["ess"].median()
    return {
        "runs": runs["run"].nunique(),
        "independent": independent,
        "distance": distance.statistic,
        "typical": distance.typical,
        "ESS b_intercept": sizes["b_intercept"],
        "ESS b_trt": sizes["b_trt"],
    }


def time_series_se(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the median time-series SE over runs by parameter, with the range of such values (log scale)."""
    printed = printed_time_series_se()
    return {name: _placed(own["ts_se"], float(printed[name]), 3, floor=0.0) for name, own in _independent(runs)}


def table_5(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 25 numbers of Table 5 as medians over runs, with the range of such values.

    A scale reduction factor is skewed, and bounded below just under 1: its law is taken on the log scale of its excess,
    and only the upper end is in doubt.
    """
    found = {}
    for entry_id, values in _scale_reductions(runs).items():
        printed = printed_number(entry_id)
        decimals = len(paper_entry(entry_id).printed.partition(".")[2])
        found[entry_id] = _placed(values, printed, decimals, floor=_PSRF_FLOOR, one_sided=True)
    return found


def table_6(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 36 z-scores of Table 6: the median over runs, with the range of such values.

    A Geweke z is standard normal for a long chain that mixes well. Shorter or slower chains spread it further: each
    parameter's own root mean square over the recorded scores is its scale.
    """
    found = {}
    for name, own in _independent(runs):
        scores = own[_Z_COLUMNS].to_numpy().ravel()
        scale = float(np.sqrt(np.mean(scores**2)))
        reach = float(stats.t.isf(LEVEL / 2.0, scores.size)) * scale
        for chain in range(1, _CHAINS + 1):
            entry_id = f"table6.{name}.chain_{chain}"
            p = 2.0 * float(stats.t.sf(abs(printed_number(entry_id)) / scale, scores.size))
            found[entry_id] = Reproduced(float(np.median(scores)), lower=-reach, upper=reach, note=f"p = {p:.2g}")
    return found


def joint_test(table: str, runs: pd.DataFrame, values: Mapping[str, float] | None = None) -> TailProbability:
    """Judge all numbers of one of `TABLES` together.

    Parameters
    ----------
    table
        One of `TABLES`. (The time-series SEs of Table 4 chose the thinning, so that there is nothing to test in them.)
    runs
        Recorded runs at one thinning.
    values
        Numbers to be judged, by their ledger ids; the printed ones if None.

    Returns
    -------
    TailProbability
        Statistic: sum of the squared deviations (Table 5: of those upwards). Its law: that of each independent run
        among the others, as a gamma distribution with their mean and variance, since there are too few runs to count a
        small tail. Chains have nothing to do with one another, so that for Table 6 the law of one chain's twelve scores
        says that of three.
    """
    own = _transformed(table, _numbers_of(table, runs))
    printed = {entry.id: float(entry.printed) for entry in entries_of(table)}
    given = _transformed(table, pd.DataFrame([values or printed], dtype=float)[list(own.columns)]).iloc[0]
    statistic = float(_squares(table, given, own).sum())
    typical, shape, scale = _law_of_sums(table, own)
    p = float(stats.gamma.sf(statistic, shape, scale=scale))
    return TailProbability(statistic, typical, p, float(np.sqrt(p * (1 - p) / len(own))))


def _law_of_sums(table: str, own: pd.DataFrame) -> tuple[float, float, float]:
    """Median of the runs' own statistics, and shape and scale of the gamma law with their mean and variance."""
    others = pd.DataFrame([_squares(table, own.loc[run], own.drop(index=run)) for run in own.index])
    parts = others if table == TABLES[0] else others.T.groupby(lambda name: name.rpartition(".")[2]).sum().T
    sums = parts.to_numpy().sum(axis=1)
    variance = sums.var(ddof=1) if table == TABLES[0] else _CHAINS * parts.to_numpy().var(ddof=1)
    return float(np.median(sums)), float(sums.mean() ** 2 / variance), float(variance / sums.mean())


def family_wise_rate(runs: pd.DataFrame) -> tuple[float, float]:
    """How often a faithful run has one of its numbers outside its range: rate and Monte Carlo standard error.

    Each independent run in turn is taken for the printed one, and its Tables 5 and 6 are judged by the others.
    """
    numbers = {table: _transformed(table, _numbers_of(table, runs)) for table in TABLES}
    outside = [
        any(_any_outside(table, own.loc[run], own.drop(index=run)) for table, own in numbers.items())
        for run in numbers[TABLES[0]].index
    ]
    rate = float(np.mean(outside))
    return rate, float(np.sqrt(max(rate * (1 - rate), 1e-12) / len(outside)))


def _independent(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The independent runs, by parameter."""
    for name, own in runs[runs["independent"]].groupby("parameter"):
        yield str(name), own


def _scale_reductions(runs: pd.DataFrame) -> dict[str, pd.Series]:
    chosen = runs[runs["independent"]]
    found = {"table5.multivariate": chosen.groupby("run")["mpsrf"].first()}
    for name, own in _independent(runs):
        found |= {f"table5.{name}.point": own["psrf"], f"table5.{name}.upper": own["upper"]}
    return found


def _placed(values: pd.Series, printed: float, decimals: int, *, floor: float, one_sided: bool = False) -> Reproduced:
    """Median and range of positive values by a t-law of their logarithms, and the p-value of a printed one."""
    logs = np.log(values.to_numpy() - floor)
    n, centre, spread = logs.size, float(logs.mean()), float(logs.std(ddof=1))
    unit = spread * np.sqrt(1.0 + 1.0 / n)
    reach = float(stats.t.isf(LEVEL if one_sided else LEVEL / 2.0, n - 1)) * unit
    half = 0.5 * 10.0**-decimals  # what was printed stands for anything that rounds to it
    low, high = (np.log(max(printed + end - floor, 1e-9)) for end in (-half, half))
    away = max(low - centre, 0.0) if one_sided else max(low - centre, centre - high, 0.0)
    p = float(stats.t.sf(away / unit, n - 1)) * (1.0 if one_sided else 2.0)
    lower = floor if one_sided else floor + float(np.exp(centre - reach))
    return Reproduced(
        float(values.median()), lower=lower, upper=floor + float(np.exp(centre + reach)), note=f"p = {p:.2g}"
    )


def _numbers_of(table: str, runs: pd.DataFrame) -> pd.DataFrame:
    """One row an independent run, one column a number of the table, by its ledger id."""
    if table == TABLES[0]:
        return pd.DataFrame({name: values.set_axis(_runs_of(runs)) for name, values in _scale_reductions(runs).items()})
    return pd.DataFrame(
        {
            f"table6.{name}.chain_{chain}": own.set_index("run")[f"geweke_{chain}"]
            for name, own in _independent(runs)
            for chain in range(1, _CHAINS + 1)
        }
    )


def _runs_of(runs: pd.DataFrame) -> pd.Index:
    index: pd.Index[int] = pd.Index(runs.loc[runs["independent"], "run"].unique(), name="run")
    return index


def _transformed(table: str, numbers: pd.DataFrame) -> pd.DataFrame:
    """On the scale on which they are nearly normal."""
    if table == TABLES[1]:
        return numbers
    return pd.DataFrame(np.log(np.maximum(numbers, 1.0 - 0.5e-3) - _PSRF_FLOOR))  # a printed 1.000 may have been 0.9995


def _deviations(table: str, values: pd.Series, others: pd.DataFrame) -> pd.Series:
    if table == TABLES[1]:
        squares = pd.Series(np.square(others).mean())  # of each chain; chains of a parameter have one scale
        scale = np.sqrt(squares.groupby(lambda name: name.rpartition(".")[0]).transform("mean"))
        return pd.Series(values.div(scale))
    found: pd.Series[float] = (values - others.mean()) / (others.std() * np.sqrt(1.0 + 1.0 / len(others)))
    return found


def _squares(table: str, values: pd.Series, others: pd.DataFrame) -> pd.Series:
    deviations = _deviations(table, values, others)
    counted = deviations.clip(lower=0.0) if table == TABLES[0] else deviations
    return pd.Series(np.square(counted.to_numpy()), index=counted.index)


def _any_outside(table: str, values: pd.Series, others: pd.DataFrame) -> bool:
    deviations = _deviations(table, values, others)
    if table == TABLES[0]:
        return bool((deviations > stats.t.isf(LEVEL, len(others) - 1)).any())
    return bool((deviations.abs() > stats.t.isf(LEVEL / 2.0, _CHAINS * len(others))).any())
