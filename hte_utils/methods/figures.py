"""Figures of the chapter that compares the methods on the paper's trial."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.effects.evaluation import point_metrics
from hte_utils.methods.compared import Comparison
from hte_utils.methods.registry import METHODS
from hte_utils.model.checks import FloatArray
from hte_utils.style import BLUE, DIRECTION, GREEN, GREY, ORANGE, VERMILION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOGISTIC = ("logistic", BLUE, "o")
_FAMILIES = {"learners_and_forests": ("trees", ORANGE, "s"), "bayesian": ("hierarchical Bayes", GREEN, "D")}
_REACH = (-5.0, 8.0)
_LIMITS = (-12.0, 45.0)


def average_effects(table: pd.DataFrame, true: float) -> Figure:
    """Average risk difference by method (`compared.average_by_method`), with its interval where there is one."""
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
                _interval(axis, place, row["lower"], row["upper"], colour)
        axis.set_yticks(np.arange(len(table)), [METHODS[str(name)].label for name in table.index])
        axis.set(xlim=_REACH, xlabel=f"Average risk difference (percentage points)\n{DIRECTION}")
        axis.invert_yaxis()
        axis.legend(loc="upper left")
    return drawn.figure


def _interval(axis: Axes, place: int, lower: float, upper: float, colour: str) -> None:
    axis.hlines(place, max(lower, _REACH[0]), min(upper, _REACH[1]), color=colour, linewidth=1.4)
    for end, edge, arrow in ((lower, _REACH[0], "<"), (upper, _REACH[1], ">")):
        if (end < edge) if arrow == "<" else (end > edge):  # runs out of the picture
            axis.plot(edge, place, arrow, color=colour, clip_on=False)


def individual_effects(comparison: Comparison) -> Figure:
    """Estimated against true risk difference of every patient, a panel a method (percentage points)."""
    true = 100.0 * comparison.truth.risk_difference
    columns = 4
    rows = math.ceil(len(comparison.results) / columns)
    with canvas(columns, rows, height=1.9 * rows, sharex=True, sharey=True) as drawn:
        for axis, name in zip(drawn.axes, comparison.results, strict=False):
            _panel(axis, name, true, 100.0 * comparison.of_trial(name).risk_difference.value)
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
