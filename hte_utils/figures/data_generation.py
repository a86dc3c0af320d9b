"""Figures of the chapter on data generation: what was drawn, beside the law it was drawn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.patches import Ellipse
from scipy import stats

from hte_utils.figures.style import ARM_COLOURS, ARM_LINES, BLUE, GREY, ORANGE, VERMILION, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hte_utils.trial import Covariates, TrialTruth

PROBABILITY_INSIDE_ELLIPSE = 0.95


def clamped_covariates(patients: Covariates) -> Figure:
    """Age and BMI as drawn, beside the normal law; what lay beyond a limit was moved onto it."""
    with canvas(2, height=2.8) as drawn:
        _clamped(drawn.axes[0], patients.age, 55, 12, (25, 85), "Age (years)")
        _clamped(drawn.axes[1], patients.bmi, 28, 5, (16, 50), "BMI (kg/m²)")
        drawn.figure.legend(*drawn.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return drawn.figure


def _clamped(
    axis: Axes, values: NDArray[np.float64], mean: float, sd: float, limits: tuple[float, float], label: str
) -> None:
    low, high = limits
    edges = np.linspace(low, high, 31)
    width = edges[1] - edges[0]
    inside = values[(values > low) & (values < high)]
    axis.hist(inside, edges.tolist(), color=BLUE, alpha=0.45, edgecolor="white", label="drawn")
    grid = np.linspace(low, high, 200)
    axis.plot(grid, len(values) * width * stats.norm.pdf(grid, mean, sd), color=BLUE, label="normal law")
    for limit, beyond in ((low, stats.norm.cdf(low, mean, sd)), (high, stats.norm.sf(high, mean, sd))):
        axis.bar(
            limit, np.sum(values == limit), width=width * 0.6, color=VERMILION, label=_once(axis, "moved onto a limit")
        )
        axis.plot(limit, len(values) * beyond, "_", color="black", markersize=14, label=_once(axis, "expected there"))
    axis.set(xlabel=label, ylabel="Patients")


def _once(axis: Axes, label: str) -> str:
    """Label the first of several like marks; Matplotlib leaves out labels that start with an underscore."""
    return f"_{label}" if label in axis.get_legend_handles_labels()[1] else label


def blood_pressure(patients: Covariates) -> Figure:
    """Systolic against diastolic pressure with the ellipse of the bivariate normal law, and who is hypertensive."""
    hypertensive = patients.hypertension == 1
    with canvas(height=3.6, width=5.0) as drawn:
        axis = drawn.axis
        axis.scatter(patients.sbp[~hypertensive], patients.dbp[~hypertensive], s=6, color=BLUE, alpha=0.5, label="no")
        axis.scatter(
            patients.sbp[hypertensive],
            patients.dbp[hypertensive],
            s=8,
            color=ORANGE,
            marker="^",
            alpha=0.6,
            label="yes",
        )
        axis.add_patch(_ellipse((130, 80), np.array([[200.0, 100.0], [100.0, 100.0]])))
        axis.axvline(140, color=GREY, linestyle=":")
        axis.axhline(90, color=GREY, linestyle=":")
        axis.set(xlabel="Systolic pressure (mmHg)", ylabel="Diastolic pressure (mmHg)")
        axis.legend(title="Hypertension", loc="upper left")
    return drawn.figure


def _ellipse(centre: tuple[float, float], covariance: NDArray[np.float64]) -> Ellipse:
    """Ellipse that holds 95 % of a bivariate normal law: Mahalanobis distance below the chi-squared quantile."""
    variances, axes = np.linalg.eigh(covariance)
    reach = 2 * np.sqrt(variances * stats.chi2.ppf(PROBABILITY_INSIDE_ELLIPSE, df=2))
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    return Ellipse(centre, reach[1], reach[0], angle=angle, fill=False, linewidth=1.5)


def true_effects(truth: TrialTruth) -> Figure:
    """True effects on the two scales: log odds ratio and risk difference. Positive is harm on both."""
    with canvas(2, height=2.8) as drawn:
        points = 100 * truth.risk_difference
        for axis, values, label in (
            (drawn.axes[0], truth.treatment_effect, "True effect, log odds ratio"),
            (drawn.axes[1], points, "True effect, risk difference\n(percentage points)"),
        ):
            sns.histplot(x=values, ax=axis, color=BLUE, alpha=0.5, edgecolor="white", bins=40)
            axis.axvline(0, color="black", linewidth=1)
            axis.axvline(values.mean(), color=VERMILION, linestyle="--", label=f"mean {values.mean():+.2f}")
            axis.set(xlabel=f"{label}\n← fewer bleeds | more bleeds →", ylabel="Patients")
            axis.legend()
    return drawn.figure


def event_risks(truth: TrialTruth) -> Figure:
    """Distribution of the true probability of bleeding under the assigned treatment, by arm."""
    with canvas(height=2.8) as drawn:
        for code, arm in enumerate(("Control", "Treatment")):
            risks = 100 * truth.event_probability[truth.treatment == code]
            sns.ecdfplot(
                x=risks,
                ax=drawn.axis,
                color=ARM_COLOURS[arm],
                linestyle=ARM_LINES[arm],
                label=f"{arm}, mean {risks.mean():.1f} %",
            )
        drawn.axis.set(
            xlabel="True probability of a major bleed (%)", ylabel="Share of the arm at or below", xscale="log"
        )
        drawn.axis.legend()
    return drawn.figure
