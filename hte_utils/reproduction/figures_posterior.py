"""Figures of chapters 4 to 6: the sampler's diagnostics, predicted beside actual effects, and the risk groups.

Everywhere `actual` are the true effects of the patients (log odds ratios), shape (patients,), and `predicted` their
posterior means, by computation: as the paper computed, and as its model implies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import RiskStrata
from hte_utils.model.checks import FloatArray
from hte_utils.paper import entries_of, printed_number
from hte_utils.style import (
    ARM_COLOURS,
    BLUE,
    DIRECTION,
    GREEN,
    GREY,
    ORANGE,
    PAPER_COLOUR,
    PURPLE,
    VERMILION,
    canvas,
    dots_with_intervals,
)

if TYPE_CHECKING:
    import xarray as xr

KEY_PARAMETERS: Final = ("b_intercept", "b_trt", "b_trt_age", "b_trt_anticoag", "te_gender[1]", "te_gender[2]")
SHOWN_DRAWS: Final = 1000  # per chain in a trace: as many as the paper kept
SHOWN_PATIENTS: Final = 80
_CHAINS: Final = ((BLUE, "-"), (VERMILION, "--"), (GREEN, ":"), (ORANGE, "-."))
_COMPUTATIONS: Final = ((ORANGE, "--"), (BLUE, "-"))
_MEAN: Final = "mean in Table 4"
_QUINTILE: Final = "Quintile of predicted baseline risk"


def traces(draws: xr.Dataset) -> Figure:
    """Figure 5 of the paper: trace of each key parameter, with the paper's posterior mean."""
    with canvas(2, 3, height=5.2, sharex=True) as drawn:
        for axis, name in zip(drawn.axes, KEY_PARAMETERS, strict=True):
            for values, colour, _, label in _chains_of(draws[name]):
                axis.plot(values[:SHOWN_DRAWS], color=colour, linewidth=0.4, alpha=0.7, label=label)
            axis.axhline(printed_number(f"table4.{name}.Mean"), color=PAPER_COLOUR, linewidth=1.2, label=_MEAN)
            axis.set(ylabel=name)
        for axis in drawn.axes[-2:]:
            axis.set(xlabel="Draw")
        _legend_above(drawn.figure, drawn.axis, 5)
    return drawn.figure


def densities(draws: xr.Dataset) -> Figure:
    """Figure 6 of the paper: posterior density of each key parameter by chain, with the paper's posterior mean."""
    with canvas(3, 2, height=4.2) as drawn:
        for axis, name in zip(drawn.axes, KEY_PARAMETERS, strict=True):
            for values, colour, line, label in _chains_of(draws[name]):
                sns.kdeplot(x=values, ax=axis, color=colour, linestyle=line, label=label)
            axis.axvline(printed_number(f"table4.{name}.Mean"), color=PAPER_COLOUR, linewidth=1.2, label=_MEAN)
            axis.set(xlabel=f"{name} (log odds)", ylabel="Density")
        _legend_above(drawn.figure, drawn.axis, 5)
    return drawn.figure


def ranks(draws: xr.Dataset, bins: int = 20) -> Figure:
    """Rank histograms by chain (Vehtari et al. 2021): flat, within the band, when all chains have one distribution."""
    with canvas(3, 2, height=3.8, sharey=True) as drawn:
        for axis, name in zip(drawn.axes, KEY_PARAMETERS, strict=True):
            places = draws[name].copy(data=stats.rankdata(draws[name]).reshape(draws[name].shape) / draws[name].size)
            for own, colour, line, label in _chains_of(places):
                counts, edges = np.histogram(own, bins=bins, range=(0, 1))
                axis.stairs(counts / own.size * bins, edges, color=colour, linestyle=line, label=label)
            noise = 1.96 * np.sqrt((bins - 1) / draws.sizes["draw"])
            axis.axhspan(1 - noise, 1 + noise, color=GREY, alpha=0.15)
            axis.set(xlabel=name, ylim=(0, 2))
        for axis in drawn.axes[::3]:
            axis.set(ylabel="Relative frequency")
        _legend_above(drawn.figure, drawn.axis, 5)
    return drawn.figure


def _chains_of(variable: xr.DataArray) -> Iterator[tuple[FloatArray, str, str, str]]:
    """Each chain's draws with its colour, line and label."""
    values = variable.transpose("chain", "draw").to_numpy()
    for number, (own, (colour, line)) in enumerate(zip(values, _CHAINS, strict=False), start=1):
        yield own, colour, line, f"chain {number}"


def sampler_settings(comparison: pd.DataFrame) -> Figure:
    """How far Table 4's time-series SEs lie from runs of each sampler and thinning, beside the runs' own spread."""
    with canvas(height=3.0) as drawn:
        axis = drawn.axis
        slices, glm = (comparison.loc[sampler]["distance"] for sampler in ("slice", "glm"))
        axis.plot(slices.index, slices, marker="o", color=BLUE, label="JAGS, default samplers")
        axis.plot(glm.index, glm, marker="s", color=VERMILION, label="JAGS, glm module")
        own = comparison["typical"].groupby("thinning").mean()
        axis.plot(own.index, own, color=GREY, linestyle=":", label="distance of such runs from one another")
        axis.set(yscale="log", xlabel="Thinning: one draw kept of every ...")
        axis.set(ylabel="Squared distance of Table 4's\ntime-series SEs")
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn.figure


def paper_among_runs(runs: pd.DataFrame) -> Figure:
    """Three numbers of Tables 5 and 6 among runs of the sampler that fits Table 4."""
    intercept = runs[runs["parameter"] == "b_intercept"]
    largest = runs.filter(like="geweke_").abs().max(axis=1).groupby(runs["run"]).max()
    panels = (
        (intercept["psrf"], printed_number("table5.b_intercept.point"), "PSRF of b_intercept"),
        (intercept["upper"], printed_number("table5.b_intercept.upper"), "its upper limit"),
        (largest, _geweke_scores().max(), "largest |Geweke z| of 36"),
    )
    with canvas(3, height=2.4) as drawn:
        for axis, (values, printed, label) in zip(drawn.axes, panels, strict=True):
            sns.histplot(x=values, ax=axis, color=BLUE, alpha=0.5, edgecolor="white", bins=16)
            axis.axvline(printed, color=PAPER_COLOUR, linewidth=1.5, label="printed")
            axis.set(xlabel=label, ylabel="Runs")
        drawn.axis.legend()
    return drawn.figure


def _geweke_scores() -> FloatArray:
    """Absolute z-scores of Table 6, in order of size."""
    return np.sort([abs(float(entry.printed)) for entry in entries_of("Table 6")])


def geweke_scores() -> Figure:
    """The 36 z-scores of Table 6 in order of size, beside what 36 standard normal scores would do."""
    scores = _geweke_scores()
    order = np.arange(1, scores.size + 1)
    # The k-th smallest of n uniform probabilities has a beta distribution; |z| is a monotone function of it.
    smallest = stats.beta(order, scores.size + 1 - order)
    low, middle, high = (stats.norm.ppf((1 + smallest.ppf(p)) / 2) for p in (0.025, 0.5, 0.975))
    with canvas(height=3.0, width=5.4) as drawn:
        axis = drawn.axis
        axis.fill_between(middle, low, high, color=BLUE, alpha=0.15, label="95 % of 36 standard normal scores")
        axis.plot(middle, middle, color=BLUE, linewidth=1)
        axis.plot(middle, scores, "o", color=PAPER_COLOUR, markersize=4, label="Table 6")
        axis.axhline(2, color=PURPLE, linestyle="--", label="2, the paper's limit")
        axis.set(xlabel="Expected |z| of that rank", ylabel="|z| in Table 6")
        axis.legend(loc="upper left")
    return drawn.figure


def effect_densities(actual: FloatArray, predicted: Mapping[str, FloatArray]) -> Figure:
    """Figure 2 of the paper: distribution over the patients of actual and predicted CATEs."""
    with canvas(height=3.2) as drawn:
        axis = drawn.axis
        sns.kdeplot(x=actual, ax=axis, color=GREY, fill=True, alpha=0.3, linewidth=0)
        axis.fill([], [], color=GREY, alpha=0.3, label=f"actual, mean {actual.mean():+.2f}")
        axis.axvline(actual.mean(), color=GREY, linewidth=1.2)
        for (label, values), (colour, line) in zip(predicted.items(), _COMPUTATIONS, strict=False):
            name = f"predicted, {label}, mean {values.mean():+.2f}"
            sns.kdeplot(x=values, ax=axis, color=colour, linestyle=line, linewidth=1.8, label=name)
            axis.axvline(values.mean(), color=colour, linestyle=line, linewidth=1.2)
        axis.axvline(0, color="black", linewidth=0.6, linestyle=":")
        axis.set(xlabel=f"CATE, log odds ratio\n{DIRECTION}", ylabel="Density over patients")
        drawn.figure.legend(*axis.get_legend_handles_labels(), loc="outside upper left", ncols=1)
    return drawn.figure


def intervals(actual: FloatArray, summaries: Mapping[str, xr.Dataset]) -> Figure:
    """Credible intervals of some patients' CATEs, from `hte_utils.effects.cate.cate`, in the order of true effects."""
    order = np.argsort(actual, kind="stable")
    shown = order[np.linspace(0, order.size - 1, SHOWN_PATIENTS).astype(int)]
    place, true = np.arange(shown.size), actual[shown]
    with canvas(len(summaries), height=3.4, sharey=True) as drawn:
        for axis, (label, summary) in zip(drawn.axes, summaries.items(), strict=True):
            lower, upper = (summary[end].to_numpy()[shown] for end in ("lower", "upper"))
            holds = (lower <= true) & (true <= upper)
            axis.axhline(0, color="black", linewidth=0.6, linestyle=":")
            hits, misses = ((place[own], lower[own], upper[own]) for own in (holds, ~holds))
            axis.vlines(*hits, color=to_rgba(BLUE, 0.55), linewidth=1.5, label="interval holds the truth")
            axis.vlines(*misses, color=to_rgba(VERMILION), linewidth=2.0, label="interval misses it")
            axis.plot(place, true, ".", color="black", markersize=4, label="actual CATE")
            axis.set_xticks([])
            axis.set_title(f"{label}\nmean width {float((summary['upper'] - summary['lower']).mean()):.2f}")
            axis.set(xlabel="Patients, by actual CATE")
        drawn.axis.set(ylabel=f"CATE, log odds ratio\n{DIRECTION}")
        _legend_above(drawn.figure, drawn.axes[-1], 3)
    return drawn.figure


def calibration(actual: FloatArray, predicted: Mapping[str, FloatArray]) -> Figure:
    """What the paper's Figure 4 may have been meant to show: actual against predicted CATE, the line of calibration."""
    everything = np.concatenate([actual, *predicted.values()])
    limits = float(everything.min()) - 0.1, float(everything.max()) + 0.1
    with canvas(len(predicted), height=3.9, sharey=True) as drawn:
        for axis, (label, values) in zip(drawn.axes, predicted.items(), strict=True):
            found = point_metrics(values, actual)
            ends = np.array([values.min(), values.max()])
            line = found.calibration_intercept + found.calibration_slope * ends
            axis.hexbin(values, actual, gridsize=34, extent=(*limits, *limits), mincnt=1, cmap="Blues", bins="log")
            axis.plot(limits, limits, color=GREY, linestyle=":", label="predicted = actual")
            axis.plot(ends, line, color=VERMILION, linewidth=2, label="least squares")
            axis.axhline(0, color="black", linewidth=0.5)
            axis.axvline(0, color="black", linewidth=0.5)
            axis.set_title(f"{label}\nslope {found.calibration_slope:.2f}, mean error {found.bias:+.2f}")
            axis.set(xlabel=f"Predicted CATE, log odds ratio\n{DIRECTION}", xlim=limits, ylim=limits, aspect="equal")
        drawn.axis.set(ylabel=f"Actual CATE, log odds ratio\n{DIRECTION}")
        _legend_above(drawn.figure, drawn.axis, 2)
    return drawn.figure


def predicted_and_observed_risk(observed: Mapping[str, pd.DataFrame]) -> Figure:
    """Mean predicted baseline risk by quintile, and the event rate of each arm with its 95 % interval (Wilson).

    `observed`: by computation, what `hte_utils.effects.strata.observed_by_stratum` returns; in the panel of the first,
    the paper's, stands the column ``mean_risk`` of Table 8.
    """
    with canvas(len(observed), height=3.5, sharey=True) as drawn:
        for number, (axis, (label, table)) in enumerate(zip(drawn.axes, observed.items(), strict=True)):
            place, (colour, _) = np.arange(len(table)), _COMPUTATIONS[number]
            predicted = 100 * table["mean_risk"]
            axis.plot(place, predicted, "D-", color=colour, markersize=5, label=f"predicted, {label}")
            if number == 0:
                paper = [100 * printed_number(f"table8.{row}.mean_risk") for row in table.index]
                axis.plot(place, paper, "x", color=PAPER_COLOUR, markersize=9, label="mean_risk in Table 8")
            for arm, name, marker, shift in (("control", "Control", "o", -0.17), ("treated", "Treatment", "s", 0.17)):
                ends = proportion_confint(table[f"events_{arm}"], table[f"n_{arm}"], method="wilson")
                rates = (100 * each for each in (table[f"rate_{arm}"], *ends))
                look = {"fmt": marker, "color": ARM_COLOURS[name], "label": f"observed, {name.lower()} arm"}
                dots_with_intervals(axis, place + shift, rates, look)
            axis.set_xticks(place, table.index)
            axis.set(xlabel=_QUINTILE, ylim=(0, None))
            axis.legend(loc="upper left")
        drawn.axis.set(ylabel="Risk of a major bleed (%)")
    return drawn.figure


def effects_by_stratum(actual: FloatArray, predicted: Mapping[str, tuple[RiskStrata, FloatArray]]) -> Figure:
    """Figure 3 of the paper: distribution of the CATE over the patients of each quintile, predicted and actual."""
    box: dict[str, Any] = {"flierprops": {"markersize": 1.5}, "medianprops": {"color": "black"}}
    with canvas(len(predicted), height=3.6, sharey=True) as drawn:
        panels = zip(drawn.axes, predicted.items(), _COMPUTATIONS, strict=False)
        for axis, (label, (strata, values)), (colour, _) in panels:
            axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
            place = np.arange(len(strata.table))
            for shift, each, face, name in ((-0.2, values, colour, "predicted"), (0.2, actual, "lightgrey", "actual")):
                groups = [each[strata.group == group] for group in place + 1]
                look = {**box, "boxprops": {"facecolor": face}, "label": name}
                axis.boxplot(groups, positions=place + shift, widths=0.36, patch_artist=True, **look)
            axis.set_xticks(place, strata.table.index)
            axis.set(title=label, xlabel=_QUINTILE)
            axis.legend(loc="upper left")
        drawn.axis.set(ylabel=f"CATE, log odds ratio\n{DIRECTION}")
    return drawn.figure


def risk_differences_by_stratum(predicted: pd.DataFrame, observed: pd.DataFrame, true: pd.Series) -> Figure:
    """Risk difference in each quintile, in percentage points: predicted, observed, and true group means.

    `predicted`: table of a `hte_utils.effects.strata.RiskStrata` of risk differences; `observed`: of
    `observed_by_stratum`, for the same groups.
    """
    place = np.arange(len(predicted))
    of_average = (100 * predicted[name] for name in ("mean_te", "average_lower", "average_upper"))
    of_arms = (100 * observed[name] for name in ("rate_difference", "difference_lower", "difference_upper"))
    with canvas(height=3.4) as drawn:
        axis = drawn.axis
        axis.axhline(0, color="black", linewidth=0.7, linestyle=":")
        look = {"fmt": "D", "color": BLUE, "label": "predicted, 95 % credible interval"}
        dots_with_intervals(axis, place - 0.15, of_average, look)
        look = {"fmt": "o", "color": GREY, "label": "observed, 95 % confidence interval"}
        dots_with_intervals(axis, place + 0.15, of_arms, look)
        axis.hlines(100 * true, place - 0.32, place + 0.32, color=VERMILION, linewidth=2.5, label="true")
        axis.set_xticks(place, predicted.index)
        axis.set(xlabel=_QUINTILE, ylabel=f"Risk difference (percentage points)\n{DIRECTION}")
        axis.legend(loc="upper left")
    return drawn.figure


def _legend_above(figure: Figure, axis: Axes, columns: int) -> None:
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=columns)
