"""All methods on one trial, side by side: what each says on average, of single patients, by risk, and whom it treats.

Positive effects are harm. Risk differences are probabilities inside the records, and percentage points in tables and
figures. Tables have a row a method, by its name in `METHODS`; `labelled` puts the names for readers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import quantile_groups
from hte_utils.ledger.entries import Reproduced
from hte_utils.methods.estimates import EffectEstimates, MethodResult
from hte_utils.methods.measures import PER_THOUSAND, POINTS, PatientTruth, measure
from hte_utils.methods.registry import METHODS, named_child
from hte_utils.model.checks import FloatArray
from hte_utils.style import BLUE, DIRECTION, GREEN, GREY, ORANGE, VERMILION, canvas
from hte_utils.trial import EffectScale, TrialTruth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
_LOGISTIC = ("logistic", BLUE, "o")
_FAMILIES = {"learners_and_forests": ("trees", ORANGE, "s"), "bayesian": ("hierarchical Bayes", GREEN, "D")}
_REACH = (-5.0, 8.0)
_LIMITS = (-12.0, 45.0)


class Comparison(NamedTuple):
    """What the methods say after one trial, and what is true of its patients and of a few profile patients."""

    results: Mapping[str, MethodResult]  # by method: estimates for the trial's own patients, then for the profiles
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

    `profiles` are their covariates, the index their names. Each method has a stream of random numbers of its own, by
    the seed and the method's name.
    """
    if unknown := [name for name in names if name not in METHODS]:
        raise ValueError(f"there is no method {unknown}; choose from {list(METHODS)}")
    streams = {name: np.random.default_rng(named_child(np.random.SeedSequence(seed), name)) for name in names}
    results = {name: METHODS[name](trial, [trial, profiles], rng) for name, rng in streams.items()}
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
    """Agreement of individual effects with the truth; NaN where a method has no such thing.

    Risk differences (percentage points): `correlation`, `rmse`, `bias`, `slope` (calibration), `coverage` (share of
    patients whose 95 % interval holds the truth), `width`. Log odds ratios: `lor_correlation`, `lor_rmse`,
    `lor_coverage`.
    """
    found = {name: measure(comparison.of_trial(name), comparison.truth) for name in comparison.results}
    names, factors = zip(*_ACCURACY.values(), strict=True)
    table = pd.DataFrame.from_dict(found, orient="index")[list(names)] * list(factors)
    return table.set_axis(list(_ACCURACY), axis="columns")


def profile_effects(comparison: Comparison) -> pd.DataFrame:
    """Risk difference of each profile (percentage points): first row the truth, then a row a method."""
    found = {name: comparison.of_profiles(name).risk_difference.value for name in comparison.results}
    rows = {TRUTH: comparison.profile_truth.risk_difference} | found
    return POINTS * pd.DataFrame.from_dict(rows, orient="index", columns=list(comparison.profile_names))


def quintile_effects(comparison: Comparison) -> pd.DataFrame:
    """Mean risk difference (points), true and by each method, by quintile of the *true* risk, Q1 (lowest) to Q5."""
    found = {name: comparison.of_trial(name).risk_difference.value for name in comparison.results}
    columns = {TRUTH: comparison.truth.risk_difference} | found
    group = quantile_groups(comparison.truth.baseline_risk, 5)
    return POINTS * pd.DataFrame(columns).groupby(group).mean().rename("Q{}".format).T


def treatment_rules(comparison: Comparison) -> pd.DataFrame:
    """Whom each method (then all and none) would treat, where its risk difference is below zero, and what that costs.

    `treated`: share of the patients; `bleeds`: bleeds per 1000 patients under the rule, less those if nobody were
    treated; `cost`: the same above the best rule, which treats exactly those whom treatment truly protects.
    """
    true = comparison.truth.risk_difference
    rules = {name: comparison.of_trial(name).risk_difference.value < 0.0 for name in comparison.results}
    rules |= {"treat all": np.ones(true.size, dtype=bool), "treat none": np.zeros(true.size, dtype=bool)}
    table = pd.DataFrame({name: (treated.mean(), (treated * true).mean()) for name, treated in rules.items()}).T
    table.columns = pd.Index(["treated", "bleeds"])
    table["bleeds"] *= PER_THOUSAND
    return table.assign(cost=table["bleeds"] - PER_THOUSAND * np.minimum(true, 0.0).mean())


def guarded_averages(comparison: Comparison) -> dict[str, Reproduced]:
    """Average risk difference (percentage points) of each method with a Monte Carlo error, for `ledger.guard`."""
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


def average_effects(table: pd.DataFrame, true: float) -> Figure:
    """Draw the average risk difference by method (`average_by_method`), with its interval where there is one."""
    with canvas(height=4.4) as drawn:
        axis = drawn.axis
        axis.axvline(0.0, color="black", linewidth=0.7, linestyle=":")
        axis.axvline(true, color=VERMILION, linewidth=1.5, label="true")
        named = set()
        for place, (name, row) in enumerate(table.iterrows()):
            family, colour, marker = _family(str(name))
            axis.plot(row["value"], place, marker, color=colour, label=None if family in named else family)
            named.add(family)
            if np.isfinite(row["lower"]):
                inside = np.clip([row["lower"], row["upper"]], *_REACH)
                axis.hlines(place, *inside, color=colour, linewidth=1.4)
                if row["lower"] < _REACH[0]:  # runs out of the picture
                    axis.plot(_REACH[0], place, "<", color=colour, clip_on=False)
                if row["upper"] > _REACH[1]:
                    axis.plot(_REACH[1], place, ">", color=colour, clip_on=False)
        axis.set_yticks(np.arange(len(table)), [METHODS[str(name)].label for name in table.index])
        axis.set(xlim=_REACH, xlabel=f"Average risk difference (percentage points)\n{DIRECTION}")
        axis.invert_yaxis()
        axis.legend(loc="upper left")
    return drawn.figure


def individual_effects(comparison: Comparison) -> Figure:
    """Draw the estimated against the true risk difference of every patient, a panel a method (percentage points)."""
    true = POINTS * comparison.truth.risk_difference
    columns = 4
    rows = math.ceil(len(comparison.results) / columns)
    with canvas(columns, rows, height=1.9 * rows, sharex=True, sharey=True) as drawn:
        for axis, name in zip(drawn.axes, comparison.results, strict=False):
            _panel(axis, name, true, POINTS * comparison.of_trial(name).risk_difference.value)
        for axis in drawn.axes[len(comparison.results) :]:
            axis.set_visible(False)
        for axis in drawn.axes[len(comparison.results) - columns : len(comparison.results)]:
            axis.tick_params(labelbottom=True)  # also where the panel below is hidden
        drawn.figure.supxlabel("True risk difference (percentage points; positive: more bleeds)", fontsize=9)
        drawn.figure.supylabel("Estimated risk difference (percentage points)", fontsize=9)
    return drawn.figure


def _panel(axis: Axes, name: str, true: FloatArray, estimated: FloatArray) -> None:
    axis.plot(_LIMITS, _LIMITS, color=GREY, linewidth=0.8)
    axis.axhline(0.0, color="black", linewidth=0.6, linestyle=":")
    axis.axvline(0.0, color="black", linewidth=0.6, linestyle=":")
    axis.plot(true, estimated, ".", color=_family(name)[1], markersize=1.6, alpha=0.4, rasterized=True)
    found = point_metrics(estimated, true)
    axis.text(
        0.03, 0.95, f"r {found.correlation:.2f}\nRMSE {found.rmse:.1f}", transform=axis.transAxes, va="top", fontsize=7
    )
    axis.set(xlim=_LIMITS, ylim=_LIMITS)
    axis.set_title(METHODS[name].label, fontsize=7)


def _family(name: str) -> tuple[str, str, str]:
    """Name, colour and marker of the methods of one module."""
    return _FAMILIES.get(METHODS[name].home, _LOGISTIC)
