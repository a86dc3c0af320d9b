"""Figures of the chapter on Bayesian checks: predictive checks, model comparison, candidates beside the truth.

Figure of simulation-based calibration: differences of empirical distribution functions, with their envelope.

The plot and its simultaneous envelope are those of Säilynoja, Bürkner & Vehtari (2022); the envelope is ArviZ's.
"""

from __future__ import annotations

from importlib import import_module
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from hte_utils.style import BLACK, BLUE, DIRECTION, GREY, ORANGE, VERMILION, canvas, dots_with_intervals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.corrected.sbc import Calibration
    from hte_utils.model.checks import FloatArray


MODEL_COLOURS = (ORANGE, BLUE)
MODEL_MARKERS = ("s", "o")
_DIFFERENCE_LIMIT = 60
_JITTER = 0.12


def prior_predictions(predictions: Mapping[str, pd.DataFrame], observed_rate: float) -> Figure:
    """What two models expect of the trial before its outcomes: event rate, and average risk difference.

    `predictions`: By label of the model: from `predictive_checks.prior_prediction`.
    `observed_rate`: Event rate of the trial, a proportion.
    """
    with canvas(2, height=3.2) as drawn:
        rates, differences = drawn.axes
        for (label, prediction), colour in zip(predictions.items(), MODEL_COLOURS, strict=True):
            style: dict[str, Any] = {"density": True, "alpha": 0.5, "color": colour, "label": label}
            rates.hist(100 * prediction["event_rate"], bins=list(range(0, 101, 4)), **style)
            bins = list(range(-_DIFFERENCE_LIMIT, _DIFFERENCE_LIMIT + 1, 4))
            differences.hist(100 * prediction["risk_difference"], bins=bins, **style)
        rates.axvline(100 * observed_rate, color=BLACK, linewidth=1.2, label="observed in this trial")
        differences.axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
        rates.set(xlabel="Event rate of a simulated trial (%)", ylabel="Prior predictive density")
        differences.set(xlabel=f"Average risk difference (percentage points)\n{DIRECTION}")
        handles = rates.get_legend_handles_labels()
        drawn.figure.legend(*handles, loc="outside upper left", ncols=3)
    return drawn.figure


def replicated_rates(rates: Mapping[str, pd.DataFrame], differences: Mapping[str, pd.DataFrame]) -> Figure:
    """Observed event rates, and differences between the arms, among those of replicated trials.

    `rates`, `differences`: By label of the model: from `predictive_checks.rates_by_group` and `differences_by_group`.
    """
    with canvas(2, height=5.4) as drawn:
        for axis, tables in zip(drawn.axes, (rates, differences), strict=True):
            _replicated(axis, tables)
        drawn.axes[0].set(xlabel="Event rate (%)", xlim=(0, None))
        drawn.axes[1].axvline(0, color=BLACK, linewidth=0.7, linestyle=":")
        drawn.axes[1].set(xlabel=f"Treatment minus control (points)\n{DIRECTION}")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return drawn.figure


def _replicated(axis: Axes, tables: Mapping[str, pd.DataFrame]) -> None:
    groups = next(iter(tables.values()))
    place = np.arange(len(groups))[::-1]
    for shift, (label, table), colour, marker in zip(
        (0.18, -0.18), tables.items(), MODEL_COLOURS, MODEL_MARKERS, strict=True
    ):
        columns = [100 * table[name] for name in ("expected", "lower", "upper")]
        style = {"fmt": marker, "color": colour, "label": f"replicated, {label}"}
        dots_with_intervals(axis, place + shift, columns, style, across=True)
    axis.plot(100 * groups["observed"], place, "|", color=BLACK, markersize=16, markeredgewidth=2, label="observed")
    axis.set_yticks(place, list(groups.index))


def calibration_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Observed against predicted risk (isotonic), with the band in which replicated trials lie.

    `curves`: By label of the model: from `hte_utils.corrected.predictive_checks.calibration_curve`.
    """
    with canvas(len(curves), height=3.4, sharey=True) as drawn:
        for axis, (label, curve), colour in zip(drawn.axes, curves.items(), MODEL_COLOURS, strict=True):
            percent = 100 * curve
            axis.fill_between(
                percent["predicted"],
                percent["lower"],
                percent["upper"],
                color=colour,
                alpha=0.25,
                label="replicated, 95 %",
            )
            axis.plot(percent["predicted"], percent["observed"], color=BLACK, label="observed")
            limit = float(percent["predicted"].quantile(0.995))
            axis.plot([0, limit], [0, limit], color=GREY, linestyle=":", linewidth=1)
            axis.set(xlim=(0, limit), ylim=(0, 2 * limit), xlabel="Predicted risk (%)")
            axis.set_title(label)
            axis.legend(loc="upper left")
        drawn.axis.set(ylabel="Observed risk, isotonic (%)")
    return drawn.figure


def predictive_differences(table: pd.DataFrame, reference: str, attainable: float) -> Figure:
    """Differences of elpd from the reference model, with one and two standard errors.

    `reference`: Label of the reference model, whose row is left out.
    `attainable`: Expected gain of the true effects over the best constant, for scale.
    """
    others = table.drop(index=reference)
    place = np.arange(len(others))[::-1]
    with canvas(height=2.8) as drawn:
        axis = drawn.axis
        axis.errorbar(others["difference"], place, xerr=2 * others["se_difference"], fmt="none", color=GREY, capsize=3)
        axis.errorbar(
            others["difference"], place, xerr=others["se_difference"], fmt="o", color=BLUE, linewidth=2.5, markersize=5
        )
        axis.axvline(0, color=BLACK, linewidth=0.8)
        axis.axvline(attainable, color=VERMILION, linestyle="--", linewidth=1.2)
        note = "true effects over\nthe best constant "
        axis.text(attainable, len(others) - 0.6, note, color=VERMILION, fontsize=8, ha="right")
        axis.set_yticks(place, list(others.index))
        axis.set(
            ylim=(-0.6, len(others) + 0.2),
            xlabel="Difference of elpd from the paper's model, ±1 and ±2 SE\nworse ← | → better",
        )
    return drawn.figure


_MEASURES = {
    "correlation": ("Correlation", None),
    "rmse": ("RMSE", 0.0),
    "bias": ("Mean error\n(predicted − true)", 0.0),
    "coverage": ("Coverage\n(95 % intervals)", 0.95),
}


def errors_over_trials(results: pd.DataFrame, scale: str, labels: Mapping[str, str], here: pd.DataFrame) -> Figure:
    """Errors of the candidate models over many simulated trials, and in the trial of the paper.

    `labels`: Label of each model, in the order in which they are drawn.
    `here`: The same table for the paper's trial.
    """
    rng = np.random.default_rng(1)
    place = {name: len(labels) - 1 - number for number, name in enumerate(labels)}
    with canvas(len(_MEASURES), height=3.4, width=8.6, sharey=True) as drawn:
        for axis, (measure, (title, ideal)) in zip(drawn.axes, _MEASURES.items(), strict=True):
            for name, at in place.items():
                values = _values(results, scale, name, measure)
                jitter = rng.uniform(-_JITTER, _JITTER, values.size)
                axis.plot(values, at + jitter, ".", color=GREY, markersize=2, alpha=0.6)
                axis.plot(values.mean(), at, "o", color=BLUE, markersize=6)
                axis.plot(_values(here, scale, name, measure), [at], "D", color=VERMILION, markersize=5, mfc="none")
            if ideal is not None:
                axis.axvline(ideal, color=BLACK, linewidth=0.7, linestyle=":")
            axis.set(xlabel=title)
        drawn.axis.set_yticks(list(place.values()), list(labels.values()))
        axis = drawn.axes[-1]
        axis.plot([], [], ".", color=GREY, label="one simulated trial")
        axis.plot([], [], "o", color=BLUE, label="mean over trials")
        axis.plot([], [], "D", color=VERMILION, mfc="none", label="the paper's trial")
        drawn.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return drawn.figure


def _values(results: pd.DataFrame, scale: str, model: str, measure: str) -> np.ndarray:
    chosen = results[(results["scale"] == scale) & (results["model"] == model)]
    return np.asarray(chosen[measure], dtype=np.float64)


_SIMULATIONS, _SEED = 1000, 214
_GRID = 201
_TITLE_WIDTH, _LABEL_WIDTH, _LEAST_REACH = 28, 30, 0.12
_LINES = ("-", "--", "-.", ":")


def ecdf_differences(
    calibrations: Mapping[str, Calibration], faults: Mapping[str, Sequence[str]], *, probability: float = 0.95
) -> Figure:
    """ECDF of the PIT values minus the uniform one, for every quantity, in one panel a calibration.

    `calibrations`: By label; all with the same number of trials.
    `faults`: By the same labels: quantities to be drawn thick and named, since a fault was built into them.
    `probability`: With which a uniform sample stays inside the envelope everywhere.
    """
    trials = next(iter(calibrations.values())).ranks.sizes["trial"]
    points, lower, upper = _envelope(trials, probability)
    with canvas(len(calibrations), height=3.8, width=8.6) as drawn:
        for axis, (label, calibration) in zip(drawn.axes, calibrations.items(), strict=True):
            axis.fill_between(points, lower - points, upper - points, color=GREY, alpha=0.3, linewidth=0)
            axis.axhline(0, color="black", linewidth=0.6)
            _curves(axis, calibration, faults[label])
            axis.set_title(fill(label, _TITLE_WIDTH))
            axis.set(xlabel="PIT value of the truth")
        drawn.axis.set(ylabel="ECDF − uniform")
    return drawn.figure


def _curves(axis: Axes, calibration: Calibration, faulty: Sequence[str]) -> None:
    pit = calibration.pit()
    for name in pit.data_vars:
        values = np.sort(pit[name].to_numpy())
        grid = np.linspace(0.0, 1.0, _GRID)
        difference = np.searchsorted(values, grid, side="right") / values.size - grid
        if name in faulty:
            line = _LINES[list(faulty).index(str(name)) % len(_LINES)]
            axis.plot(
                grid, difference, color=VERMILION, linestyle=line, linewidth=1.6, label=fill(str(name), _LABEL_WIDTH)
            )
        else:
            axis.plot(grid, difference, color=BLUE, linewidth=0.6, alpha=0.7)
    if faulty:
        axis.legend(loc="upper right", fontsize=7)
    low, high = axis.get_ylim()
    # No panel magnifies what is inside the envelope; the legend gets room above the curves.
    axis.set_ylim(min(low, -_LEAST_REACH), 1.35 * max(high, _LEAST_REACH))


def _envelope(trials: int, probability: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    ecdf_utils: Any = import_module("arviz_stats.ecdf_utils")  # imported when used: it takes seconds
    uniform = np.arange(1, trials + 1) / trials
    rng = np.random.default_rng(_SEED)
    points, _, lower, upper = ecdf_utils.ecdf_pit(uniform, probability, _SIMULATIONS, rng=rng)
    return points, lower, upper
