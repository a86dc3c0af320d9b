"""Methods compared on the same trials: differences with their Monte Carlo errors, and words that follow from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce
from typing import Final

import numpy as np
import pandas as pd

from hte_utils.model.checks import FloatArray
from hte_utils.study.findings import SHOWN, fixed_rules, of_trial
from hte_utils.study.performance import mean_and_error
from hte_utils.study.replicate import POPULATION
from hte_utils.study.scenarios import PAPER_DESIGN

ERRORS_NEEDED: Final = 2.0
"""A difference is called one where it is larger than so many of its Monte Carlo standard errors."""


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


def common_trials(results: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Results of these methods on the trials that all of them have met without failure, scenario by scenario."""
    chosen = results[results["method"].isin(list(methods)) & (results["error"] == "")]
    met = chosen.groupby(["scenario", "replicate"], observed=True)["method"].transform("nunique")
    return chosen[met == len(methods)]


def compare(
    results: pd.DataFrame, method: str, reference: str, measure: str, scenario: str = PAPER_DESIGN, digits: int = 2
) -> str:
    """Say how a method's measure stands to a reference's in new patients, on the trials that both have met.

    `measure` is a name from `hte_utils.study.findings.SHOWN`; the difference is in the units of the figures.
    """
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
    return [SHOWN[measure] * column.loc[shared].to_numpy(np.float64) for column in columns]
