"""All methods on one trial, side by side: what each says on average, of single patients, by risk, and whom it treats.

The event is bleeding: positive effects are harm. Risk differences are probabilities inside the records, and percentage
points in the tables. Tables have a row a method, by its name in `METHODS`; `labelled` puts the names for readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from hte_utils.effects.strata import quantile_groups
from hte_utils.ledger.entries import Reproduced
from hte_utils.methods.estimates import EffectEstimates, MethodResult
from hte_utils.methods.measures import PER_THOUSAND, POINTS, PatientTruth, measure
from hte_utils.methods.registry import METHODS, named_child
from hte_utils.trial import EffectScale, TrialTruth

TRUTH: Final = "truth"
_ACCURACY: Final = {
    "correlation": ("rd_correlation", 1.0),
    "rmse": ("rd_rmse", POINTS),
    "bias": ("rd_bias", POINTS),
    "slope": ("rd_slope", 1.0),
    "coverage": ("rd_coverage", 1.0),
    "width": ("rd_width", POINTS),
    "lor_correlation": ("lor_correlation", 1.0),
    "lor_rmse": ("lor_rmse", 1.0),
    "lor_coverage": ("lor_coverage", 1.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What the methods say after one trial, and what is true of its patients and of a few profile patients.

    `results` are by method's name: the estimates for the trial's own patients, then for the profiles.
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
    profiles: pd.DataFrame,
    profile_truth: PatientTruth,
    *,
    seed: int,
    names: Sequence[str] = tuple(METHODS),
) -> Comparison:
    """Run methods (keys of `METHODS`) on a trial, and ask each of a few profile patients as well.

    `profiles` are their covariates, the index their names. The methods do not see the truth. Each has a stream of
    random numbers of its own, which depends on the seed and on the method's name.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"there is no method {unknown}; choose from {list(METHODS)}")
    results = {}
    for name in names:
        rng = np.random.default_rng(named_child(np.random.SeedSequence(seed), name))
        results[name] = METHODS[name](trial, [trial, profiles], rng)
    return Comparison(results, truth, profile_truth, tuple(profiles.index))


def truth_of(trial: TrialTruth) -> PatientTruth:
    """What is true of the patients of a trial whose effects were made on the log odds (else a ValueError)."""
    if trial.scale is not EffectScale.LOG_ODDS_RATIO:
        raise ValueError(f"the trial's effects must be log odds ratios, not on the scale {trial.scale.value!r}")
    return PatientTruth(trial.treatment_effect.copy(), trial.baseline_risk.copy(), trial.risk_difference.copy())


def ladder() -> pd.DataFrame:
    """The methods and what each assumes: index `method`; columns in words."""
    rows = {
        method.label: (method.assumes, method.estimates, method.intervals or "none", method.library)
        for method in METHODS.values()
    }
    columns = ["assumes of the effect", "estimates", "95 % intervals", "library"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(index="method")


def average_by_method(comparison: Comparison) -> pd.DataFrame:
    """Average risk difference of the trial's patients: `value`, `lower`, `upper`, percentage points."""
    found = {name: comparison.of_trial(name).average_risk_difference for name in comparison.results}
    rows = {name: (each.value, each.lower, each.upper) for name, each in found.items()}
    return POINTS * pd.DataFrame.from_dict(rows, orient="index", columns=["value", "lower", "upper"]).astype(float)


def accuracy(comparison: Comparison) -> pd.DataFrame:
    """Agreement of individual effects with the truth.

    Returns
    -------
    pandas.DataFrame
        Risk differences (percentage points): `correlation`, `rmse`, `bias`, `slope` (calibration), `coverage` (share of
        patients whose 95 % interval holds the truth), `width`. Log odds ratios: `lor_correlation`, `lor_rmse`,
        `lor_coverage`. NaN where a method has no such thing.
    """
    found = {name: measure(comparison.of_trial(name), comparison.truth) for name in comparison.results}
    names, factors = zip(*_ACCURACY.values(), strict=True)
    table = pd.DataFrame.from_dict(found, orient="index")[list(names)] * list(factors)
    return table.set_axis(list(_ACCURACY), axis="columns")


def profile_effects(comparison: Comparison) -> pd.DataFrame:
    """Risk difference of each profile (percentage points): first row the truth, then a row a method."""
    rows = {TRUTH: comparison.profile_truth.risk_difference} | {
        name: comparison.of_profiles(name).risk_difference.value for name in comparison.results
    }
    return POINTS * pd.DataFrame.from_dict(rows, orient="index", columns=list(comparison.profile_names))


def quintile_effects(comparison: Comparison) -> pd.DataFrame:
    """Mean risk difference by quintile of the *true* baseline risk (percentage points), so that groups are the same.

    First row the truth, then a row a method; columns Q1 (lowest risk) to Q5.
    """
    columns = {TRUTH: comparison.truth.risk_difference} | {
        name: comparison.of_trial(name).risk_difference.value for name in comparison.results
    }
    group = quantile_groups(comparison.truth.baseline_risk, 5)
    return POINTS * pd.DataFrame(columns).groupby(group).mean().rename("Q{}".format).T


def treatment_rules(comparison: Comparison) -> pd.DataFrame:
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
    table = pd.DataFrame({name: (treated.mean(), (treated * true).mean()) for name, treated in rules.items()}).T
    table.columns = pd.Index(["treated", "bleeds"])
    table["bleeds"] *= PER_THOUSAND
    return table.assign(cost=table["bleeds"] - PER_THOUSAND * np.minimum(true, 0.0).mean())


def guarded_averages(comparison: Comparison) -> dict[str, Reproduced]:
    """Average risk difference (percentage points) of each method that says how large its Monte Carlo error is.

    By ``comparison.<method>.value``, for `hte_utils.ledger.guard`.
    """
    return {
        f"comparison.{name}.value": Reproduced(
            POINTS * float(result.estimates[0].average_risk_difference.value), POINTS * result.notes["mcse_average"]
        )
        for name, result in comparison.results.items()
        if "mcse_average" in result.notes
    }


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with methods' labels in place of their names; other rows keep theirs."""
    return table.rename(index={name: method.label for name, method in METHODS.items()})
