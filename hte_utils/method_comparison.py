"""All methods on one trial, side by side: what each says on average, of single patients, by risk, and whom it treats.

The event is bleeding: positive effects are harm. Risk differences are probabilities inside the records, and percentage
points in the tables, whose columns say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.comparators import METHODS
from hte_utils.ledger.entries import Reproduced
from hte_utils.strata import quantile_groups
from hte_utils.study.generate import PatientTruth
from hte_utils.study.measures import measure
from hte_utils.study.replicate import named_child
from hte_utils.trial import EffectScale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hte_utils.comparators import EffectEstimates, IntervalEstimate, MethodResult
    from hte_utils.study.generate import SimulatedTrial
    from hte_utils.trial import TrialTruth

POINTS = 100.0
"""Percentage points of a risk difference of 1."""
PER_THOUSAND = 1000.0
TRUTH = "truth"
MCSE_AVERAGE = "mcse_average"
"""The note in which a method that draws says how far its average risk difference may be off."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the methods say after one trial.

    Attributes
    ----------
    results
        By method's name; of each the estimates for the trial's own patients, then for the profiles.
    truth, profile_truth
        What is true of the trial's patients, and of the profiles.
    profile_names
        Names of the profiles.
    """

    results: Mapping[str, MethodResult]
    truth: PatientTruth
    profile_truth: PatientTruth
    profile_names: tuple[str, ...]

    def of_trial(self, name: str) -> EffectEstimates:
        """Estimates of the trial's patients by one method."""
        return self.results[name].estimates[0]

    def of_profiles(self, name: str) -> EffectEstimates:
        """Estimates of the profiles by one method."""
        return self.results[name].estimates[1]


def compare_methods(
    trial: pd.DataFrame,
    truth: PatientTruth,
    profiles: SimulatedTrial,
    profile_names: Sequence[str],
    *,
    seed: int,
    names: Sequence[str] = tuple(METHODS),
) -> Comparison:
    """Run methods on a trial.

    Parameters
    ----------
    trial, truth
        The trial, and what is true of its patients; the methods do not see the latter.
    profiles, profile_names
        A few patients of whom each method is asked, with their names.
    seed
        Each method has a stream of random numbers of its own, which depends on this and on the method's name.
    names
        Which methods, keys of `METHODS`.

    Raises
    ------
    ValueError
        If there is no such method, or a method cannot be used on this trial.
    """
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        raise ValueError(f"there is no method {unknown}; choose from {list(METHODS)}")
    populations = [trial, profiles.covariates]
    results = {}
    for name in names:
        rng = np.random.default_rng(named_child(np.random.SeedSequence(seed), name))
        results[name] = METHODS[name](trial, populations, rng)
    return Comparison(results, truth, profiles.truth, tuple(profile_names))


def truth_of(trial: TrialTruth) -> PatientTruth:
    """What is true of the patients of a trial on the log-odds and the risk scale.

    Raises
    ------
    ValueError
        If the trial's effects were not made on the log odds.
    """
    if trial.scale is not EffectScale.LOG_ODDS:
        raise ValueError(f"the trial's effects must be log odds ratios, not on the scale {trial.scale.value!r}")
    return PatientTruth(trial.treatment_effect.copy(), trial.baseline_risk.copy(), trial.risk_difference.copy())


def ladder() -> pd.DataFrame:
    """The methods and what each assumes: index `method`; columns in words."""
    rows = [
        {
            "assumes of the effect": method.assumes,
            "estimates": method.estimates,
            "95 % intervals": method.intervals or "none",
            "library": method.library,
        }
        for method in METHODS.values()
    ]
    return pd.DataFrame(rows, index=pd.Index([method.label for method in METHODS.values()], name="method"))


def average_effects(comparison: Comparison) -> pd.DataFrame:
    """Average risk difference of the trial's patients by method: `value`, `lower`, `upper`, percentage points."""
    rows = {
        name: _interval_row(result.estimates[0].average_risk_difference) for name, result in comparison.results.items()
    }
    return POINTS * pd.DataFrame.from_dict(rows, orient="index", columns=["value", "lower", "upper"])


def accuracy(comparison: Comparison) -> pd.DataFrame:
    """Agreement of individual effects with the truth, by method.

    Returns
    -------
    pandas.DataFrame
        Risk differences (percentage points): `correlation`, `rmse`, `bias`, `slope` (calibration), `coverage` (share of
        patients whose 95 % interval holds the truth), `width`. Log odds ratios: `lor_correlation`, `lor_rmse`,
        `lor_coverage`. NaN where a method has no such thing.
    """
    rows = {}
    for name, result in comparison.results.items():
        found = measure(result.estimates[0], comparison.truth)
        rows[name] = {
            "correlation": found["rd_correlation"],
            "rmse": POINTS * found["rd_rmse"],
            "bias": POINTS * found["rd_bias"],
            "slope": found["rd_slope"],
            "coverage": found["rd_coverage"],
            "width": POINTS * found["rd_width"],
            "lor_correlation": found["lor_correlation"],
            "lor_rmse": found["lor_rmse"],
            "lor_coverage": found["lor_coverage"],
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def profile_effects(comparison: Comparison) -> pd.DataFrame:
    """Risk difference of each profile (percentage points): first row the truth, then a row a method."""
    rows = {TRUTH: comparison.profile_truth.risk_difference} | {
        name: comparison.of_profiles(name).risk_difference.value for name in comparison.results
    }
    return POINTS * pd.DataFrame.from_dict(rows, orient="index", columns=list(comparison.profile_names))


def quintile_effects(comparison: Comparison) -> pd.DataFrame:
    """Mean risk difference by quintile of the *true* baseline risk (percentage points), so that groups are the same.

    Returns
    -------
    pandas.DataFrame
        First row the truth, then a row a method; columns Q1 (lowest risk) to Q5.
    """
    group = quantile_groups(comparison.truth.baseline_risk, 5)
    rows = {TRUTH: comparison.truth.risk_difference} | {
        name: comparison.of_trial(name).risk_difference.value for name in comparison.results
    }
    columns = {
        f"Q{k}": {name: POINTS * values[group == k].mean() for name, values in rows.items()} for k in range(1, 6)
    }
    return pd.DataFrame(columns, index=list(rows))


def policies(comparison: Comparison) -> pd.DataFrame:
    """Whom each method would treat if it treated where its risk difference is below zero, and what that costs.

    Returns
    -------
    pandas.DataFrame
        A row a method, then ``treat all`` and ``treat none``. `treated`: share of the patients; `bleeds`: bleeds per
        1000 patients under the rule, less those if nobody were treated; `cost`: the same above the best possible rule,
        which treats exactly those whom treatment truly protects.
    """
    true = comparison.truth.risk_difference
    rules = {name: comparison.of_trial(name).risk_difference.value < 0.0 for name in comparison.results}
    rules |= {"treat all": np.ones(true.size, dtype=bool), "treat none": np.zeros(true.size, dtype=bool)}
    best = np.minimum(true, 0.0).mean()
    rows = {}
    for name, treated in rules.items():
        bleeds = np.where(treated, true, 0.0).mean()
        rows[name] = {
            "treated": treated.mean(),
            "bleeds": PER_THOUSAND * bleeds,
            "cost": PER_THOUSAND * (bleeds - best),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def guarded_averages(comparison: Comparison) -> dict[str, Reproduced]:
    """Average risk difference (percentage points) of each method that says how large its Monte Carlo error is.

    Returns
    -------
    dict
        By ``comparison.<method>.value``, for `hte_utils.ledger.guard`.
    """
    return {
        f"comparison.{name}.value": Reproduced(
            POINTS * float(result.estimates[0].average_risk_difference.value), POINTS * result.notes[MCSE_AVERAGE]
        )
        for name, result in comparison.results.items()
        if MCSE_AVERAGE in result.notes
    }


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with methods' labels in place of their names; other rows keep theirs."""
    labels = {name: method.label for name, method in METHODS.items()}
    return table.rename(index=labels)


def _interval_row(estimate: IntervalEstimate) -> tuple[float, float, float]:
    if estimate.lower is None or estimate.upper is None:
        return float(estimate.value), np.nan, np.nan
    return float(estimate.value), float(estimate.lower), float(estimate.upper)
