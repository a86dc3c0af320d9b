"""Performance over replicates, every number with its Monte Carlo standard error.

The event is bleeding: a positive effect or error is harm, or harm overstated. All functions take results as
`hte_utils.study.store.StudyStore.read` gives them. Failed replicates have no measures. They are counted (`failures`),
and what is said is said of the others: `n` tells of how many.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102; table 6 has the formulas, which R's rsimsum uses
as well.

Two methods compared on the same trials, in words that the numbers decide.

A method is "larger by" or "smaller by" in a measure only where the paired difference exceeds twice its Monte Carlo
standard error; else the two are "not told apart". The chapters compare nothing in any other way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from hte_utils.methods.measures import MEASURES
from hte_utils.model.checks import FloatArray

CELL: Final = ["scenario", "method", "population"]
Z: Final = float(norm.ppf(0.975))


def mean_measures(results: pd.DataFrame, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """Average measures (names from `MEASURES`; None for all there are) over replicates.

    Returns
    -------
    pandas.DataFrame
        Index ``scenario, method, population, measure``; columns ``mean``, ``mcse`` (SD / sqrt(n): the Monte Carlo
        standard error of the mean; NaN below two replicates or where a value is infinite), ``sd`` (of single
        replicates) and ``n`` (replicates that have the measure). Measures that no replicate has are left out.
    """
    groups = results.groupby(CELL, observed=True, sort=False)[_known(results, measures)]
    with np.errstate(invalid="ignore"):  # an infinite width has no SD
        wide = {"mean": groups.mean(), "sd": groups.std(), "n": groups.count()}
    columns = {name: each.rename_axis(columns="measure").stack() for name, each in wide.items()}  # noqa: PD013
    table = pd.DataFrame(columns)
    table.insert(1, "mcse", table["sd"] / np.sqrt(table["n"]))
    return table[table["n"] > 0]


def paired_differences(results: pd.DataFrame, reference: str, measures: Sequence[str] | None = None) -> pd.DataFrame:
    """Compare every method with a reference method on the same trials, which is much sharper.

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
    chosen, there = _known(results, measures), sorted(set(results["method"].astype(str)))
    if reference not in there:
        raise ValueError(f"there are no results of {reference!r}; there are {there}")
    keys = ["scenario", "population", "replicate"]
    of_reference = results[results["method"] == reference].set_index(keys)[chosen]
    others = results[results["method"] != reference].set_index(keys)
    paired = (others[chosen] - of_reference.reindex(others.index)).assign(method=others["method"])
    return mean_measures(paired.reset_index(), chosen).rename(columns={"mean": "difference"}).drop(columns="sd")


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


def average_effect_performance(results: pd.DataFrame) -> pd.DataFrame:
    """Performance of each method's estimator of the average risk difference (a probability; positive = harm).

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
        cell: _performance(*group[columns].to_numpy().T)
        for cell, group in results.dropna(subset="ate_estimate").groupby(CELL, observed=True, sort=False)
    }
    if not found:
        raise ValueError("no method has an estimate of the average effect in these results; every replicate failed")
    return pd.concat(found, names=[*CELL, "measure"])


def share_error(share: float, n: int) -> float:
    """Monte Carlo standard error of a share of `n` replicates."""
    return math.sqrt(share * (1.0 - share) / n)


def mean_and_error(values: FloatArray) -> tuple[float, float]:
    """Mean over replicates and its Monte Carlo standard error (NaN below two)."""
    return float(values.mean()), _sd(values) / math.sqrt(values.size)


def _performance(estimate: FloatArray, lower: FloatArray, upper: FloatArray, truth: FloatArray) -> pd.DataFrame:
    """Table 6 of Morris, White & Crowther (2019) for one cell; each argument of shape (replicates,)."""
    error, n = estimate - truth, estimate.size
    empirical = _sd(error)
    rows = {
        "bias": (*mean_and_error(error), n),
        "empirical_se": (empirical, empirical / math.sqrt(2.0 * (n - 1)) if n > 1 else math.nan, n),
        "mse": (*mean_and_error(np.square(error)), n),
    }
    there = np.isfinite(upper - lower)
    if there.any():
        ends = ((lower - truth)[there], (upper - truth)[there])
        rows |= {name: (*each, ends[0].size) for name, each in _interval_performance(error, *ends).items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "mcse", "n"])


def _interval_performance(error: FloatArray, lower: FloatArray, upper: FloatArray) -> dict[str, tuple[float, float]]:
    """What needs intervals; their ends are relative to the truth."""
    n, empirical = lower.size, _sd(error)
    variance = np.square((upper - lower) / (2.0 * Z))
    model, spread = math.sqrt(float(variance.mean())), _sd(variance)
    ratio = model / empirical if empirical > 0.0 else math.nan
    of_errors = 1.0 / (2.0 * (error.size - 1)) if error.size > 1 else math.nan
    relative_mcse = ratio * math.sqrt(spread**2 / (4.0 * n * model**4) + of_errors)
    covered, eliminated = (float(((lower <= at) & (upper >= at)).mean()) for at in (0.0, error.mean()))
    return {
        "model_se": (model, spread / (2.0 * model * math.sqrt(n))),
        "relative_error_of_model_se": (100.0 * (ratio - 1.0), 100.0 * relative_mcse),
        "coverage": (covered, share_error(covered, n)),
        "bias_eliminated_coverage": (eliminated, share_error(eliminated, n)),
    }


def _sd(values: FloatArray) -> float:
    return float(values.std(ddof=1)) if values.size > 1 else math.nan


def _counted(errors: pd.Series) -> str:
    return ", ".join(f"{name} {number}" for name, number in errors[errors != ""].value_counts().items())


def _known(results: pd.DataFrame, measures: Sequence[str] | None) -> list[str]:
    there = [name for name in MEASURES if name in results]
    chosen = there if measures is None else list(measures)
    if unknown := [name for name in chosen if name not in there]:
        raise ValueError(f"there is no measure {unknown} in these results; choose from {there}")
    return chosen
