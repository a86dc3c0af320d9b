"""Performance over replicates, every number with its Monte Carlo standard error.

The event is bleeding: a positive effect or error is harm, or harm overstated. Three kinds of summary:

- `average_effect_performance`: the estimator of the average effect, by the formulas of Morris, White & Crowther (2019),
  table 6, which R's rsimsum uses as well;
- `mean_measures`: the mean of what each replicate gave (bias, RMSE, coverage, ... over patients), with SD / sqrt(n);
- `paired_differences`: between methods that learned from the same trials, which is much sharper.

Failed replicates have no measures. They are counted (`failures`), and what is said is said of the others: `n` tells of
how many.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from hte_utils.study.measures import MEASURES

if TYPE_CHECKING:
    from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]

CELL: Final = ["scenario", "method", "population"]
_INTERVAL_TO_SE: Final = 2.0 * float(norm.ppf(0.975))


def mean_measures(results: pd.DataFrame, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """Average the measures over replicates.

    Parameters
    ----------
    results
        As `hte_utils.study.store.StudyStore.read` gives them.
    measures
        Names from `MEASURES`; None for all.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method, population, measure``; columns ``mean``, ``mcse`` (SD / sqrt(n): the Monte Carlo
        standard error of the mean; NaN below two replicates or where a value is infinite), ``sd`` (of single
        replicates) and ``n`` (replicates that have the measure). Measures that no replicate has are left out.

    Raises
    ------
    ValueError
        If a measure is unknown.
    """
    chosen = _known(results, measures)
    return _means(results, chosen, CELL)


def average_effect_performance(results: pd.DataFrame) -> pd.DataFrame:
    """Performance of each method's estimator of the average risk difference (a probability; positive = harm).

    Parameters
    ----------
    results
        As `hte_utils.study.store.StudyStore.read` gives them.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method, population, measure``; columns ``value``, ``mcse``, ``n``. Measures: ``bias``,
        ``empirical_se``, ``mse``, and for methods with intervals ``model_se`` (root mean square of the intervals' half
        widths / 1.96), ``relative_error_of_model_se`` (per cent), ``coverage`` and ``bias_eliminated_coverage``.

    Notes
    -----
    In the trial's own patients the true average differs from replicate to replicate. All measures are therefore
    those of the error, estimate minus truth; where the truth is fixed this is what table 6 of the reference says.
    """
    columns = ["ate_estimate", "ate_lower", "ate_upper", "ate_truth"]
    found = {
        cell: _performance(*group[columns].dropna(subset="ate_estimate").to_numpy().T)
        for cell, group in results.groupby(CELL, observed=True, sort=False)
        if group["ate_estimate"].notna().any()
    }
    if not found:
        raise ValueError("no method has an estimate of the average effect in these results; every replicate failed")
    return pd.concat(found, names=[*CELL, "measure"])


def paired_differences(results: pd.DataFrame, reference: str, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare every method with a reference method on the same trials.

    Parameters
    ----------
    results
        As `hte_utils.study.store.StudyStore.read` gives them.
    reference
        Name of the method that is subtracted.
    measures
        Names from `MEASURES`; None for all.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method, population, measure``; columns ``difference`` (mean of method minus reference),
        ``mcse`` (its standard error, from the paired differences), ``n`` (trials in which both have the measure).

    Raises
    ------
    ValueError
        If the reference is not in the results, or a measure is unknown.
    """
    chosen = _known(results, measures)
    if reference not in set(results["method"]):
        raise ValueError(
            f"there are no results of {reference!r}; there are {sorted(set(results['method'].astype(str)))}"
        )
    keys = ["scenario", "population", "replicate"]
    of_reference = results[results["method"] == reference].set_index(keys)[chosen]
    others = results[results["method"] != reference].set_index(keys)
    paired = others[chosen] - of_reference.reindex(others.index)
    paired["method"] = others["method"]
    return _means(paired.reset_index(), chosen, CELL).rename(columns={"mean": "difference"}).drop(columns="sd")


def failures(results: pd.DataFrame) -> pd.DataFrame:
    """Count the replicates that failed.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method``; columns ``replicates``, ``failed`` (the method raised an exception or its process
        died), ``errors`` (the classes of the exceptions with their numbers, most frequent first).
    """
    once = results.drop_duplicates(["scenario", "method", "replicate"])
    rows = {
        cell: {"replicates": len(errors), "failed": int((errors != "").sum()), "errors": _counted(errors)}
        for cell, errors in once.groupby(["scenario", "method"], observed=True, sort=False)["error"]
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(index=["scenario", "method"])


def standard_errors(n: int, coverage: float) -> float:
    """Monte Carlo standard error that a coverage will have after `n` replicates (table 6 of the reference)."""
    if n < 1 or not 0.0 <= coverage <= 1.0:
        raise ValueError(f"needs at least one replicate and a coverage in [0, 1]; got {n} and {coverage}")
    return math.sqrt(coverage * (1.0 - coverage) / n)


def _means(results: pd.DataFrame, measures: list[str], by: list[str]) -> pd.DataFrame:
    """Mean, Monte Carlo standard error, SD and number of values of each measure in each group."""
    groups = results.groupby(by, observed=True, sort=False)[measures]
    with np.errstate(invalid="ignore"):  # an infinite width has no SD
        wide = {"mean": groups.mean(), "sd": groups.std(), "n": groups.count()}
    columns = {name: each.rename_axis(columns="measure").stack() for name, each in wide.items()}  # noqa: PD013
    table = pd.DataFrame(columns)
    table.insert(1, "mcse", table["sd"] / np.sqrt(table["n"]))
    return table[table["n"] > 0]


def _performance(estimate: FloatArray, lower: FloatArray, upper: FloatArray, truth: FloatArray) -> pd.DataFrame:
    """Table 6 of Morris, White & Crowther (2019) for one cell; each argument of shape (replicates,)."""
    error, n = estimate - truth, estimate.size
    squares = np.square(error)
    empirical = _sd(error)
    rows = {
        "bias": (error.mean(), empirical / math.sqrt(n)),
        "empirical_se": (empirical, empirical / math.sqrt(2.0 * (n - 1)) if n > 1 else math.nan),
        "mse": (squares.mean(), _sd(squares) / math.sqrt(n)),
    }
    counts = dict.fromkeys(rows, n)
    with_interval = np.isfinite(upper - lower)
    if with_interval.any():
        intervals = _interval_performance(error, (lower - truth)[with_interval], (upper - truth)[with_interval])
        rows |= intervals
        counts |= dict.fromkeys(intervals, int(with_interval.sum()))
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "mcse"])
    return table.assign(n=pd.Series(counts))


def _interval_performance(error: FloatArray, lower: FloatArray, upper: FloatArray) -> dict[str, tuple[float, float]]:
    """What needs intervals; their ends are relative to the truth."""
    n, empirical = lower.size, _sd(error)
    variance = np.square((upper - lower) / _INTERVAL_TO_SE)
    model = math.sqrt(float(variance.mean()))
    spread = _sd(variance)
    model_mcse = spread / (2.0 * model * math.sqrt(n))
    ratio = model / empirical if empirical > 0.0 else math.nan
    relative_mcse = (
        ratio * math.sqrt(spread**2 / (4.0 * n * model**4) + 1.0 / (2.0 * (error.size - 1)))
        if error.size > 1
        else math.nan
    )
    covered = float(((lower <= 0.0) & (upper >= 0.0)).mean())
    eliminated = float(((lower <= error.mean()) & (upper >= error.mean())).mean())
    return {
        "model_se": (model, model_mcse),
        "relative_error_of_model_se": (100.0 * (ratio - 1.0), 100.0 * relative_mcse),
        "coverage": (covered, standard_errors(n, covered)),
        "bias_eliminated_coverage": (eliminated, standard_errors(n, eliminated)),
    }


def _sd(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else math.nan


def _counted(errors: pd.Series) -> str:
    counts = errors[errors != ""].value_counts()
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _known(results: pd.DataFrame, measures: Sequence[str] | None) -> list[str]:
    there = [name for name in MEASURES if name in results]
    chosen = there if measures is None else list(measures)
    unknown = [name for name in chosen if name not in there]
    if unknown:
        raise ValueError(f"there is no measure {unknown} in these results; choose from {there}")
    return chosen
