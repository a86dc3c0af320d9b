"""Performance over replicates, every number with its Monte Carlo standard error, and methods compared in words.

All functions take results as `hte_utils.study.store.StudyStore.read` gives them. The event is bleeding: a positive
effect or error is harm, or harm overstated. Numbers are in `UNITS`: percentage points, per cent, bleeds per 1000
patients. Failed replicates have no measures. They are counted (`failures`), and what is said is said of the others: `n`
tells of how many.

A method is "larger by" or "smaller by" in a measure only where the paired difference, on the same trials, exceeds twice
its Monte Carlo standard error; else the two are "not told apart". The chapters compare nothing in any other way.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102; table 6 has the formulas, which R's rsimsum uses
as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from hte_utils.methods.measures import MEASURES, PER_THOUSAND, POINTS, WORTHS
from hte_utils.model.checks import FloatArray
from hte_utils.study.generate import population
from hte_utils.study.replicate import POPULATION
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS

SHOWN: Final = ("rd_correlation", "rd_rmse", "rd_bias", "rd_slope", "rd_coverage", "regret")
"""Measures that are compared between methods."""

REGRETS: Final = {0: "regret"} | {worth: f"regret_{worth}" for worth in WORTHS}
"""The regret of a method's rule by what a benefit elsewhere is worth, in bleeds per 1000 patients."""

UNITS: Final = dict.fromkeys(REGRETS.values(), PER_THOUSAND) | dict.fromkeys(
    ("rd_rmse", "rd_bias", "rd_coverage", "rd_width"), POINTS
)
"""What measures are multiplied by to be shown; 1 for the others."""

ERRORS_NEEDED: Final = 2.0
"""A difference is called one where it is larger than so many of its Monte Carlo standard errors."""

_CELL: Final = ["scenario", "method", "population"]
Z: Final = float(norm.ppf(0.975))


def mean_and_error(values: FloatArray) -> tuple[float, float]:
    """Mean, and its Monte Carlo standard error (NaN for a single value)."""
    error = _sd(values) / math.sqrt(values.size)
    return float(values.mean()), error


def share_error(share: float, n: int) -> float:
    """Monte Carlo standard error of a share of n replicates."""
    return math.sqrt(share * (1.0 - share) / n)


def performance(results: pd.DataFrame, measures: Sequence[str] = SHOWN) -> pd.DataFrame:
    """Average measures (names from `MEASURES`) over replicates.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method, population, measure``; columns ``mean``, ``mcse`` (SD / sqrt(n): its Monte Carlo
        standard error; NaN below two replicates or where a value is infinite) and ``n`` (replicates that have the
        measure). Measures that no replicate has are left out.
    """
    if unknown := [name for name in measures if name not in results or name not in MEASURES]:
        raise ValueError(f"there is no measure {unknown} in these results; choose from {list(MEASURES)}")
    shown = results[list(measures)] * [UNITS.get(name, 1.0) for name in measures]
    with np.errstate(invalid="ignore"):  # an infinite width has no SD
        groups = shown.groupby([results[name] for name in _CELL], observed=True, sort=False)
        table = groups.agg(["mean", "sem", "count"])
    columns = {
        name: table.loc[:, pd.IndexSlice[:, statistic]].droplevel(1, axis="columns").rename_axis(columns="measure")
        for name, statistic in {"mean": "mean", "mcse": "sem", "n": "count"}.items()
    }
    return pd.DataFrame({name: each.stack() for name, each in columns.items()}).query("n > 0")  # noqa: PD013


def paired_differences(results: pd.DataFrame, reference: str, measures: Sequence[str] = SHOWN) -> pd.DataFrame:
    """Compare every method with a reference method on the same trials, which is much sharper.

    Returns
    -------
    pandas.DataFrame
        As `performance`; ``difference`` (method minus reference) in place of ``mean``, its ``mcse`` from the paired
        differences, ``n`` trials in which both have the measure. A ValueError if there are no results of the reference.
    """
    there, keys = sorted(set(results["method"].astype(str))), ["scenario", "population", "replicate"]
    if reference not in there:
        raise ValueError(f"there are no results of {reference!r}; there are {there}")
    chosen = list(measures)
    of_reference = results[results["method"] == reference].set_index(keys)[chosen]
    others = results[results["method"] != reference].set_index(keys)
    paired = (others[chosen] - of_reference.reindex(others.index)).assign(method=others["method"])
    return performance(paired.reset_index(), chosen).rename(columns={"mean": "difference"})


def failures(results: pd.DataFrame) -> pd.DataFrame:
    """Count the replicates that failed.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method``; columns ``replicates``, ``failed`` (the method raised an exception or its process
        died), ``errors`` (the classes of the exceptions with their numbers, most frequent first).
    """
    once = results.drop_duplicates(["scenario", "method", "replicate"])
    errors = once.groupby(["scenario", "method"], observed=True, sort=False)["error"]
    failed = errors.agg(lambda each: (each != "").sum())
    return pd.DataFrame({"replicates": errors.size(), "failed": failed, "errors": errors.agg(_counted)})


def _counted(errors: pd.Series) -> str:
    return ", ".join(f"{name} {number}" for name, number in errors[errors != ""].value_counts().items())


def average_effect_performance(results: pd.DataFrame) -> pd.DataFrame:
    """Performance of each method's estimator of the average risk difference; a profile patient's is its own effect.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method, population, measure``; columns ``value`` and ``mcse``. Measures: ``bias`` and
        ``empirical_se`` (percentage points), and for methods with intervals (per cent) ``relative_se_error`` (error of
        the root mean square of the intervals' half widths / 1.96 as an estimate of the empirical SE), ``coverage`` and
        ``bias_eliminated_coverage`` (of the mean estimate in place of the truth).

    Notes
    -----
    In the trial's own patients the true average differs from replicate to replicate. All measures are therefore
    those of the error, estimate minus truth; where the truth is fixed this is what table 6 of the reference says.
    """
    columns = ["ate_estimate", "ate_lower", "ate_upper", "ate_truth"]
    found = {
        cell: pd.DataFrame.from_dict(_table_6(*group[columns].to_numpy().T), "index", columns=["value", "mcse"])
        for cell, group in results.dropna(subset="ate_estimate").groupby(_CELL, observed=True, sort=False)
    }
    if not found:
        raise ValueError("no method has an estimate of the average effect in these results; every replicate failed")
    return POINTS * pd.concat(found, names=[*_CELL, "measure"])


def _table_6(
    estimate: FloatArray, lower: FloatArray, upper: FloatArray, truth: FloatArray
) -> dict[str, tuple[float, float]]:
    """Measures with their errors, as shares, for one cell; each argument of shape (replicates,)."""
    error, there = estimate - truth, np.isfinite(upper - lower)
    empirical = _sd(error)
    of_empirical = 1.0 / math.sqrt(2.0 * (error.size - 1)) if error.size > 1 else math.nan
    rows = {"bias": mean_and_error(error), "empirical_se": (empirical, empirical * of_empirical)}
    if not there.any():
        return rows
    n, variance = int(there.sum()), np.square((upper - lower)[there] / (2.0 * Z))
    ratio = math.sqrt(float(variance.mean())) / empirical if empirical > 0.0 else math.nan
    of_model = _sd(variance) / (2.0 * float(variance.mean()) * math.sqrt(n))
    rows["relative_se_error"] = (ratio - 1.0, ratio * math.hypot(of_model, of_empirical))
    for name, at in (("coverage", 0.0), ("bias_eliminated_coverage", error.mean())):
        covered = float((((lower - truth)[there] <= at) & ((upper - truth)[there] >= at)).mean())
        rows[name] = (covered, share_error(covered, n))
    return rows


def _sd(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else math.nan


def fixed_rules(scenarios: Sequence[str], worth: int = 0) -> pd.DataFrame:
    """Regret of "treat all" and "treat none" in each scenario's large population (bleeds per 1000; no random error).

    `worth`: of a benefit of treatment elsewhere, in bleeds per 1000 patients (a key of `REGRETS`).
    """
    rows = {}
    for name in scenarios:
        net = population(SCENARIOS[name]).truth.risk_difference - worth / PER_THOUSAND
        best = np.minimum(net, 0.0).mean()
        rows[name] = {
            "treat all": PER_THOUSAND * float(net.mean() - best),
            "treat none": PER_THOUSAND * abs(float(best)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="scenario")


def of_trial(results: pd.DataFrame, scenario: str, method: str, where: str) -> pd.DataFrame:
    """Results of one scenario, method and population, successful replicates alone, by number of the replicate."""
    wanted = (results["scenario"] == scenario) & (results["method"] == method) & (results["population"] == where)
    found = results[wanted & (results["error"] == "")].set_index("replicate").sort_index()
    if found.empty:
        raise ValueError(f"no results of method {method!r} in scenario {scenario!r}, population {where!r}")
    return found


def common_trials(results: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Results of these methods on the trials that all of them have met without failure, scenario by scenario."""
    chosen = results[results["method"].isin(list(methods)) & (results["error"] == "")]
    met = chosen.groupby(["scenario", "replicate"], observed=True)["method"].transform("nunique")
    return chosen[met == len(methods)]


def in_words(difference: float, mcse: float, digits: int = 2) -> str:
    """Say a difference: "larger by 0.94 ± 0.15", "smaller by …" or "not told apart (+0.02 ± 0.05)".

    Raises
    ------
    ValueError
        If the difference has no Monte Carlo error (fewer than two trials), so that nothing can be said.
    """
    if not (math.isfinite(difference) and math.isfinite(mcse)):
        raise ValueError(f"a difference of {difference} ± {mcse} cannot be judged; compare at least two common trials")
    if abs(difference) > ERRORS_NEEDED * mcse:
        word = "larger" if difference > 0.0 else "smaller"
        return f"{word} by {abs(difference):.{digits}f} ± {mcse:.{digits}f}"
    return f"not told apart ({difference:+.{digits}f} ± {mcse:.{digits}f})"


def compare(
    results: pd.DataFrame, method: str, reference: str, measure: str, scenario: str = PAPER_DESIGN, digits: int = 2
) -> str:
    """Say how a method's measure stands to a reference's in new patients, on the trials that both have met."""
    values, others = _paired(results, [method, reference], measure, scenario)
    return in_words(*mean_and_error(values - others), digits)


def compare_with_fixed_rule(results: pd.DataFrame, method: str, scenario: str, digits: int = 2) -> str:
    """Say how a method's mean regret stands to that of treating all or none, whichever is better (known exactly)."""
    (regret,) = _paired(results, [method], "regret", scenario)
    return in_words(*mean_and_error(regret - fixed_rules([scenario]).to_numpy().min()), digits)


def share_of_gain(
    results: pd.DataFrame, start: str, halfway: str, end: str, measure: str = "rd_rmse", scenario: str = PAPER_DESIGN
) -> tuple[float, float]:
    """Which part of what `end` gains over `start` a method in between has already, with its Monte Carlo error.

    Returns
    -------
    tuple of float
        The ratio of the two mean paired differences, and its standard error by linearisation (delta method).

    Raises
    ------
    ValueError
        If `end` is not told apart from `start`: a ratio to nothing.
    """
    first, between, last = _paired(results, [start, halfway, end], measure, scenario)
    part, whole = first - between, first - last
    gain, error = mean_and_error(whole)
    if abs(gain) <= ERRORS_NEEDED * error:
        raise ValueError(f"{end!r} is not told apart from {start!r} in {measure}; there is no gain to share")
    ratio = float(part.mean()) / gain
    return ratio, mean_and_error(part - ratio * whole)[1] / abs(gain)


def _paired(results: pd.DataFrame, methods: Sequence[str], measure: str, scenario: str) -> list[FloatArray]:
    """Return the measure of each method on the trials that all have met, in shown units, each of shape (trials,)."""
    columns = [of_trial(results, scenario, method, POPULATION)[measure] for method in methods]
    shared = reduce(pd.Index.intersection, (column.index for column in columns))
    return [UNITS.get(measure, 1.0) * column.loc[shared].to_numpy(np.float64) for column in columns]
