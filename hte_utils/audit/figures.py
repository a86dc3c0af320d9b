"""Figures of the audit: the paper's choices undone one at a time.

Figures of the chapter on the model as described: what the data say about sigma_eta, and effects by age.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from hte_utils.audit.ablation import OBSERVED_RISK, QUINTILE_COLUMNS
from hte_utils.style import BLACK, BLUE, DIRECTION, GREEN, GREY, ORANGE, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from hte_utils.audit.ablation import AblationTable
    from hte_utils.audit.described_model import DescribedPriors
    from hte_utils.effects.monte_carlo import FloatArray


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


_COLOURS = (ORANGE, BLUE, GREEN)
_LINES = ("--", "-", ":")
_AGE_BIN: Final = 5.0
LIKELIHOOD_DROP: Final = float(stats.chi2.ppf(0.95, 1) / 2.0)
"""By how much the log-likelihood falls from its maximum to the end of a 95 % likelihood interval."""


def identification(profile: pd.DataFrame, posteriors: Mapping[str, xr.DataTree], priors: DescribedPriors) -> Figure:
    """Draw what the data say about sigma_eta: the profile likelihood, and the prior beside the posteriors.

    `posteriors`: By label, in the order of the profile's first columns: from
    `hte_utils.audit.described_fit.fit_described`.
    """
    with canvas(2, height=3.6) as drawn:
        likelihood, density = drawn.axes
        for (label, column), colour, line in zip(profile.items(), _COLOURS, _LINES, strict=False):
            likelihood.plot(profile.index, column, color=colour, linestyle=line, linewidth=2, label=str(label))
        likelihood.axhline(-LIKELIHOOD_DROP, color=GREY, linewidth=0.8, linestyle=(0, (1, 3)))
        likelihood.annotate("95 % limit", (0.0, -LIKELIHOOD_DROP), (4, 3), textcoords="offset points", color=GREY)
        likelihood.set(title="Profile log-likelihood", ylabel="relative to $\\sigma_\\eta = 0$", ylim=(-5, 1))
        likelihood.legend(loc="lower left")
        grid = np.linspace(0.0, float(profile.index.max()), 300)
        density.fill_between(
            grid, stats.halfnorm.pdf(grid, scale=priors.individual_scale), color=GREY, alpha=0.3, label="prior"
        )
        for (label, posterior), colour, line in zip(posteriors.items(), _COLOURS, _LINES, strict=False):
            values = _density_from_zero(posterior["posterior"]["sigma_eta"].to_numpy().ravel(), grid)
            density.plot(grid, values, color=colour, linestyle=line, linewidth=2, label=f"posterior, {label}")
        density.set(title="Prior and posterior", ylabel="density", ylim=(0, None))
        density.legend(loc="upper right")
        for axis in drawn.axes:
            axis.set(xlabel="$\\sigma_\\eta$, SD of individual deviations (log odds)", xlim=(0, None))
    return drawn.figure


def effects_by_age(
    trial: pd.DataFrame, actual: FloatArray, described: xr.DataArray, listing: xr.DataArray, boundary: float
) -> Figure:
    """Draw true effects against age, with what the described model and Listing 2 make of them.

    `trial`: The patients' table, with the columns ``age`` and ``anticoagulant``.
    `actual`: True log odds ratios, shape (patients,).
    `described`, `listing`: Draws of the patients' effects, dims (chain, draw, patient); the first is constant in each
        subgroup.
    `boundary`: Age in years at which a subgroup ends and the next begins.
    """
    age, drug = trial["age"].to_numpy(), trial["anticoagulant"].to_numpy()
    mean = listing.mean(["chain", "draw"]).to_numpy()
    with canvas(2, height=3.8, sharey=True) as drawn:
        for axis, answer in zip(drawn.axes, ("No", "Yes"), strict=True):
            here = drug == answer
            axis.axhline(0, color=BLACK, linewidth=0.7, linestyle=":")
            axis.plot(age[here], actual[here], ".", color=GREY, markersize=2, alpha=0.6, label="true, each patient")
            for older in (False, True):
                _step(axis, age, described, here & ((age >= boundary) == older), label=not older)
            _binned_line(axis, age[here], mean[here])
            axis.set(xlabel="Age (years)", title=f"anticoagulant: {answer.lower()}")
        drawn.axis.set(ylabel=f"Effect, log odds ratio\n{DIRECTION}")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return drawn.figure


def _step(axis: Axes, age: FloatArray, effects: xr.DataArray, members: np.ndarray, *, label: bool) -> None:
    draws = effects.isel(patient=int(np.flatnonzero(members)[0])).to_numpy()
    ends = [age[members].min(), age[members].max()]
    name = "described model, subgroup mean and 95 % interval" if label else None
    lower, upper = np.quantile(draws, (0.025, 0.975))
    axis.fill_between(ends, 2 * [lower], 2 * [upper], color=BLUE, alpha=0.15, linewidth=0)
    axis.plot(ends, 2 * [draws.mean()], color=BLUE, linewidth=2.5, label=name)


def _binned_line(axis: Axes, age: FloatArray, mean: FloatArray) -> None:
    place = np.floor(age / _AGE_BIN)
    centres = [age[place == bin_].mean() for bin_ in np.unique(place)]
    means = [mean[place == bin_].mean() for bin_ in np.unique(place)]
    axis.plot(centres, means, color=VERMILION, linestyle="--", linewidth=1.8, label="Listing 2, gender effects in")


def _density_from_zero(draws: FloatArray, grid: FloatArray) -> FloatArray:
    """Kernel density of a quantity that cannot be negative: reflected at zero, so that nothing leaks below it."""
    kernel = stats.gaussian_kde(np.concatenate([draws, -draws]))
    return np.asarray(2.0 * kernel(grid))
