"""Runs of JAGS as long as the paper's, and where the paper's own diagnostics lie among them.

Tables 5 and 6 and the time-series SEs of Table 4 describe a *run* of a sampler: another seed prints other numbers, so
they can be reproduced only in distribution. The recorded runs (``tests/reference/jags_runs_*.csv.gz``, with the scripts
that made them) are three chains of 1000 kept draws each, by JAGS's default samplers (``slice``) and with its glm module
(``glm``), at several thinnings.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.diagnostic_distribution import joint_distance
from hte_utils.ledger.entries import Reproduced
from hte_utils.ledger.recorded import Project
from hte_utils.ledger.tolerance import z_threshold
from hte_utils.paper import entries_of, paper_entry

if TYPE_CHECKING:
    from pathlib import Path

PAPER_THINNING = 10
"""The thinning at which JAGS's default samplers give the paper's time-series SEs; see :func:`compare_settings`."""

_CHAINS = 3
_Z_COLUMNS = ["geweke_1", "geweke_2", "geweke_3"]
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
        have no draw in common), ``parameter``, ``mean``, ``sd``, ``ts_se``, ``ess``, ``psrf``, ``upper``, ``mpsrf``,
        ``geweke_1`` to ``geweke_3``.
    """
    folder = folder or Project.find().root / "tests" / "reference"
    return pd.read_csv(folder / f"jags_runs_{sampler}.csv.gz", comment="#")


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
    """Return the median time-series SE over runs by parameter, and its range: z SDs of its logarithm to either side."""
    found = {}
    for name, own in runs.groupby("parameter"):
        logs = np.log(own["ts_se"])
        centre, reach = float(logs.median()), z_threshold() * float(logs.std())
        typical, lower, upper = np.exp([centre, centre - reach, centre + reach]).tolist()
        found[str(name)] = Reproduced(typical, lower=lower, upper=upper)
    return found


def table_5(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 25 numbers of Table 5 as medians over runs, with the range of such values.

    A scale reduction factor is skewed, and bounded below just under 1: its range is taken on the log scale of its
    excess, and only the upper end is in doubt.
    """
    found = {"table5.multivariate": _excess_range(runs.groupby("run")["mpsrf"].first())}
    for name, own in runs.groupby("parameter"):
        found[f"table5.{name}.point"] = _excess_range(own["psrf"])
        found[f"table5.{name}.upper"] = _excess_range(own["upper"])
    return found


def table_6(runs: pd.DataFrame) -> dict[str, Reproduced]:
    """Return the 36 z-scores of Table 6: the median over runs, with the range of such values.

    A Geweke z is standard normal for a long chain that mixes well. Shorter or slower chains spread it further, and the
    larger of the two spreads counts.
    """
    found = {}
    for name, own in runs.groupby("parameter"):
        scores = own[_Z_COLUMNS].to_numpy().ravel()
        reach = z_threshold() * max(1.0, float(np.sqrt(np.mean(scores**2))))
        for chain in range(1, _CHAINS + 1):
            found[f"table6.{name}.chain_{chain}"] = Reproduced(float(np.median(scores)), lower=-reach, upper=reach)
    return found


def _excess_range(values: pd.Series) -> Reproduced:
    logs = np.log(values - _PSRF_FLOOR)
    upper = _PSRF_FLOOR + np.exp(logs.median() + z_threshold() * logs.std())
    return Reproduced(float(values.median()), lower=_PSRF_FLOOR, upper=float(upper))
