"""Figures of chapter 10: predicted against observed and true risks and effects, rankings, and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.corrected.calibration import RiskCalibration
from hte_utils.corrected.decisions import EVERYBODY, GRID, NOBODY, ORACLE
from hte_utils.corrected.effect_calibration import TrueEffectCalibration
from hte_utils.corrected.validation import CROSS_FITTED, POINTS, TRUE
from hte_utils.model.checks import FloatArray
from hte_utils.style import BLACK, BLUE, DIRECTION, GREEN, GREY, ORANGE, PURPLE, VERMILION, canvas, dots_with_intervals

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_LINES = ((BLUE, "-"), (ORANGE, "--"), (PURPLE, "-."), (GREEN, (0, (1, 1))))
_SHARE = "Share of patients treated, most predicted benefit first (%)"


def risk_curves(found: Mapping[str, Mapping[str, RiskCalibration]]) -> Figure:
    """Smooth calibration curves of the cross-fitted predicted risk, from `validation.risk_calibrations`."""
    with canvas(2, (len(found) + 1) // 2, height=5.4) as drawn:
        for axis, (label, by_kind) in zip(drawn.axes, found.items(), strict=False):
            curve, known = POINTS * by_kind[CROSS_FITTED].curve, POINTS * by_kind[TRUE].curve
            _diagonal(axis, curve["predicted"], curve["observed"])
            axis.fill_between(curve["predicted"], curve["lower"], curve["upper"], color=BLUE, alpha=0.2, linewidth=0)
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
            table = POINTS * table
            _diagonal(axis, table["predicted"], table["predicted"])
            columns = [table[name] for name in ("observed", "lower", "upper")]
            dots_with_intervals(axis, table["predicted"], columns, {"color": BLUE, "label": "observed, 95 % interval"})
            axis.plot(table["predicted"], table["true"], "D", color=VERMILION, markersize=5, label="true")
            axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
            axis.set_title(label)
            axis.set(xlabel="Predicted risk difference (points)")
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
            _diagonal(axis, curve["predicted"], curve["predicted"])
            axis.plot(curve["predicted"], curve["true"], color=ORANGE, linewidth=2, label="mean true effect")
            axis.set_title(label)
            axis.set(xlabel="Predicted risk difference (points)")
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
    share = POINTS * GRID[shown]
    with canvas(2, height=3.6, width=9.2, sharey=True) as drawn:
        left, right = drawn.axes
        curve = estimated[shown]
        left.fill_between(share, POINTS * curve["lower"], POINTS * curve["upper"], color=BLUE, alpha=0.2, linewidth=0)
        left.plot(share, POINTS * curve["toc"], color=BLUE, label="estimated from the trial, 95 % band")
        left.plot(share, POINTS * curve["true"], color=VERMILION, linestyle="--", label="true, the same patients")
        for (label, values), (colour, line) in zip(true.items(), _LINES, strict=False):
            right.plot(share, POINTS * values[shown], color=colour, linestyle=line, label=label)
        right.plot(share, POINTS * best[shown], color=BLACK, linewidth=1.6, label="ranked by the true effect")
        for axis in drawn.axes:
            axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
            axis.set(xlabel=_SHARE)
            axis.legend(loc="upper right")
        left.set(ylabel="Bleeds avoided per 100 treated,\nabove the average of all patients")
    return drawn.figure


def policy_differences(table: pd.DataFrame) -> Figure:
    """Bleeds per 1000 patients of each policy minus those of treating nobody: true, and estimated from the trial."""
    place = np.arange(len(table))[::-1]
    with canvas(height=3.2) as drawn:
        axis = drawn.axis
        axis.axvline(0, color="black", linewidth=0.7, linestyle=":")
        columns = [table[name] for name in ("value", "lower", "upper")]
        style = {"color": BLUE, "markersize": 6, "capsize": 3, "label": "estimated, 95 % interval"}
        dots_with_intervals(axis, place + 0.12, columns, style, across=True)
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
