"""Tables 5 and 6 and the time-series SEs of Table 4 among runs of JAGS as long as the paper's.

They describe a *run* of a sampler: another seed prints other numbers, so they can be reproduced only in distribution.
The recorded runs (``tests/reference/jags_runs_*.csv.gz``) are three chains of 1000 kept draws each, by JAGS's default
samplers (``slice``) and with its glm module (``glm``), at several thinnings. A printed number is held against the
independent ones among them by its t-statistic, (printed - mean) / (SD √(1 + 1/n)) with n - 1 degrees of freedom, on the
scale on which such values are nearly normal, and is consistent with them where its p-value is at least `LEVEL`; all
numbers of a table are judged together by the sum of their squares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from hte_utils.ledger.entries import Reproduced
from hte_utils.ledger.notebooks import Project
from hte_utils.paper import entries_of, paper_entry, printed_number

type JagsSampler = Literal["slice", "glm"]
"""JAGS's default samplers, one parameter at a time; or its glm module, all coefficients of the regression together."""

PAPER_THINNING: Final = 10
"""The thinning at which JAGS's default samplers give the paper's time-series SEs. It was chosen by them
(:func:`compare_settings`), so that they cannot confirm it; Tables 5 and 6 can."""
LEVEL: Final = 0.002
"""Of a single number. With 73 such numbers, most of them dependent, a faithful run has one outside its range now and
then: :func:`family_wise_rate` says how often."""
TABLES: Final = ("Table 5", "Table 6")
_CHAINS: Final = 3
# A scale reduction factor cannot fall below sqrt((n - 1) / n), just under 1; its excess over this is positive.
_PSRF_FLOOR: Final = 0.999
_PRINTED_ONE: Final = 0.9995  # what was printed as 1.000 may have been this
_FEWEST_INDEPENDENT: Final = 3


def recorded_runs(sampler: JagsSampler = "slice", thinning: int | None = PAPER_THINNING) -> pd.DataFrame:
    """Read the recorded runs of one sampler at one thinning (at all of them for None), a row per run and parameter.

    ``independent_runs`` says how many of the runs at this thinning have no draw in common, ``independent`` whether this
    one is of a set of such; the rest are coda's statistics.
    """
    runs = _recorded(f"jags_runs_{sampler}")
    chosen = runs if thinning is None else runs[runs["thin"] == thinning]
    if chosen.empty:
        raise ValueError(f"no runs at thinning {thinning}; recorded are {sorted(runs['thin'].unique().tolist())}")
    return chosen


def recorded_chains() -> xr.Dataset:
    """Read a run such as the paper's: 3 x 1000 draws by JAGS's default samplers, one in ten kept.

    The 18 quantities of Listing 2 by their names, dims (chain, draw).
    """
    table = _recorded("jags_paper_run")
    draws = {
        name: (("chain", "draw"), table[name].to_numpy().reshape(_CHAINS, -1)) for name in table.columns.drop("chain")
    }
    return xr.Dataset(draws, coords={"chain": range(_CHAINS)})


def _recorded(name: str) -> pd.DataFrame:
    return pd.read_csv(Project.find().root / "tests" / "reference" / f"{name}.csv.gz", comment="#")


def _of_table_4(quantity: str) -> pd.Series[float]:
    entries = [entry for entry in entries_of("Table 4") if entry.quantity == quantity]
    return pd.Series({entry.row: float(entry.printed) for entry in entries})


def implied_ess() -> pd.Series[float]:
    """Effective sample size that Table 4 implies: (SD / time-series SE) squared, by parameter."""
    return ((_of_table_4("SD") / _of_table_4("Time.series.SE")) ** 2).rename("implied by Table 4")


def normal_exceedance(n_scores: int, threshold: float, at_least: int = 1) -> tuple[float, float]:
    """Expected number of independent z-scores beyond an absolute threshold, and probability of ``at_least`` so many."""
    beyond = 2 * stats.norm.sf(threshold)
    return float(n_scores * beyond), float(stats.binom.sf(at_least - 1, n_scores, beyond))


def joint_distance(observed: pd.Series[float], simulated: pd.DataFrame, *, decimals: int) -> tuple[float, float]:
    """How far an observed run is from simulated ones (a row a run, a column a quantity), and these from one another.

    The sum over quantities of the squared distances from the runs' mean in their SDs, which hold what rounding to so
    many decimals adds; then its median over the simulated runs, rounded likewise.
    """
    runs = simulated[list(observed.index)]
    centre, variance = runs.mean(), runs.var() + 10.0 ** (-2 * decimals) / 12  # a rounding error is uniform
    typical = ((runs.round(decimals) - centre) ** 2 / variance).sum(axis="columns").median()
    return float(((observed - centre) ** 2 / variance).sum()), float(typical)


def compare_settings() -> pd.DataFrame:
    """Hold the twelve time-series SEs of Table 4 against runs of each sampler and thinning.

    Indexed by sampler and thinning: ``distance`` of the printed values, ``typical`` one of the runs themselves
    (:func:`joint_distance`), median effective sizes. Settings with too few independent runs to judge their spread are
    left out.
    """
    recorded = pd.concat([recorded_runs("slice", thinning=None), recorded_runs("glm", thinning=None)])
    judged = recorded[recorded["independent_runs"] >= _FEWEST_INDEPENDENT]
    by_setting = judged.groupby(["sampler", "thin"], sort=False)
    table = by_setting.agg(runs=("run", "nunique"), independent=("independent_runs", "first"))
    printed, distances = _of_table_4("Time.series.SE"), {}
    for setting, runs in by_setting:
        simulated = runs.pivot_table(index="run", columns="parameter", values="ts_se")
        distances[setting] = joint_distance(printed, simulated, decimals=3)
    table[["distance", "typical"]] = [distances[setting] for setting in table.index]
    sizes = judged.pivot_table(index=["sampler", "thin"], columns="parameter", values="ess", aggfunc="median")
    table = table.join(sizes[["b_intercept", "b_trt"]].add_prefix("ESS "))
    return table.rename_axis(["sampler", "thinning"])


def time_series_se(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the median time-series SE over runs by parameter, with the range of such values (log scale)."""
    printed = _of_table_4("Time.series.SE")
    return {name: _placed(own["ts_se"], float(printed[name]), 3, floor=0.0) for name, own in _independent(runs)}


def table_5(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 25 numbers of Table 5 as medians over runs, with the range of such values.

    A scale reduction factor is skewed and bounded below just under 1: its law is taken on the log scale of its excess,
    and only the upper end is in doubt.
    """
    found = {}
    for name, values in _numbers_of("Table 5", runs).items():
        entry = paper_entry(str(name))
        found[entry.id] = _placed(values, float(entry.printed), entry.decimals, floor=_PSRF_FLOOR, one_sided=True)
    return found


def table_6(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 36 z-scores of Table 6: the median over runs, with the range of such values.

    A Geweke z is standard normal for a long chain that mixes well. Shorter or slower chains spread it further: each
    parameter's own root mean square over the recorded scores is its scale.
    """
    found = {}
    for name, own in _independent(runs):
        scores = own.filter(like="geweke_").to_numpy().ravel()
        scale = float(np.sqrt(np.mean(scores**2)))
        reach = float(stats.t.isf(LEVEL / 2.0, scores.size)) * scale
        for chain in range(1, _CHAINS + 1):
            entry_id = f"table6.{name}.chain_{chain}"
            p = 2.0 * float(stats.t.sf(abs(printed_number(entry_id)) / scale, scores.size))
            found[entry_id] = Reproduced(float(np.median(scores)), lower=-reach, upper=reach, note=f"p = {p:.2g}")
    return found


def joint_test(table: str, runs: pd.DataFrame, values: Mapping[str, float] | None = None) -> float:
    """Judge all numbers of one of `TABLES` together, the printed ones or `values` by their ledger ids.

    The p-value of the sum of the squared deviations (Table 5: of those upwards). Its law is that of each independent
    run among the others, as a gamma distribution with their mean and variance, since there are too few runs to count a
    small tail. Chains are independent, so that for Table 6 the law of one chain's scores says that of three.
    """
    own = _near_normal(table, _numbers_of(table, runs))
    judged = values or {entry.id: float(entry.printed) for entry in entries_of(table)}
    given = _near_normal(table, pd.DataFrame([judged], dtype=float)[list(own.columns)]).iloc[0]
    squares = pd.DataFrame([_deviations(table, own.loc[run], own.drop(index=run)) for run in own.index]).pow(2)
    mean, variance = squares.sum(axis=1).mean(), squares.sum(axis=1).var()
    if table == "Table 6":
        by_chain = squares.to_numpy().reshape(len(own), -1, _CHAINS).sum(axis=1)
        variance = _CHAINS * by_chain.var(ddof=1)
    statistic = _deviations(table, given, own).pow(2).sum()
    return float(stats.gamma.sf(statistic, mean**2 / variance, scale=variance / mean))


def family_wise_rate(runs: pd.DataFrame) -> tuple[float, float]:
    """How often a faithful run has one of its numbers outside its range: rate and Monte Carlo standard error.

    Each independent run in turn is taken for the printed one, and its Tables 5 and 6 are judged by the others.
    """
    outside = {}
    for table in TABLES:
        own = _near_normal(table, _numbers_of(table, runs))
        n = len(own) - 1
        limit = stats.t.isf(LEVEL, n - 1) if table == "Table 5" else stats.t.isf(LEVEL / 2.0, _CHAINS * n)
        outside[table] = [(_deviations(table, own.loc[run], own.drop(index=run)) > limit).any() for run in own.index]
    found = pd.DataFrame(outside).any(axis=1)
    rate = float(found.mean())
    return rate, float(np.sqrt(max(rate * (1 - rate), 1e-12) / len(found)))


def _independent(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for name, own in runs[runs["independent"]].groupby("parameter"):
        yield str(name), own.set_index("run")


def _numbers_of(table: str, runs: pd.DataFrame) -> pd.DataFrame:
    """One row an independent run, one column a number of the table, by its ledger id."""
    found: dict[str, pd.Series] = {}
    for name, own in _independent(runs):
        if table == "Table 5":
            # The multivariate factor stands with every parameter of a run.
            found |= {"table5.multivariate": own["mpsrf"]} if not found else {}
            found |= {f"table5.{name}.point": own["psrf"], f"table5.{name}.upper": own["upper"]}
        else:
            chains = range(1, _CHAINS + 1)
            found |= {f"table6.{name}.chain_{chain}": own[f"geweke_{chain}"] for chain in chains}
    return pd.DataFrame(found)


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
    lower, upper = (floor + float(np.exp(centre + end)) for end in (-reach, reach))
    return Reproduced(float(values.median()), lower=floor if one_sided else lower, upper=upper, note=f"p = {p:.2g}")


def _near_normal(table: str, numbers: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(np.log(np.maximum(numbers, _PRINTED_ONE) - _PSRF_FLOOR)) if table == "Table 5" else numbers


def _deviations(table: str, values: pd.Series, others: pd.DataFrame) -> pd.Series[float]:
    """t-statistics of a run among the others: of Table 5 only those upwards count, of Table 6 both ways alike."""
    if table == "Table 5":
        return pd.Series((values - others.mean()) / (others.std() * np.sqrt(1.0 + 1.0 / len(others)))).clip(lower=0.0)
    squares = np.square(others.to_numpy()).mean(axis=0).reshape(-1, _CHAINS)  # a parameter a row, chains side by side
    scale = np.sqrt(squares.mean(axis=1)).repeat(_CHAINS)
    return pd.Series(np.abs(values.to_numpy() / scale), values.index)
