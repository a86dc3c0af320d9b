"""Figures of the chapter on risk groups: predicted and observed risk, and the effect in each group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from hte_utils.figures.cate import COMPUTATION_COLOURS, DIRECTION
from hte_utils.figures.style import ARM_COLOURS, BLUE, GREY, PAPER_COLOUR, VERMILION, canvas
from hte_utils.paper import printed_number

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.monte_carlo import FloatArray
    from hte_utils.strata import RiskStrata

_QUINTILE = "Quintile of predicted baseline risk"
_BOX: dict[str, Any] = {"flierprops": {"markersize": 1.5}, "medianprops": {"color": "black"}}
_ARMS = {"control": ("Control", "o", -0.17), "treated": ("Treatment", "s", 0.17)}


def predicted_and_observed_risk(observed: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean predicted baseline risk by quintile, and the event rate of each arm with its 95 % interval (Wilson).

    Parameters
    ----------
    observed
        By computation: what `hte_utils.strata.observed_by_stratum` returns. The paper's column ``mean_risk`` is drawn
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
        Table of `hte_utils.strata.RiskStrata` made from risk differences: the posterior of each group's average.
    observed
        What `hte_utils.strata.observed_by_stratum` returns for the same groups.
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
