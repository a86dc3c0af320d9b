"""Figures on decisions: whom a ranking finds, and what following the predictions would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hte_utils.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION, canvas, dots_with_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure

    from hte_utils.decisions.policy import PolicyValue
    from hte_utils.monte_carlo import FloatArray

_LINES = ((BLUE, "-"), (ORANGE, "--"), (PURPLE, "-."), (GREEN, (0, (1, 1))))
_POINTS, _PER_THOUSAND = 100.0, 1000.0
_SHARE = "Share of patients treated, most predicted benefit first (%)"


def targeting_curves(estimated: pd.DataFrame, true: Mapping[str, FloatArray], best: FloatArray) -> Figure:
    """Targeting operator characteristics: estimated from the trial beside what is true.

    `estimated`: One prediction's curve from the trial's outcomes, and the true one of the same patients: what
        `for_benefit.sequential_curve` returns.
    `true`: True curves of rankings of new patients, by prediction.
    `best`: True curve of the ranking by the true effects.
    """
    with canvas(2, height=3.6, width=9.2, sharey=True) as drawn:
        left, right = drawn.axes
        curve = estimated[estimated["share"] >= 0.05]
        share = _POINTS * curve["share"]
        left.fill_between(share, _POINTS * curve["lower"], _POINTS * curve["upper"], color=BLUE, alpha=0.2, linewidth=0)
        left.plot(share, _POINTS * curve["toc"], color=BLUE, label="estimated from the trial, 95 % band")
        left.plot(share, _POINTS * curve["true"], color=VERMILION, linestyle="--", label="true, the same patients")
        for (label, values), (colour, line) in zip(true.items(), _LINES, strict=False):
            right.plot(*_on_grid(values), color=colour, linestyle=line, label=label)
        right.plot(*_on_grid(best), color=BLACK, linewidth=1.6, label="ranked by the true effect")
        for axis in drawn.axes:
            axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
            axis.set(xlabel=_SHARE)
            axis.legend(loc="upper right")
        left.set(ylabel="Bleeds avoided per 100 treated,\nabove the average of all patients")
    return drawn.figure


def _on_grid(curve: FloatArray) -> tuple[FloatArray, FloatArray]:
    share = np.linspace(0.05, 1.0, 96)
    return _POINTS * share, _POINTS * np.interp(share, np.arange(1, curve.size + 1) / curve.size, curve)


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


def threshold_rules(
    curves: Mapping[str, pd.DataFrame], nobody: PolicyValue, everybody: PolicyValue, oracle: PolicyValue
) -> Figure:
    """True rate of bleeds under "treat if the probability of harm is below c", by c.

    `nobody`, `everybody`, `oracle`: The policies to compare with.
    """
    with canvas(2, height=3.5, width=9.2, sharex=True) as drawn:
        left, right = drawn.axes
        for (label, table), (colour, line) in zip(curves.items(), _LINES, strict=False):
            left.plot(table.index, _PER_THOUSAND * table["event_rate"], color=colour, linestyle=line, label=label)
            right.plot(table.index, _POINTS * table["share_treated"], color=colour, linestyle=line)
        for value, name, colour in (
            (nobody, "nobody", GREY),
            (everybody, "everybody", GREY),
            (oracle, "oracle", BLACK),
        ):
            left.axhline(_PER_THOUSAND * value.event_rate, color=colour, linewidth=0.9, linestyle=":")
            left.annotate(
                name, (0.0, _PER_THOUSAND * value.event_rate), textcoords="offset points", xytext=(2, 2), fontsize=8
            )
        left.set(ylabel="Bleeds per 1000 patients", xlabel="Treat if the probability of harm is below c")
        right.set(ylabel="Share treated (%)", xlabel="Treat if the probability of harm is below c")
        drawn.figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return drawn.figure
