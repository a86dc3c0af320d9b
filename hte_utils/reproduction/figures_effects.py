"""Figures of the chapters on CATEs: predicted against actual effects, without and with the gender effects.

Figures of the chapter on risk groups: predicted and observed risk, and the effect in each group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns
from statsmodels.stats.proportion import proportion_confint

from hte_utils.effects.evaluation import point_metrics
from hte_utils.paper import printed_number
from hte_utils.style import ARM_COLOURS, BLUE, DIRECTION, GREY, ORANGE, PAPER_COLOUR, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.effects.monte_carlo import FloatArray
    from hte_utils.effects.strata import RiskStrata


COMPUTATION_COLOURS = (ORANGE, BLUE)
COMPUTATION_LINES = ("--", "-")
SHOWN_PATIENTS = 80


def effect_densities(actual: FloatArray, predicted: Mapping[str, FloatArray]) -> Figure:
    """Figure 2 of the paper: distribution of actual and predicted CATEs over the patients.

    Parameters
    ----------
    actual
        True log odds ratios, shape (patients,).
    predicted
        Posterior means of them by computation, in the order of `COMPUTATION_COLOURS`.
    """
    with canvas(height=3.2) as drawn:
        axis = drawn.axis
        sns.kdeplot(x=actual, ax=axis, color=GREY, fill=True, alpha=0.3, linewidth=0)
        axis.fill([], [], color=GREY, alpha=0.3, label=f"actual, mean {actual.mean():+.2f}")
        axis.axvline(actual.mean(), color=GREY, linewidth=1.2)
        for (label, values), colour, line in zip(
            predicted.items(), COMPUTATION_COLOURS, COMPUTATION_LINES, strict=False
        ):
            name = f"predicted, {label}, mean {values.mean():+.2f}"
            sns.kdeplot(x=values, ax=axis, color=colour, linestyle=line, linewidth=1.8, label=name)
            axis.axvline(values.mean(), color=colour, linestyle=line, linewidth=1.2)
        axis.axvline(0, color="black", linewidth=0.6, linestyle=":")
        axis.set(xlabel=f"CATE, log odds ratio\n{DIRECTION}", ylabel="Density over patients")
        drawn.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=1)
    return drawn.figure


def intervals(actual: FloatArray, summaries: Mapping[str, xr.Dataset]) -> Figure:
    """Credible intervals of some patients' CATEs, patients in the order of their true effects.

    Parameters
    ----------
    actual
        True log odds ratios, shape (patients,).
    summaries
        By computation: what `hte_utils.effects.cate.cate` returns, for all patients.
    """
    order = np.argsort(actual, kind="stable")
    shown = order[np.linspace(0, order.size - 1, SHOWN_PATIENTS).astype(int)]
    with canvas(len(summaries), height=3.4, sharey=True) as drawn:
        for axis, (label, summary) in zip(drawn.axes, summaries.items(), strict=True):
            _intervals(axis, actual[shown], summary.isel(patient=shown))
            widths = (summary["upper"] - summary["lower"]).to_numpy()
            axis.set_title(f"{label}\nmean width {widths.mean():.2f}")
            axis.set(xlabel="Patients, by actual CATE")
        drawn.axis.set(ylabel=f"CATE, log odds ratio\n{DIRECTION}")
        drawn.figure.legend(*drawn.axes[-1].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return drawn.figure


def _intervals(axis: Axes, actual: FloatArray, summary: xr.Dataset) -> None:
    place = np.arange(actual.size)
    lower, upper = summary["lower"].to_numpy(), summary["upper"].to_numpy()
    covers = (lower <= actual) & (actual <= upper)
    axis.axhline(0, color="black", linewidth=0.6, linestyle=":")
    axis.vlines(place[covers], lower[covers], upper[covers], color=BLUE, alpha=0.55, label="interval holds the truth")
    axis.vlines(
        place[~covers], lower[~covers], upper[~covers], color=VERMILION, linewidth=2, label="interval misses it"
    )
    axis.plot(place, actual, ".", color="black", markersize=4, label="actual CATE")
    axis.set_xticks([])


def calibration(actual: FloatArray, predicted: Mapping[str, FloatArray]) -> Figure:
    """What Figure 4 of the paper may have been meant to show: actual against predicted CATE, with the calibration line.

    Parameters
    ----------
    actual
        True log odds ratios, shape (patients,).
    predicted
        Posterior means of them by computation.
    """
    everything = np.concatenate([actual, *predicted.values()])
    limits = float(everything.min()) - 0.1, float(everything.max()) + 0.1
    with canvas(len(predicted), height=3.9, sharey=True) as drawn:
        for axis, (label, values) in zip(drawn.axes, predicted.items(), strict=True):
            found = point_metrics(values, actual)
            ends = np.array([values.min(), values.max()])
            axis.hexbin(values, actual, gridsize=34, extent=(*limits, *limits), mincnt=1, cmap="Blues", bins="log")
            axis.plot(limits, limits, color=GREY, linestyle=":", label="predicted = actual")
            axis.plot(
                ends,
                found.calibration_intercept + found.calibration_slope * ends,
                color=VERMILION,
                linewidth=2,
                label="least squares",
            )
            axis.axhline(0, color="black", linewidth=0.5)
            axis.axvline(0, color="black", linewidth=0.5)
            axis.set_title(f"{label}\nslope {found.calibration_slope:.2f}, mean error {found.bias:+.2f}")
            axis.set(xlabel=f"Predicted CATE, log odds ratio\n{DIRECTION}", xlim=limits, ylim=limits, aspect="equal")
        drawn.axis.set(ylabel=f"Actual CATE, log odds ratio\n{DIRECTION}")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return drawn.figure


_QUINTILE = "Quintile of predicted baseline risk"
_BOX: dict[str, Any] = {"flierprops": {"markersize": 1.5}, "medianprops": {"color": "black"}}
_ARMS = {"control": ("Control", "o", -0.17), "treated": ("Treatment", "s", 0.17)}


def predicted_and_observed_risk(observed: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean predicted baseline risk by quintile, and the event rate of each arm with its 95 % interval (Wilson).

    Parameters
    ----------
    observed
        By computation: what `hte_utils.effects.strata.observed_by_stratum` returns. The paper's column ``mean_risk``
        is drawn
        in the first panel.
    """
    with canvas(len(observed), height=3.5, sharey=True) as drawn:
        for number, (axis, (label, table)) in enumerate(zip(drawn.axes, observed.items(), strict=True)):
            place = np.arange(len(table))
            axis.plot(
                place,
                100 * table["mean_risk"],
                "D-",
                color=COMPUTATION_COLOURS[number],
                markersize=5,
                label=f"predicted, {label}",
            )
            if number == 0:
                paper = [100 * printed_number(f"table8.{row}.mean_risk") for row in table.index]
                axis.plot(place, paper, "x", color=PAPER_COLOUR, markersize=9, label="mean_risk in Table 8")
            for arm in _ARMS:
                _event_rates(axis, table, arm)
            axis.set_xticks(place, table.index)
            axis.set(xlabel=_QUINTILE, ylim=(0, None))
            axis.legend(loc="upper left")
        drawn.axis.set(ylabel="Risk of a major bleed (%)")
    return drawn.figure


def _event_rates(axis: Axes, table: pd.DataFrame, arm: str) -> None:
    name, marker, shift = _ARMS[arm]
    rate = table[f"rate_{arm}"]
    low, high = proportion_confint(table[f"events_{arm}"], table[f"n_{arm}"], method="wilson")
    axis.errorbar(
        np.arange(len(table)) + shift,
        100 * rate,
        yerr=100 * np.clip([rate - low, high - rate], 0, None),
        fmt=marker,
        color=ARM_COLOURS[name],
        capsize=2,
        markersize=4,
        label=f"observed, {name.lower()} arm",
    )


def effects_by_stratum(actual: FloatArray, predicted: Mapping[str, tuple[RiskStrata, FloatArray]]) -> Figure:
    """Figure 3 of the paper: distribution of the CATE over the patients of each quintile, predicted and actual.

    Parameters
    ----------
    actual
        True log odds ratios, shape (patients,).
    predicted
        By computation: the quintiles, and the posterior means of the log odds ratios.
    """
    with canvas(len(predicted), height=3.6, sharey=True) as drawn:
        for number, (axis, (label, (strata, values))) in enumerate(zip(drawn.axes, predicted.items(), strict=True)):
            axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
            place = np.arange(len(strata.table))
            for shift, each, colour, name in (
                (-0.2, values, COMPUTATION_COLOURS[number], "predicted"),
                (0.2, actual, "lightgrey", "actual"),
            ):
                groups = [each[strata.group == group] for group in place + 1]
                boxes = axis.boxplot(groups, positions=place + shift, widths=0.36, patch_artist=True, **_BOX)
                for box in boxes["boxes"]:
                    box.set(facecolor=colour)
                boxes["boxes"][0].set_label(name)
            axis.set_xticks(place, strata.table.index)
            axis.set_title(label)
            axis.set(xlabel=_QUINTILE)
            axis.legend(loc="upper left")
        drawn.axis.set(ylabel=f"CATE, log odds ratio\n{DIRECTION}")
    return drawn.figure


def risk_differences_by_stratum(predicted: pd.DataFrame, observed: pd.DataFrame, true: pd.Series) -> Figure:
    """Predicted, observed and true risk difference in each quintile, in percentage points.

    Parameters
    ----------
    predicted
        Table of `hte_utils.effects.strata.RiskStrata` made from risk differences: the posterior of each group's
        average.
    observed
        What `hte_utils.effects.strata.observed_by_stratum` returns for the same groups.
    true
        Mean true risk difference by group.
    """
    place = np.arange(len(predicted))
    with canvas(height=3.4) as drawn:
        axis = drawn.axis
        axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
        for shift, marker, colour, label, centre, low, high in (
            (-0.15, "D", BLUE, "predicted, 95 % credible interval", *_posterior_of_average(predicted)),
            (0.15, "o", GREY, "observed, 95 % confidence interval", *_observed_difference(observed)),
        ):
            reach = 100 * np.array([centre - low, high - centre])
            axis.errorbar(place + shift, 100 * centre, yerr=reach, fmt=marker, color=colour, capsize=3, label=label)
        axis.hlines(100 * true, place - 0.32, place + 0.32, color=VERMILION, linewidth=2.5, label="true")
        axis.set_xticks(place, predicted.index)
        axis.set(xlabel=_QUINTILE, ylabel=f"Risk difference (percentage points)\n{DIRECTION}")
        axis.legend(loc="upper left")
    return drawn.figure


def _posterior_of_average(table: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    return table["mean_te"].to_numpy(), table["average_lower"].to_numpy(), table["average_upper"].to_numpy()


def _observed_difference(table: pd.DataFrame) -> tuple[FloatArray, FloatArray, FloatArray]:
    columns = ("rate_difference", "difference_lower", "difference_upper")
    centre, low, high = (table[name].to_numpy() for name in columns)
    return centre, low, high
