"""Figures of chapter 11: predictive checks, model comparison, candidates beside the truth, calibration of the code.

Differences of empirical distribution functions and their simultaneous envelope are those of Säilynoja, Bürkner &
Vehtari (2022); the envelope is ArviZ's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hte_utils.corrected.sbc import Calibration
from hte_utils.style import BLACK, BLUE, DIRECTION, GREY, ORANGE, VERMILION, canvas, dots_with_intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MODELS = ((ORANGE, "s", 0.18), (BLUE, "o", -0.18))
_MEASURES = {
    "correlation": ("Correlation", None),
    "rmse": ("RMSE", 0.0),
    "bias": ("Mean error\n(predicted − true)", 0.0),
    "coverage": ("Coverage\n(95 % intervals)", 0.95),
}
_LEAST_REACH = 0.12
_LINES = ("-", "--", "-.", ":")
_DOTTED: dict[str, Any] = {"color": BLACK, "linewidth": 0.7, "linestyle": ":"}


def prior_predictions(predictions: Mapping[str, pd.DataFrame], observed_rate: float) -> Figure:
    """What two models expect of the trial before its outcomes: event rate, and average risk difference.

    `predictions`: by label, from `model_checks.prior_prediction`; `observed_rate` of the trial is a proportion.
    """
    with canvas(2, height=3.2) as drawn:
        rates, differences = drawn.axes
        for (label, prediction), (colour, _, _) in zip(predictions.items(), _MODELS, strict=True):
            style: dict[str, Any] = {"density": True, "alpha": 0.5, "color": colour, "label": label}
            rates.hist(100 * prediction["event_rate"], bins=list(range(0, 101, 4)), **style)
            differences.hist(100 * prediction["risk_difference"], bins=list(range(-60, 61, 4)), **style)
        rates.axvline(100 * observed_rate, color=BLACK, linewidth=1.2, label="observed in this trial")
        differences.axvline(0, **_DOTTED)
        rates.set(xlabel="Event rate of a simulated trial (%)", ylabel="Prior predictive density")
        differences.set(xlabel=f"Average risk difference (percentage points)\n{DIRECTION}")
        drawn.figure.legend(*rates.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return drawn.figure


def replicated_rates(rates: Mapping[str, pd.DataFrame], differences: Mapping[str, pd.DataFrame]) -> Figure:
    """Observed event rates, and differences between the arms, among those of replicated trials, by model's label.

    The tables are those of `model_checks.rates_by_group` and `differences_by_group`.
    """
    with canvas(2, height=5.4) as drawn:
        for axis, tables in zip(drawn.axes, (rates, differences), strict=True):
            groups = next(iter(tables.values()))
            place = np.arange(len(groups))[::-1]
            for (label, table), (colour, marker, shift) in zip(tables.items(), _MODELS, strict=True):
                interval = [100 * table[name] for name in ("expected", "lower", "upper")]
                style = {"fmt": marker, "color": colour, "label": f"replicated, {label}"}
                dots_with_intervals(axis, place + shift, interval, style, across=True)
            bars: dict[str, Any] = {"color": BLACK, "markersize": 16, "markeredgewidth": 2, "label": "observed"}
            axis.plot(100 * groups["observed"], place, "|", **bars)
            axis.set_yticks(place, list(groups.index))
        drawn.axes[0].set(xlabel="Event rate (%)", xlim=(0, None))
        drawn.axes[1].axvline(0, **_DOTTED)
        drawn.axes[1].set(xlabel=f"Treatment minus control (points)\n{DIRECTION}")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return drawn.figure


def calibration_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Observed against predicted risk (isotonic), with the band in which replicated trials lie, by model's label.

    The tables are those of `model_checks.calibration_curve`.
    """
    with canvas(len(curves), height=3.4, sharey=True) as drawn:
        for axis, (label, curve), (colour, _, _) in zip(drawn.axes, curves.items(), _MODELS, strict=True):
            percent = 100 * curve
            predicted = percent["predicted"]
            band: dict[str, Any] = {"color": colour, "alpha": 0.25, "label": "replicated, 95 %"}
            axis.fill_between(predicted, percent["lower"], percent["upper"], **band)
            axis.plot(predicted, percent["observed"], color=BLACK, label="observed")
            limit = float(predicted.quantile(0.995))
            axis.plot([0, limit], [0, limit], color=GREY, linestyle=":", linewidth=1)
            axis.set(xlim=(0, limit), ylim=(0, 2 * limit), xlabel="Predicted risk (%)")
            axis.set_title(label)
            axis.legend(loc="upper left")
        drawn.axis.set(ylabel="Observed risk, isotonic (%)")
    return drawn.figure


def predictive_differences(table: pd.DataFrame, reference: str, attainable: float) -> Figure:
    """Differences of elpd from the reference model, which is left out, with one and two standard errors.

    `attainable`: expected gain of the true effects over the best constant, for scale.
    """
    others = table.drop(index=reference)
    place = np.arange(len(others))[::-1]
    value, se = others["difference"], others["se_difference"]
    with canvas(height=2.8) as drawn:
        axis = drawn.axis
        for reach, style in (
            (2 * se, {"fmt": "none", "color": GREY, "capsize": 3}),
            (se, {"color": BLUE, "linewidth": 2.5, "markersize": 5, "capsize": 0}),
        ):
            dots_with_intervals(axis, place, (value, value - reach, value + reach), style, across=True)
        axis.axvline(0, color=BLACK, linewidth=0.8)
        axis.axvline(attainable, color=VERMILION, linestyle="--", linewidth=1.2)
        note = "true effects over\nthe best constant "
        axis.text(attainable, len(others) - 0.6, note, color=VERMILION, fontsize=8, ha="right")
        axis.set_yticks(place, list(others.index))
        xlabel = "Difference of elpd from the paper's model, ±1 and ±2 SE\nworse ← | → better"
        axis.set(ylim=(-0.6, len(others) + 0.2), xlabel=xlabel)
    return drawn.figure


def errors_over_trials(
    results: pd.DataFrame, scale: str, labels: Mapping[str, str], paper_trial: pd.DataFrame
) -> Figure:
    """Errors of the candidate models over many simulated trials, and in the trial of the paper.

    `results`, `paper_trial`: from `stored_checks.evaluate_candidates`; `labels`: of the models, in the order drawn.
    """
    rng = np.random.default_rng(1)
    by_model, of_paper = (
        table[table["scale"] == scale].groupby("model")[list(_MEASURES)] for table in (results, paper_trial)
    )
    with canvas(len(_MEASURES), height=3.4, width=8.6, sharey=True) as drawn:
        for axis, (measure, (title, ideal)) in zip(drawn.axes, _MEASURES.items(), strict=True):
            for at, name in enumerate(reversed(list(labels))):
                values, own = (each.get_group(name)[measure].to_numpy(np.float64) for each in (by_model, of_paper))
                axis.plot(values, at + rng.uniform(-0.12, 0.12, values.size), ".", color=GREY, markersize=2, alpha=0.6)
                axis.plot(values.mean(), at, "o", color=BLUE, markersize=6)
                axis.plot(own, [at], "D", color=VERMILION, markersize=5, mfc="none")
            if ideal is not None:
                axis.axvline(ideal, **_DOTTED)
            axis.set(xlabel=title)
        drawn.axis.set_yticks(np.arange(len(labels)), list(labels.values())[::-1])
        axis = drawn.axes[-1]
        axis.plot([], [], ".", color=GREY, label="one simulated trial")
        axis.plot([], [], "o", color=BLUE, label="mean over trials")
        axis.plot([], [], "D", color=VERMILION, mfc="none", label="the paper's trial")
        drawn.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return drawn.figure


def ecdf_differences(calibrations: Mapping[str, Calibration], faults: Mapping[str, Sequence[str]]) -> Figure:
    """ECDF of the PIT values minus the uniform one, for every quantity, in one panel a calibration.

    `calibrations`, by label, have the same number of trials; `faults`: by the same labels, quantities to be drawn thick
    and named. In the grey envelope a uniform sample stays everywhere with 95 % probability.
    """
    ecdf_utils: Any = import_module("arviz_stats.ecdf_utils")  # imported when used: it takes seconds
    trials = next(iter(calibrations.values())).ranks.sizes["trial"]
    uniform = np.arange(1, trials + 1) / trials
    points, _, lower, upper = ecdf_utils.ecdf_pit(uniform, 0.95, 1000, rng=np.random.default_rng(214))
    grid = np.linspace(0.0, 1.0, 201)
    with canvas(len(calibrations), height=3.8, width=8.6) as drawn:
        for axis, (label, calibration) in zip(drawn.axes, calibrations.items(), strict=True):
            axis.fill_between(points, lower - points, upper - points, color=GREY, alpha=0.3, linewidth=0)
            axis.axhline(0, color="black", linewidth=0.6)
            faulty = list(faults[label])
            for name, pit in calibration.pit().items():
                difference = np.searchsorted(np.sort(pit.to_numpy()), grid, side="right") / pit.size - grid
                style: dict[str, Any] = {"color": BLUE, "linewidth": 0.6, "alpha": 0.7}
                if name in faulty:
                    line = _LINES[faulty.index(str(name)) % len(_LINES)]
                    style = {"color": VERMILION, "linestyle": line, "linewidth": 1.6, "label": fill(str(name), 30)}
                axis.plot(grid, difference, **style)
            if faulty:
                axis.legend(loc="upper right", fontsize=7)
            low, high = axis.get_ylim()
            # No panel magnifies what is inside the envelope; the legend gets room above the curves.
            axis.set_ylim(min(low, -_LEAST_REACH), 1.35 * max(high, _LEAST_REACH))
            axis.set_title(fill(label, 28))
            axis.set(xlabel="PIT value of the truth")
        drawn.axis.set(ylabel="ECDF − uniform")
    return drawn.figure
