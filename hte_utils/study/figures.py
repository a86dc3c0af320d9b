"""Figures of the simulation study: distributions over trials, and performance by method and scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from hte_utils.methods import METHODS
from hte_utils.study.findings import ALL_THERE_IS, TABLE_7, ZipPlot, rows_at
from hte_utils.study.generate import expected_events
from hte_utils.study.performance import Z
from hte_utils.study.replicate import POPULATION, TRIAL
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS
from hte_utils.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PAPER_COLOUR,
    PURPLE,
    SKY,
    VERMILION,
    canvas,
    dots_with_intervals,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURES: Final = {
    # label, ideal value
    "rd_correlation": ("Correlation", 1.0),
    "rd_rmse": ("RMSE (points)", 0.0),
    "rd_bias": ("Bias (points)", 0.0),
    "rd_slope": ("Calibration slope", 1.0),
    "rd_coverage": ("Coverage (%)", 95.0),
    "regret": ("Regret (bleeds per 1000)", 0.0),
    "gain": ("Bleeds avoided per 1000\nby a rule for each patient", 0.0),
}

_BY_RATE: Final = {f"event-rate-{percent}": f"{percent} %" for percent in (2, 5, 10, 20)}
_BY_PATIENTS: Final = {
    "patients-500": "500",
    "patients-1000": "1000",
    PAPER_DESIGN: "2000",
    "patients-5000": "5000",
    "patients-20000": "20 000",
}
_ONE_RULE: Final = {
    "no-effect": "no effect",
    "constant-odds-ratio": "constant odds ratio",
    "constant-risk-difference": "constant difference",
    "as-described": "as described (risk)",
    "as-described-log-odds": "as described (log odds)",
}
_BOTH_SIGNS: Final = {
    PAPER_DESIGN: "as printed",
    "two-to-one": "as printed, two to one",
    "u-shaped": "U-shaped in age",
    "stronger-effects": "doubled",
}
SCENARIO_GROUPS: Final[Mapping[str, Mapping[str, str]]] = {
    "how the effect varies": _ONE_RULE | _BOTH_SIGNS,
    "event rate": _BY_RATE,
    "patients in the trial": _BY_PATIENTS,
}
"""Scenarios side by side: title to names, and what each is called there."""
_PLACES: Final = {
    TRIAL: ("the trial's own patients", BLUE, "o", 0.16),
    POPULATION: ("new patients", VERMILION, "D", -0.16),
}
_LIMITS: Final = {"rd_slope": (-0.5, 3.5)}  # where effects hardly vary, slopes know no bounds
_BINS: Final = 32
_SHOWN_INTERVALS: Final = 300
_TAIL: Final = 0.003  # of the trials, in the outermost bars whatever their value
_VAGUE: Final = 1.0
_TABLE_7_LABELS: Final = {"correlation": "Correlation", "rmse": "RMSE", "mae": "MAE", "coverage": "Coverage"}
_LINES: Final = (
    (GREY, "v", ":"),
    (BLUE, "s", "-."),
    (ORANGE, "^", "--"),
    (SKY, "P", "--"),
    (GREEN, "D", "-"),
    (VERMILION, "o", "-"),
    (PURPLE, "X", ":"),
)
_FIXED_RULE: Final = (PAPER_COLOUR, "_", "none")


def paper_among_trials(trials: Mapping[str, pd.DataFrame], positions: Mapping[str, pd.DataFrame]) -> Figure:
    """Histograms of Table 7's metrics over trials, a row for each way to compute them, with the paper's value.

    By the row's label: results of one method in the paper's design (`of_trial`), and what
    `findings.paper_among_trials` says of them.
    """
    with canvas(len(TABLE_7), len(trials), height=2.1 * len(trials), width=9.2, sharex="col") as drawn:
        for row, (label, table) in enumerate(trials.items()):
            axes = drawn.axes[row * len(TABLE_7) : (row + 1) * len(TABLE_7)]
            for axis, (metric, measure) in zip(axes, TABLE_7.items(), strict=True):
                everywhere = np.concatenate([each[measure] for each in trials.values()])
                least, most = np.quantile(everywhere, (_TAIL, 1.0 - _TAIL)).tolist()
                bins = np.linspace(least, most, _BINS + 1).tolist()
                _histogram(axis, table[measure], positions[label].T[metric], bins)
            axes[0].set_ylabel(f"{label}\ntrials", fontsize=8)
        for axis, metric in zip(drawn.axes, TABLE_7, strict=False):
            axis.set_title(_TABLE_7_LABELS[metric])
        for axis, metric in zip(drawn.axes[-len(TABLE_7) :], TABLE_7, strict=True):
            axis.set_xlabel(f"{_TABLE_7_LABELS[metric]} (log odds ratio)", fontsize=8)
    return drawn.figure


def _histogram(axis: Axes, values: pd.Series, position: pd.Series, bins: Sequence[float]) -> None:
    axis.hist(values.clip(bins[0], bins[-1]), bins=bins, color=SKY, edgecolor="none")
    axis.axvline(position["paper"], color=PAPER_COLOUR, linewidth=1.6)
    text = f"paper {position['paper']:.3f}\n{position['percentile']:.0f} % of trials below"
    axis.text(0.03, 0.97, text, transform=axis.transAxes, va="top", fontsize=7)
    axis.set_ylim(0, 1.35 * axis.get_ylim()[1])


def performance(table: pd.DataFrame, measures: Sequence[str]) -> Figure:
    """Performance of every method in one scenario, in the trial's own patients and in new ones: a panel a measure.

    `table` is of one scenario, from `performance.performance`: index ``method, population, measure``.
    """
    names = [name for name in METHODS if name in table.index.get_level_values("method")]
    columns = (len(measures) + 1) // 2
    with canvas(columns, 2, width=9.2, height=7.2, sharey=True) as drawn:
        for axis, measure in zip(drawn.axes, measures, strict=False):
            _ideal(axis, measure)
            for place, (label, colour, marker, shift) in _PLACES.items():
                here = rows_at(rows_at(table, "measure", measure), "population", place).reindex(names)
                style = {"fmt": marker, "color": colour, "linewidth": 1.2, "label": label}
                _method_dots(axis, here, "mean", style, shift)
            axis.set_xlabel(MEASURES[measure][0])
            if measure in _LIMITS:
                axis.set_xlim(_LIMITS[measure])
        for axis in drawn.axes[len(measures) :]:
            axis.set_visible(False)
        _name_methods(drawn.axes[::columns], names)
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return drawn.figure


def differences(table: pd.DataFrame, measures: Sequence[str], reference: str) -> Figure:
    """Paired differences to a reference method in new patients, with 95 % Monte Carlo intervals: a panel a measure.

    `table` is of one scenario, from `paired_differences`: index ``method, population, measure``; `reference` is the
    label of the method that is subtracted.
    """
    here = rows_at(table, "population", POPULATION)
    names = [name for name in METHODS if name in here.index.get_level_values("method")]
    with canvas(len(measures), width=9.2, height=3.9, sharey=True) as drawn:
        for axis, measure in zip(drawn.axes, measures, strict=True):
            axis.axvline(0.0, color="black", linewidth=0.8, linestyle=":")
            _method_dots(axis, rows_at(here, "measure", measure).reindex(names), "difference", {"color": BLUE})
            axis.set_xlabel(MEASURES[measure][0], fontsize=8)
        _name_methods(drawn.axes[:1], names)
        drawn.figure.supxlabel(f"method minus {reference}, same trials", fontsize=9)
    return drawn.figure


def _method_dots(axis: Axes, rows: pd.DataFrame, value: str, style: Mapping[str, Any], shift: float = 0.0) -> None:
    reach = Z * rows["mcse"].fillna(0.0)
    interval = (rows[value], rows[value] - reach, rows[value] + reach)
    dots_with_intervals(axis, np.arange(len(rows)) - shift, interval, {"capsize": 0, **style}, across=True)
    axis.grid(axis="y", color="0.92")


def _name_methods(axes: Sequence[Axes], names: Sequence[str]) -> None:
    for axis in axes:
        axis.set_yticks(np.arange(len(names)), [METHODS[name].label for name in names])
    axes[0].invert_yaxis()


def _ideal(axis: Axes, measure: str, *, horizontal: bool = False) -> None:
    draw = axis.axhline if horizontal else axis.axvline
    draw(MEASURES[measure][1], color="black", linewidth=0.8, linestyle=":")


def scenarios(
    table: pd.DataFrame, measures: Sequence[str], groups: Mapping[str, Mapping[str, str]], methods: Sequence[str]
) -> Figure:
    """Small multiples: a row for each measure, a column for each group of scenarios, a line for each method.

    `table` is from `performance.performance`, of new patients: index ``scenario, method, measure``; further "methods"
    such as fixed rules may be among them. `groups`: title to names of scenarios and what they are called there
    (`SCENARIO_GROUPS`). Slopes with a Monte Carlo error (1.96 SE) above 1 are left out.
    """
    with canvas(
        len(groups), len(measures), width=9.2, height=1.75 * len(measures) + 0.9, sharex="col", sharey="row"
    ) as drawn:
        for place, axis in enumerate(drawn.axes):
            measure = measures[place // len(groups)]
            names = list(list(groups.values())[place % len(groups)])
            if measure in _LIMITS:
                axis.set_ylim(_LIMITS[measure])
            _ideal(axis, measure, horizontal=True)
            here = rows_at(table, "measure", measure)
            if measure == "rd_slope":
                here = here[Z * here["mcse"] < _VAGUE]
            _method_lines(axis, here, names, methods)
            if place % len(groups) == 0:
                axis.set_ylabel(MEASURES[measure][0], fontsize=8)
        for axis, title in zip(drawn.axes, groups, strict=False):
            axis.set_title(title, fontsize=9)
        for axis, called in zip(drawn.axes[-len(groups) :], groups.values(), strict=True):
            axis.set_xticks(np.arange(len(called)), list(called.values()), rotation=40, ha="right", fontsize=7)
        found = (zip(*axis.get_legend_handles_labels(), strict=True) for axis in drawn.axes)
        legend = {label: handle for pairs in found for handle, label in pairs}
        drawn.figure.legend(list(legend.values()), list(legend), loc="outside upper center", ncols=3)
    return drawn.figure


def what_it_buys(gains: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Bleeds avoided by each method's rule (`findings.gains`): one rule is right for all, or none, or by events.

    Ticks of trials have the number of events to be expected; black dashes are all that there is to gain.
    """
    groups = {
        "one effect, or harm to all": {name: fill(called, 12) for name, called in _ONE_RULE.items()},
        "effects of both signs": {name: fill(called, 12) for name, called in _BOTH_SIGNS.items()},
        "as printed, by event rate": _with_events(_BY_RATE),
        "as printed, by patients": _with_events(_BY_PATIENTS),
    }
    with canvas(2, 2, width=9.2, height=6.4) as drawn:
        for axis, (title, called) in zip(drawn.axes, groups.items(), strict=True):
            _ideal(axis, "gain", horizontal=True)
            _method_lines(axis, rows_at(gains, "measure", "gain"), list(called), [*methods, ALL_THERE_IS])
            axis.set_title(title, fontsize=9)
            axis.set_xticks(np.arange(len(called)), list(called.values()), fontsize=7)
            axis.set_ylabel(MEASURES["gain"][0], fontsize=8)
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return drawn.figure


def _with_events(called: Mapping[str, str]) -> dict[str, str]:
    return {name: f"{label}\n{expected_events(SCENARIOS[name])} events" for name, label in called.items()}


def _method_lines(axis: Axes, table: pd.DataFrame, scenarios: Sequence[str], methods: Sequence[str]) -> None:
    ordered = all(SCENARIOS[name].effect == SCENARIOS[scenarios[0]].effect for name in scenarios)
    shifts = np.linspace(-0.18, 0.18, len(methods))
    for style, name, shift in zip(_LINES, methods, shifts, strict=False):
        colour, marker, line = style if name in METHODS else _FIXED_RULE
        if name not in table.index.get_level_values("method"):
            continue
        here = rows_at(table, "method", name).reindex(list(scenarios))
        reach = Z * here["mcse"].fillna(0.0)
        dots_with_intervals(
            axis,
            np.arange(len(scenarios)) + shift,
            (here["mean"], here["mean"] - reach, here["mean"] + reach),
            {
                "fmt": marker,
                "color": colour,
                "linestyle": line if ordered else "none",  # other effects have no order
                "linewidth": 1.0,
                "elinewidth": 1.0,
                "capsize": 0,
                "markersize": 3.5 if name in METHODS else 8,
                "label": METHODS[name].label if name in METHODS else name,
            },
        )


def zip_plots(plots: Mapping[str, ZipPlot], reaches: Sequence[float], xlabel: str) -> Figure:
    """Draw zip plots (Morris et al. 2019) in panels, by their titles, row by row.

    `reaches`: for each column of panels, errors up to so many percentage points are drawn, in both directions. Of many
    trials every k-th in order is drawn; coverage is of all.
    """
    columns = len(reaches)
    rows = -(-len(plots) // columns)
    with canvas(columns, rows, width=9.2, height=2.7 * rows + 0.3, sharex="col", sharey=True) as drawn:
        for axis, (title, plot), reach in zip(drawn.axes, plots.items(), cycle(reaches), strict=False):
            step = max(1, plot.centile.size // _SHOWN_INTERVALS)
            some = np.arange(0, plot.centile.size, step)
            for covers, colour in ((True, SKY), (False, VERMILION)):
                here = some[plot.covers[some] == covers]
                lower, upper = plot.lower[here].clip(-reach, reach), plot.upper[here].clip(-reach, reach)
                label = "holds the truth" if covers else "misses it"
                axis.hlines(plot.centile[here], lower, upper, color=colour, linewidth=0.7, label=label)
            axis.axvline(0.0, color=BLACK, linewidth=0.8)
            axis.axhline(MEASURES["rd_coverage"][1], color=BLACK, linewidth=0.8, linestyle=":")
            axis.set_title(f"{title}\n{plot.coverage:.1f} % ± {plot.mcse:.1f}", fontsize=8)
            axis.set(xlim=(-reach, reach), ylim=(0, 100))
        for axis in drawn.axes[len(plots) :]:
            axis.set_visible(False)
        drawn.figure.supxlabel(xlabel, fontsize=9)
        drawn.figure.supylabel("Centile of the distance from the truth", fontsize=9)
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return drawn.figure
