"""Figures of the audit: the paper's choices undone one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.ablation import OBSERVED_RISK, QUINTILE_COLUMNS
from hte_utils.figures.style import BLACK, BLUE, GREY, ORANGE, VERMILION, canvas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.ablation import AblationTable

_SHADES = ("0.92", "0.72", "0.5", "0.3", "0.0")  # lightest to darkest: lowest to highest risk


def ablation(table: AblationTable) -> Figure:
    """Draw the ablation table: correlation, squared error and its bias, predicted risk, and effects by quintile."""
    rows, place = table.estimates, np.arange(len(table.estimates))
    with canvas(4, width=9.6, height=0.9 + 0.36 * len(rows), sharey=True) as drawn:
        correlation, error, risk, effect = drawn.axes
        correlation.errorbar(
            rows["correlation"], place, xerr=2 * table.mcse["correlation"], fmt="o", color=BLUE, markersize=5
        )
        correlation.set(title="Correlation with\nthe true effects", xlim=(0, 1))
        _squared_error(error, rows, place)
        risk.plot(100 * rows["mean_risk"], place, "D", color=BLUE, markersize=5, label="predicted risk")
        risk.plot(100 * rows[OBSERVED_RISK], place, "|", color=BLACK, markersize=12, label="observed risk, control arm")
        risk.set(title="Mean risk (%)\nwithout treatment", xlim=(0, None))
        _quintiles(effect, rows, place)
        correlation.set_yticks(place, rows.index.tolist())
        correlation.invert_yaxis()
        for axis in drawn.axes:
            axis.grid(axis="y", color="lightgrey", linewidth=0.5)
            axis.set_axisbelow(True)
        entries = [axis.get_legend_handles_labels() for axis in drawn.axes[1:]]
        handles = [handle for found, _ in entries for handle in found]
        labels = [label for _, found in entries for label in found]
        drawn.figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
    return drawn.figure


def _squared_error(axis: Axes, rows: pd.DataFrame, place: np.ndarray) -> None:
    total = np.square(rows["rmse"])
    bias = total * rows["bias_share"]
    axis.barh(place, bias, color=VERMILION, height=0.6, label="bias²")
    axis.barh(
        place, total - bias, left=bias, color=ORANGE, hatch="///", edgecolor="white", height=0.6, label="the rest"
    )
    axis.set(title="Squared error\n(log odds ratio)")


def _quintiles(axis: Axes, rows: pd.DataFrame, place: np.ndarray) -> None:
    effects = rows[list(QUINTILE_COLUMNS)]
    axis.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
    axis.hlines(place, effects.min(axis=1), effects.max(axis=1), color=GREY, linewidth=0.8)
    for column, shade in zip(QUINTILE_COLUMNS, _SHADES, strict=True):
        label = column.removeprefix("effect_")
        axis.plot(effects[column], place, "o", markerfacecolor=shade, markeredgecolor=BLACK, markersize=6, label=label)
    axis.set(title="Mean effect by\nquintile of risk", xlabel="log odds ratio\n← fewer | more bleeds →")
