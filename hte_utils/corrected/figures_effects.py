"""Figures of chapters 9 and 10: effects, harm and risk groups; calibration, rankings and policies.

Tables of effects are those of `hte_utils.corrected.effects_report`; risks and their differences are drawn in per cent
and percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import proportion_confint

from hte_utils.corrected.calibration import RiskCalibration
from hte_utils.corrected.decisions import EVERYBODY, GRID, NOBODY, ORACLE
from hte_utils.corrected.effect_calibration import TrueEffectCalibration
from hte_utils.corrected.same_data import RiskModel
from hte_utils.corrected.validation import CROSS_FITTED, POINTS, TRUE
from hte_utils.effects.averages import Measure
from hte_utils.model.checks import FloatArray
from hte_utils.style import (
    ARM_COLOURS,
    BLACK,
    BLUE,
    DIRECTION,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    canvas,
    dots_with_intervals,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_QUINTILE = "Quintile of predicted baseline risk"
_PREDICTED = "Predicted risk difference (points)"
_LINES = ((BLUE, "-"), (ORANGE, "--"), (PURPLE, "-."), (GREEN, (0, (1, 1))))
_DOTTED: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "linestyle": ":"}
_BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.2, "linewidth": 0}


def probability_of_harm(probabilities: Mapping[str, FloatArray], true_difference: FloatArray) -> Figure:
    """Distribution over patients of P(harm), divided by what treatment truly does to them, and effects against it.

    `probabilities`: by model, each patient's posterior probability that treatment raises the risk; `true_difference`:
    their true risk differences (probabilities); shape (patients,) each.
    """
    harmed = true_difference > 0
    stacks: dict[str, Any] = {
        "bins": np.linspace(0.0, 1.0, 21).tolist(),
        "stacked": True,
        "color": [BLUE, VERMILION],
        "edgecolor": "white",
        "linewidth": 0.4,
        "hatch": ["", "///"],
        "label": ["treatment truly lowers the risk", "treatment truly raises the risk"],
    }
    with canvas(len(probabilities), 2, height=5.4, sharex=True, sharey=False) as drawn:
        for column, (name, probability) in enumerate(probabilities.items()):
            above, below = drawn.axes[column], drawn.axes[column + len(probabilities)]
            above.hist([probability[~harmed], probability[harmed]], **stacks)
            above.set_title(name)
            for these, colour, marker in ((~harmed, BLUE, "o"), (harmed, VERMILION, "^")):
                effects = 100 * true_difference[these]
                below.plot(probability[these], effects, marker, color=colour, markersize=2, alpha=0.4)
            below.axhline(0, **_DOTTED)
            below.set(xlabel="Posterior probability of harm", xlim=(0, 1))
        drawn.axes[0].set(ylabel="Patients")
        drawn.axes[len(probabilities)].set(ylabel=f"True risk difference (points)\n{DIRECTION}")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure


def forest(sources: Mapping[str, pd.DataFrame], true: pd.DataFrame) -> Figure:
    """Risk difference of every population of `true` with its 95 % interval by source (at most three), and the truth."""
    truth = _of(true, Measure.RISK_DIFFERENCE)
    place = np.arange(len(truth))[::-1]
    shifts = np.linspace(0.24, -0.24, len(sources)) if len(sources) > 1 else np.zeros(1)
    looks = zip(((GREY, "o"), (BLUE, "s"), (GREEN, "D")), shifts, strict=False)
    with canvas(width=7.2, height=0.9 + 0.46 * len(truth)) as drawn:
        axis = drawn.axis
        axis.axvline(0, **_DOTTED)
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
    axis.axhline(measure.no_effect, **_DOTTED)
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
    centre = next(name for name in ("estimate", "mean", "observed", "value") if name in table)
    return [factor * table[name].to_numpy() for name in (centre, "lower", "upper")]


def stratification_errors(summary: pd.DataFrame) -> Figure:
    """Bias of the observed risk difference by quintile, risk model and ranking, from `same_data.summarise_study`."""
    models = [RiskModel[name] for name in summary.index.unique("model")]
    with canvas(len(models), width=8.2, height=3.6, sharey=True) as drawn:
        for axis, model in zip(drawn.axes, models, strict=True):
            axis.axhline(0, **_DOTTED)
            for ranking, colour, marker, shift, label in (
                ("SAME_DATA", VERMILION, "o", -0.13, "ranked with the same data"),
                ("CROSS_FITTED", BLUE, "s", 0.13, "ranked out of fold"),
            ):
                table = cast("pd.DataFrame", summary.loc[(model.name, ranking)])
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


def risk_curves(found: Mapping[str, Mapping[str, RiskCalibration]]) -> Figure:
    """Smooth calibration curves of the cross-fitted predicted risk, from `validation.risk_calibrations`."""
    with canvas(2, (len(found) + 1) // 2, height=5.4) as drawn:
        for axis, (label, by_kind) in zip(drawn.axes, found.items(), strict=False):
            curve, known = POINTS * by_kind[CROSS_FITTED].curve, POINTS * by_kind[TRUE].curve
            _diagonal(axis, curve["predicted"], curve["observed"])
            axis.fill_between(curve["predicted"], curve["lower"], curve["upper"], **_BAND)
            axis.plot(curve["predicted"], curve["observed"], color=BLUE, label="observed in the trial, 95 % band")
            axis.plot(known["predicted"], known["observed"], color=VERMILION, linestyle="--", label="true")
            axis.set_title(label)
            axis.set(xlabel="Predicted risk of a bleed (%)", ylabel="Risk of a bleed (%)", ylim=(0, None))
        drawn.axis.legend(loc="upper left")
    return drawn.figure


def effects_by_group(found: Mapping[str, pd.DataFrame]) -> Figure:
    """Risk difference in groups of similar predictions, from `effect_calibration.effects_by_predicted_group`."""
    with canvas(len(found), height=3.4, width=9.2, sharey=True) as drawn:
        for axis, (label, table) in zip(drawn.axes, found.items(), strict=True):
            predicted = POINTS * table["predicted"]
            _diagonal(axis, predicted)
            style = {"color": BLUE, "label": "observed, 95 % interval"}
            dots_with_intervals(axis, predicted, _interval(table, POINTS), style)
            axis.plot(predicted, POINTS * table["true"], "D", color=VERMILION, markersize=5, label="true")
            axis.axhline(0, **_DOTTED)
            axis.set_title(label)
            axis.set(xlabel=_PREDICTED)
        drawn.axis.set(ylabel=f"Risk difference (points)\n{DIRECTION}")
        drawn.axis.legend(loc="upper left")
    return drawn.figure


def effects_against_truth(
    predicted: Mapping[str, FloatArray], true: FloatArray, found: Mapping[str, TrueEffectCalibration]
) -> Figure:
    """True against predicted risk differences (probabilities) of new patients, with the smooth curve."""
    some = slice(None, None, max(1, true.size // 1500))  # more dots would only cover each other
    with canvas(len(predicted), height=3.2, width=9.2, sharey=True) as drawn:
        for axis, (label, values) in zip(drawn.axes, predicted.items(), strict=True):
            axis.plot(POINTS * values[some], POINTS * true[some], ".", color=GREY, markersize=2, alpha=0.5)
            curve = POINTS * found[label].curve
            _diagonal(axis, curve["predicted"])
            axis.plot(curve["predicted"], curve["true"], color=ORANGE, linewidth=2, label="mean true effect")
            axis.set_title(label)
            axis.set(xlabel=_PREDICTED)
        drawn.axis.set(ylabel=f"True risk difference (points)\n{DIRECTION}")
        drawn.axis.set_ylim(*(POINTS * np.quantile(true, (0.001, 0.999))))
        drawn.axis.legend(loc="upper left")
    return drawn.figure


def _diagonal(axis: Axes, *values: pd.Series) -> None:
    ends = [min(each.min() for each in values), max(each.max() for each in values)]
    axis.plot(ends, ends, color="black", linewidth=0.8, linestyle=":")


def targeting_curves(estimated: pd.DataFrame, true: Mapping[str, FloatArray], best: FloatArray) -> Figure:
    """Targeting operator characteristics: estimated from the trial beside what is true.

    `estimated` is from `validation.sequential_curve`; `true` (by prediction) and `best` (of the ranking by the true
    effects) are curves of new patients from `decisions.toc`.
    """
    shown = GRID >= 0.05
    share, curve = POINTS * GRID[shown], POINTS * estimated[shown]
    with canvas(2, height=3.6, width=9.2, sharey=True) as drawn:
        left, right = drawn.axes
        left.fill_between(share, curve["lower"], curve["upper"], **_BAND)
        left.plot(share, curve["toc"], color=BLUE, label="estimated from the trial, 95 % band")
        left.plot(share, curve["true"], color=VERMILION, linestyle="--", label="true, the same patients")
        for (label, values), (colour, line) in zip(true.items(), _LINES, strict=False):
            right.plot(share, POINTS * values[shown], color=colour, linestyle=line, label=label)
        right.plot(share, POINTS * best[shown], color=BLACK, linewidth=1.6, label="ranked by the true effect")
        for axis in drawn.axes:
            axis.axhline(0, **_DOTTED)
            axis.set(xlabel="Share of patients treated, most predicted benefit first (%)")
            axis.legend(loc="upper right")
        left.set(ylabel="Bleeds avoided per 100 treated,\nabove the average of all patients")
    return drawn.figure


def policy_differences(table: pd.DataFrame) -> Figure:
    """Bleeds per 1000 patients of each policy minus those of treating nobody: true, and estimated from the trial."""
    place = np.arange(len(table))[::-1]
    with canvas(height=3.2) as drawn:
        axis = drawn.axis
        axis.axvline(0, **_DOTTED)
        style = {"color": BLUE, "markersize": 6, "capsize": 3, "label": "estimated, 95 % interval"}
        dots_with_intervals(axis, place + 0.12, _interval(table, 1), style, across=True)
        axis.plot(table["true"], place - 0.12, "D", color=VERMILION, label="true")
        axis.set_yticks(place, table.index)
        axis.set(xlabel="Bleeds per 1000 patients, minus those when nobody is treated\n← fewer bleeds | more bleeds →")
        drawn.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return drawn.figure


def threshold_rules(curves: Mapping[str, pd.DataFrame], values: pd.DataFrame) -> Figure:
    """True rate of bleeds under "treat if the probability of harm is below c", beside `values` of other policies."""
    with canvas(2, height=3.5, width=9.2, sharex=True) as drawn:
        left, right = drawn.axes
        for (label, table), (colour, line) in zip(curves.items(), _LINES, strict=False):
            left.plot(table.index, table["bleeds"], color=colour, linestyle=line, label=label)
            right.plot(table.index, table["treated"] / 10.0, color=colour, linestyle=line)
        for name, colour in ((NOBODY, GREY), (EVERYBODY, GREY), (ORACLE, BLACK)):
            bleeds = float(values["bleeds"][name])
            left.axhline(bleeds, color=colour, linewidth=0.9, linestyle=":")
            word = name.split(" (")[0]
            left.annotate(word, (0.0, bleeds), textcoords="offset points", xytext=(2, 2), fontsize=8)
        left.set(ylabel="Bleeds per 1000 patients", xlabel="Treat if the probability of harm is below c")
        right.set(ylabel="Share treated (%)", xlabel="Treat if the probability of harm is below c")
        drawn.figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return drawn.figure
