"""Figures of the chapter on diagnostics: traces, densities, ranks, and the paper's diagnostics among simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from scipy import stats

from hte_utils.paper import entries_of, printed_number
from hte_utils.style import BLUE, GREEN, GREY, ORANGE, PAPER_COLOUR, PURPLE, VERMILION, canvas

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHAIN_COLOURS = (BLUE, VERMILION, GREEN, ORANGE)
CHAIN_LINES = ("-", "--", ":", "-.")
KEY_PARAMETERS = ("b_intercept", "b_trt", "b_trt_age", "b_trt_anticoag", "te_gender[1]", "te_gender[2]")
SHOWN_DRAWS = 1000
"""Draws per chain in a trace: as many as the paper kept."""


def traces(draws: xr.Dataset) -> Figure:
    """Figure 5 of the paper: trace of each key parameter, with the paper's posterior mean."""
    with canvas(2, 3, height=5.2, sharex=True) as drawn:
        for axis, name in zip(drawn.axes, KEY_PARAMETERS, strict=True):
            for chain, colour in zip(draws["chain"].to_numpy(), CHAIN_COLOURS, strict=False):
                values = draws[name].sel(chain=chain)[:SHOWN_DRAWS]
                axis.plot(values, color=colour, linewidth=0.4, alpha=0.7, label=f"chain {chain + 1}")
            _mark_paper(axis, name, horizontal=True)
            axis.set(ylabel=name)
        for axis in drawn.axes[-2:]:
            axis.set(xlabel="Draw")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return drawn.figure


def densities(draws: xr.Dataset) -> Figure:
    """Figure 6 of the paper: posterior density of each key parameter by chain, with the paper's posterior mean."""
    with canvas(3, 2, height=4.2) as drawn:
        for axis, name in zip(drawn.axes, KEY_PARAMETERS, strict=True):
            for chain, colour, line in zip(draws["chain"].to_numpy(), CHAIN_COLOURS, CHAIN_LINES, strict=False):
                sns.kdeplot(
                    x=draws[name].sel(chain=chain), ax=axis, color=colour, linestyle=line, label=f"chain {chain + 1}"
                )
            _mark_paper(axis, name, horizontal=False)
            axis.set(xlabel=f"{name} (log odds)", ylabel="Density")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return drawn.figure


def _mark_paper(axis: Axes, name: str, *, horizontal: bool) -> None:
    mark = axis.axhline if horizontal else axis.axvline
    mark(printed_number(f"table4.{name}.Mean"), color=PAPER_COLOUR, linewidth=1.2, label="mean in Table 4")


def ranks(draws: xr.Dataset, bins: int = 20) -> Figure:
    """Rank histograms by chain (Vehtari et al. 2021): flat, within the band, when all chains have one distribution."""
    with canvas(3, 2, height=3.8, sharey=True) as drawn:
        for axis, name in zip(drawn.axes, KEY_PARAMETERS, strict=True):
            values = draws[name].transpose("chain", "draw").to_numpy()
            places = stats.rankdata(values).reshape(values.shape) / values.size
            for chain, (own, colour, line) in enumerate(zip(places, CHAIN_COLOURS, CHAIN_LINES, strict=False), 1):
                counts, edges = np.histogram(own, bins=bins, range=(0, 1))
                axis.stairs(counts / own.size * bins, edges, color=colour, linestyle=line, label=f"chain {chain}")
            noise = 1.96 * np.sqrt((bins - 1) / values.shape[1])
            axis.axhspan(1 - noise, 1 + noise, color=GREY, alpha=0.15)
            axis.set(xlabel=name, ylim=(0, 2))
        drawn.axes[0].set(ylabel="Relative frequency")
        drawn.axes[3].set(ylabel="Relative frequency")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return drawn.figure


def sampler_settings(comparison: pd.DataFrame) -> Figure:
    """How far Table 4's time-series SEs lie from runs of each sampler and thinning, beside the runs' own spread."""
    with canvas(height=3.0) as drawn:
        for sampler, colour, marker in (("slice", BLUE, "o"), ("glm", VERMILION, "s")):
            rows = comparison.loc[sampler]
            label = {"slice": "JAGS, default samplers", "glm": "JAGS, glm module"}[sampler]
            drawn.axis.plot(rows.index, rows["distance"], marker=marker, color=colour, label=label)
        own = comparison["typical"].groupby("thinning").mean()
        drawn.axis.plot(own.index, own, color=GREY, linestyle=":", label="distance of such runs from one another")
        drawn.axis.set(
            yscale="log",
            xlabel="Thinning: one draw kept of every ...",
            ylabel="Squared distance of Table 4's\ntime-series SEs",
        )
        drawn.axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn.figure


def paper_among_runs(runs: pd.DataFrame) -> Figure:
    """Three numbers of Tables 5 and 6 among runs of the sampler that fits Table 4."""
    by_run = runs.groupby("run")
    intercept = runs[runs["parameter"] == "b_intercept"]
    largest = by_run[["geweke_1", "geweke_2", "geweke_3"]].apply(lambda own: np.abs(own.to_numpy()).max())
    printed_largest = max(abs(float(entry.printed)) for entry in entries_of("Table 6"))
    panels = (
        (intercept["psrf"], printed_number("table5.b_intercept.point"), "PSRF of b_intercept"),
        (intercept["upper"], printed_number("table5.b_intercept.upper"), "its upper limit"),
        (largest, printed_largest, "largest |Geweke z| of 36"),
    )
    with canvas(3, height=2.4) as drawn:
        for axis, (values, printed, label) in zip(drawn.axes, panels, strict=True):
            sns.histplot(x=values, ax=axis, color=BLUE, alpha=0.5, edgecolor="white", bins=16)
            axis.axvline(printed, color=PAPER_COLOUR, linewidth=1.5, label="printed")
            axis.set(xlabel=label, ylabel="Runs")
        drawn.axis.legend()
    return drawn.figure


def geweke_scores() -> Figure:
    """The 36 z-scores of Table 6 in order of size, beside what 36 standard normal scores would do."""
    scores = np.sort([abs(float(entry.printed)) for entry in entries_of("Table 6")])
    order = np.arange(1, scores.size + 1)
    # The k-th smallest of n uniform probabilities has a beta distribution; |z| is a monotone function of it.
    low, middle, high = (
        stats.norm.ppf((1 + stats.beta.ppf(p, order, scores.size + 1 - order)) / 2) for p in (0.025, 0.5, 0.975)
    )
    with canvas(height=3.0, width=5.4) as drawn:
        drawn.axis.fill_between(middle, low, high, color=BLUE, alpha=0.15, label="95 % of 36 standard normal scores")
        drawn.axis.plot(middle, middle, color=BLUE, linewidth=1)
        drawn.axis.plot(middle, scores, "o", color=PAPER_COLOUR, markersize=4, label="Table 6")
        drawn.axis.axhline(2, color=PURPLE, linestyle="--", label="2, the paper's limit")
        drawn.axis.set(xlabel="Expected |z| of that rank", ylabel="|z| in Table 6")
        drawn.axis.legend(loc="upper left")
    return drawn.figure
