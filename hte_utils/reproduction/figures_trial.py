"""Figures of the chapter on data generation: what was drawn, beside the law it was drawn from.

Figures of the chapter on Table 1: balance of the arms and the propensity score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns
from matplotlib.patches import Ellipse
from scipy import stats

from hte_utils.style import ARM_COLOURS, ARM_LINES, BLUE, GREY, ORANGE, VERMILION, canvas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hte_utils.reproduction.table_1 import Propensity
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


def propensity_by_arm(fitted: Propensity) -> Figure:
    """Figure 1 of the paper: distribution of the propensity score in each arm."""
    with canvas(height=2.9) as drawn:
        for arm, members in (("Control", ~fitted.treated), ("Treatment", fitted.treated)):
            scores = fitted.scores[members]
            sns.kdeplot(
                x=scores, ax=drawn.axis, color=ARM_COLOURS[arm], linestyle=ARM_LINES[arm], fill=True, alpha=0.15
            )
            sns.kdeplot(
                x=scores,
                ax=drawn.axis,
                color=ARM_COLOURS[arm],
                linestyle=ARM_LINES[arm],
                label=f"{arm} (n = {len(scores)})",
            )
        drawn.axis.axvline(fitted.treated.mean(), color=GREY, linewidth=1, linestyle=":")
        drawn.axis.set(xlabel="Estimated probability of being in the treatment arm", ylabel="Density")
        drawn.axis.legend()
    return drawn.figure


def balance(differences: pd.Series, n_control: int, n_treatment: int) -> Figure:
    """Standardised mean differences, with the band that chance alone fills in 95 % of randomised trials.

    Parameters
    ----------
    differences
        Standardised mean differences by row of Table 1.
    n_control, n_treatment
        Arm sizes; the standard error of a standardised difference under randomisation is about
        ``sqrt(1/n_control + 1/n_treatment)``.
    """
    half_width = 1.96 * np.sqrt(1 / n_control + 1 / n_treatment)
    sizes = differences.abs()
    with canvas(height=3.0) as drawn:
        drawn.axis.axvspan(0, half_width, color=BLUE, alpha=0.12, label="95 % of randomised trials, each variable")
        drawn.axis.axvline(0.1, color=GREY, linestyle=":", label="0.1, the usual alarm in observational studies")
        drawn.axis.plot(sizes, np.arange(len(sizes)), "o", color=VERMILION)
        drawn.axis.set_yticks(np.arange(len(sizes)), sizes.index)
        drawn.axis.invert_yaxis()
        drawn.axis.set(xlabel="Absolute standardised mean difference", xlim=(0, None))
        drawn.axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn.figure


def auc_by_chance(aucs: NDArray[np.float64], observed: float) -> Figure:
    """In-sample AUC of the propensity model over random re-assignments, with the trial's own value."""
    with canvas(height=2.6) as drawn:
        sns.histplot(x=aucs, ax=drawn.axis, color=BLUE, alpha=0.5, edgecolor="white", stat="count")
        drawn.axis.axvline(observed, color=VERMILION, linewidth=2, label=f"this trial: {observed:.3f}")
        drawn.axis.axvline(0.5, color=GREY, linestyle=":", label="no discrimination at all: 0.5")
        drawn.axis.set(xlabel="In-sample AUC of the propensity model", ylabel="Re-randomised trials")
        drawn.axis.legend()
    return drawn.figure
