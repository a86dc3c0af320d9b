"""Figures of the chapters on CATEs: predicted against actual effects, without and with the gender effects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from hte_utils.evaluation import point_metrics
from hte_utils.figures.style import BLUE, GREY, ORANGE, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.monte_carlo import FloatArray

DIRECTION = "← fewer bleeds | more bleeds →"
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
        By computation: what `hte_utils.cate.summarise_cate` returns, for all patients.
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
