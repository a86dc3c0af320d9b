"""Figures of chapter 9: average and group effects, probabilities of harm, and risk groups found with the same data.

Tables of effects are those of `hte_utils.corrected.effects_report`; risk differences are drawn in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from hte_utils.corrected.same_data import Ranking, RiskModel
from hte_utils.effects.averages import Measure
from hte_utils.model.checks import FloatArray
from hte_utils.style import (
    ARM_COLOURS,
    BLACK,
    BLUE,
    DIRECTION,
    GREEN,
    GREY,
    VERMILION,
    canvas,
    dots_with_intervals,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUINTILE = "Quintile of predicted baseline risk"
_RANKINGS = {
    Ranking.SAME_DATA: (VERMILION, "o", -0.13, "ranked with the same data"),
    Ranking.CROSS_FITTED: (BLUE, "s", 0.13, "ranked out of fold"),
}


def probability_of_harm(probabilities: Mapping[str, FloatArray], true_difference: FloatArray) -> Figure:
    """Distribution over patients of P(harm), divided by what treatment truly does to them, and effects against it.

    `probabilities`: by model, each patient's posterior probability that treatment raises the risk; `true_difference`:
    their true risk differences (probabilities); shape (patients,) each.
    """
    harmed = true_difference > 0
    with canvas(len(probabilities), 2, height=5.4, sharex=True, sharey=False) as drawn:
        for column, (name, probability) in enumerate(probabilities.items()):
            above, below = drawn.axes[column], drawn.axes[column + len(probabilities)]
            above.hist(
                [probability[~harmed], probability[harmed]],
                bins=np.linspace(0.0, 1.0, 21).tolist(),
                stacked=True,
                color=[BLUE, VERMILION],
                edgecolor="white",
                linewidth=0.4,
                hatch=["", "///"],
                label=["treatment truly lowers the risk", "treatment truly raises the risk"],
            )
            above.set_title(name)
            for these, colour, marker in ((~harmed, BLUE, "o"), (harmed, VERMILION, "^")):
                effects = 100 * true_difference[these]
                below.plot(probability[these], effects, marker, color=colour, markersize=2, alpha=0.4)
            below.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
            below.set(xlabel="Posterior probability of harm", xlim=(0, 1))
        drawn.axes[0].set(ylabel="Patients")
        drawn.axes[len(probabilities)].set(ylabel=f"True risk difference (points)\n{DIRECTION}")
        drawn.figure.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure


def forest(sources: Mapping[str, pd.DataFrame], true: pd.DataFrame) -> Figure:
    """Risk difference of every population of `true` with its 95 % interval by source (at most three), and the truth."""
    truth = _of(true, Measure.RISK_DIFFERENCE)
    place = np.arange(len(truth))[::-1]
    shifts = np.linspace(0.24, -0.24, len(sources)) if len(sources) > 1 else np.zeros(1)
    looks = zip(((GREY, "o"), (BLUE, "s"), (GREEN, "D")), shifts, strict=False)
    with canvas(width=7.2, height=0.9 + 0.46 * len(truth)) as drawn:
        axis = drawn.axis
        axis.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
        for (name, table), ((colour, marker), shift) in zip(sources.items(), looks, strict=True):
            interval = _interval(_of(table, Measure.RISK_DIFFERENCE).loc[truth.index], 100)
            style = {"fmt": marker, "color": colour, "capsize": 0, "label": name}
            dots_with_intervals(axis, place + shift, interval, style, across=True)
        axis.vlines(100 * truth["estimate"], place - 0.36, place + 0.36, color=VERMILION, linewidth=2.5, label="true")
        axis.set_yticks(place, list(truth.index))
        axis.set(xlabel=f"Average risk difference (percentage points)\n{DIRECTION}")
        drawn.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure


def risks_and_effects_by_group(
    risks: xr.Dataset, posterior: pd.DataFrame, unadjusted: pd.DataFrame, true: pd.DataFrame
) -> Figure:
    """Risks by arm (from `standardised_risks`), risk difference and risk ratio in each group: model, observed, true."""
    groups = [str(name) for name in risks["population"].to_numpy()]
    with canvas(3, width=8.2, height=3.9) as drawn:
        left, middle, right = drawn.axes
        _risks(left, risks, _of(unadjusted, Measure.RISK_DIFFERENCE).loc[groups])
        for axis, measure in ((middle, Measure.RISK_DIFFERENCE), (right, Measure.RISK_RATIO)):
            _effects(axis, measure, *(_of(table, measure).loc[groups] for table in (unadjusted, posterior, true)))
        left.set(ylabel="Risk of a major bleed (%)", ylim=(0, None))
        middle.set(ylabel=f"Risk difference (percentage points)\n{DIRECTION}", xlabel=_QUINTILE)
        right.set(ylabel="Risk ratio (above 1: more bleeds)", yscale="log")
        right.set_yticks([0.2, 0.5, 1, 2, 5], ["0.2", "0.5", "1", "2", "5"])
        right.minorticks_off()
        for axis in drawn.axes:
            axis.set_xticks(np.arange(len(groups)), groups)
        arms, effects = left.get_legend_handles_labels(), middle.get_legend_handles_labels()
        drawn.figure.legend(arms[0] + effects[0], arms[1] + effects[1], loc="outside upper center", ncols=4)
    return drawn.figure


def _risks(axis: Axes, risks: xr.Dataset, counts: pd.DataFrame) -> None:
    place = np.arange(len(counts))
    for arm, name, variable, marker, line, shift in (
        ("control", "Control", "untreated", "o", "-", -0.12),
        ("treated", "Treatment", "treated", "s", "--", 0.12),
    ):
        events, n = counts[f"events_{arm}"].to_numpy(), counts[f"n_{arm}"].to_numpy()
        low, high = proportion_confint(events, n, method="wilson")
        style = {"fmt": marker, "color": ARM_COLOURS[name], "label": f"observed, {name.lower()} arm"}
        dots_with_intervals(axis, place + shift, (100 * events / n, 100 * low, 100 * high), style)
        mean = 100 * risks[variable].mean(["chain", "draw"]).to_numpy()
        axis.plot(place, mean, line, color=ARM_COLOURS[name], linewidth=1.5, label=f"model, {variable}")


def _effects(axis: Axes, measure: Measure, observed: pd.DataFrame, posterior: pd.DataFrame, true: pd.DataFrame) -> None:
    factor = 100 if measure is Measure.RISK_DIFFERENCE else 1
    place = np.arange(len(true))
    axis.axhline(measure.no_effect, color=BLACK, linewidth=0.7, linestyle=":")
    for shift, table, colour, marker, name in (
        (-0.16, observed, GREY, "o", "observed, 95 % confidence interval"),
        (0.16, posterior, BLUE, "s", "model, 95 % credible interval"),
    ):
        style = {"fmt": marker, "color": colour, "capsize": 0, "label": name}
        dots_with_intervals(axis, place + shift, _interval(table, factor), style)
    axis.hlines(factor * true["estimate"], place - 0.36, place + 0.36, color=VERMILION, linewidth=2.5, label="true")


def _of(table: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    return cast("pd.DataFrame", table.xs(measure.name, level="measure"))


def _interval(table: pd.DataFrame, factor: float) -> list[FloatArray]:
    centre = "estimate" if "estimate" in table else "mean"
    return [factor * table[name].to_numpy() for name in (centre, "lower", "upper")]


def stratification_errors(summary: pd.DataFrame) -> Figure:
    """Bias of the observed risk difference by quintile, risk model and ranking, from `same_data.summarise_study`."""
    models = [RiskModel[name] for name in summary.index.unique("model")]
    with canvas(len(models), width=8.2, height=3.6, sharey=True) as drawn:
        for axis, model in zip(drawn.axes, models, strict=True):
            axis.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
            for ranking, (colour, marker, shift, label) in _RANKINGS.items():
                table = cast("pd.DataFrame", summary.loc[(model.name, ranking.name)])
                place = np.arange(len(table))
                centre, reach = 100 * table["stratification"], 100 * 1.96 * table["stratification_mcse"]
                style = {"fmt": marker, "color": colour, "label": label}
                dots_with_intervals(axis, place + shift, (centre, centre - reach, centre + reach), style)
                axis.set_xticks(place, table.index)
            axis.set_title(model.value.replace(", ", ",\n").replace(" (", "\n("))
            axis.set(xlabel=_QUINTILE)
        drawn.axis.set(ylabel="Observed minus expected risk\ndifference (percentage points)")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure
