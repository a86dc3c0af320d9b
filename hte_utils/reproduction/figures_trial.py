"""Figures of chapters 1 and 2: what was drawn beside the law it was drawn from, and the balance of the arms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from scipy import stats

from hte_utils.model.checks import FloatArray
from hte_utils.reproduction.table_1 import Propensity
from hte_utils.style import ARM_COLOURS, ARM_LINES, BLUE, DIRECTION, GREY, ORANGE, VERMILION, canvas
from hte_utils.trial import Covariates, TrialTruth

_INSIDE_ELLIPSE = 0.95


def clamped_covariates(patients: Covariates) -> Figure:
    """Age and BMI as drawn, beside the normal law; what lay beyond a limit was moved onto it."""
    panels = (
        (patients.age, stats.norm(55, 12), (25, 85), "Age (years)"),
        (patients.bmi, stats.norm(28, 5), (16, 50), "BMI (kg/m²)"),
    )
    with canvas(2, height=2.8) as drawn:
        for axis, (values, law, (low, high), label) in zip(drawn.axes, panels, strict=True):
            edges, grid = np.linspace(low, high, 31), np.linspace(low, high, 200)
            width, inside = edges[1] - edges[0], values[(values > low) & (values < high)]
            axis.hist(inside, edges.tolist(), color=BLUE, alpha=0.45, edgecolor="white", label="drawn")
            axis.plot(grid, len(values) * width * law.pdf(grid), color=BLUE, label="normal law")
            at_limits = [np.sum(values == limit) for limit in (low, high)]
            axis.bar((low, high), at_limits, width=width * 0.6, color=VERMILION, label="moved onto a limit")
            expected = len(values) * np.array([law.cdf(low), law.sf(high)])
            axis.plot((low, high), expected, "_", color="black", markersize=14, label="expected there")
            axis.set(xlabel=label, ylabel="Patients")
        drawn.figure.legend(*drawn.axis.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return drawn.figure


def blood_pressure(patients: Covariates) -> Figure:
    """Systolic against diastolic pressure with the ellipse of the bivariate normal law, and who is hypertensive."""
    with canvas(height=3.6, width=5.0) as drawn:
        axis = drawn.axis
        for value, label, colour, marker in ((0, "no", BLUE, "o"), (1, "yes", ORANGE, "^")):
            own = patients.hypertension == value
            axis.scatter(patients.sbp[own], patients.dbp[own], s=7, color=colour, marker=marker, alpha=0.5, label=label)
        axis.add_patch(_ellipse((130, 80), np.array([[200.0, 100.0], [100.0, 100.0]])))
        axis.axvline(140, color=GREY, linestyle=":")
        axis.axhline(90, color=GREY, linestyle=":")
        axis.set(xlabel="Systolic pressure (mmHg)", ylabel="Diastolic pressure (mmHg)")
        axis.legend(title="Hypertension", loc="upper left")
    return drawn.figure


def _ellipse(centre: tuple[float, float], covariance: FloatArray) -> Ellipse:
    sizes, axes = np.linalg.eigh(covariance)
    reach = 2 * np.sqrt(stats.chi2.ppf(_INSIDE_ELLIPSE, df=2) * sizes)
    angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1]))
    return Ellipse(centre, reach[1], reach[0], angle=angle, fill=False, linewidth=1.5)


def true_effects(truth: TrialTruth) -> Figure:
    """True effects on the two scales: log odds ratio and risk difference. Positive is harm on both."""
    with canvas(2, height=2.8) as drawn:
        for axis, values, label in (
            (drawn.axes[0], truth.treatment_effect, "True effect, log odds ratio"),
            (drawn.axes[1], 100 * truth.risk_difference, "True effect, risk difference\n(percentage points)"),
        ):
            sns.histplot(x=values, ax=axis, color=BLUE, alpha=0.5, edgecolor="white", bins=40)
            axis.axvline(0, color="black", linewidth=1)
            axis.axvline(values.mean(), color=VERMILION, linestyle="--", label=f"mean {values.mean():+.2f}")
            axis.set(xlabel=f"{label}\n{DIRECTION}", ylabel="Patients")
            axis.legend()
    return drawn.figure


def event_risks(truth: TrialTruth) -> Figure:
    """Distribution of the true probability of bleeding under the assigned treatment, by arm."""
    with canvas(height=2.8) as drawn:
        for code, (arm, colour) in enumerate(ARM_COLOURS.items()):
            risks = 100 * truth.event_probability[truth.treatment == code]
            label = f"{arm}, mean {risks.mean():.1f} %"
            sns.ecdfplot(x=risks, ax=drawn.axis, color=colour, linestyle=ARM_LINES[arm], label=label)
        drawn.axis.set(
            xlabel="True probability of a major bleed (%)", ylabel="Share of the arm at or below", xscale="log"
        )
        drawn.axis.legend()
    return drawn.figure


def propensity_by_arm(fitted: Propensity) -> Figure:
    """Figure 1 of the paper: distribution of the propensity score in each arm."""
    with canvas(height=2.9) as drawn:
        for code, (arm, colour) in enumerate(ARM_COLOURS.items()):
            scores = fitted.scores[fitted.treated == code]
            line = {"x": scores, "ax": drawn.axis, "color": colour, "linestyle": ARM_LINES[arm]}
            sns.kdeplot(**line, fill=True, alpha=0.15)
            sns.kdeplot(**line, label=f"{arm} (n = {len(scores)})")
        drawn.axis.axvline(fitted.treated.mean(), color=GREY, linewidth=1, linestyle=":")
        drawn.axis.set(xlabel="Estimated probability of being in the treatment arm", ylabel="Density")
        drawn.axis.legend()
    return drawn.figure


def balance(differences: pd.Series, n_control: int, n_treatment: int) -> Figure:
    """Standardised mean differences by row of Table 1, and the band that chance fills in 95 % of randomised trials."""
    half_width = 1.96 * np.sqrt(1 / n_control + 1 / n_treatment)  # 1.96 standard errors under randomisation, about
    place = np.arange(len(differences))
    with canvas(height=3.0) as drawn:
        drawn.axis.axvspan(0, half_width, color=BLUE, alpha=0.12, label="95 % of randomised trials, each variable")
        drawn.axis.axvline(0.1, color=GREY, linestyle=":", label="0.1, the usual alarm in observational studies")
        drawn.axis.plot(differences.abs(), place, "o", color=VERMILION)
        drawn.axis.set_yticks(place, differences.index)
        drawn.axis.invert_yaxis()
        drawn.axis.set(xlabel="Absolute standardised mean difference", xlim=(0, None))
        drawn.axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn.figure


def auc_by_chance(aucs: FloatArray, observed: float) -> Figure:
    """In-sample AUC of the propensity model over random re-assignments, with the trial's own value."""
    with canvas(height=2.6) as drawn:
        sns.histplot(x=aucs, ax=drawn.axis, color=BLUE, alpha=0.5, edgecolor="white", stat="count")
        drawn.axis.axvline(observed, color=VERMILION, linewidth=2, label=f"this trial: {observed:.3f}")
        drawn.axis.axvline(0.5, color=GREY, linestyle=":", label="no discrimination at all: 0.5")
        drawn.axis.set(xlabel="In-sample AUC of the propensity model", ylabel="Re-randomised trials")
        drawn.axis.legend()
    return drawn.figure
