"""Figures of the chapter on Table 1: balance of the arms and the propensity score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from hte_utils.figures.style import ARM_COLOURS, ARM_LINES, BLUE, GREY, VERMILION, canvas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from hte_utils.baseline import Propensity


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
