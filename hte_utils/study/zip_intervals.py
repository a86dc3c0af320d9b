"""All intervals of one effect, sorted by how far their estimates are from the truth: the zip plot's data.

The event is bleeding: a positive effect is harm. Everything is in percentage points.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102, figure 7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hte_utils.study.findings import of_trial
from hte_utils.study.protocol import POINTS
from hte_utils.study.scenarios import PAPER_DESIGN
from hte_utils.study.summary import Z, share_error

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from hte_utils.trial_checks import FloatArray


class ZipPlot(NamedTuple):
    """Intervals of one effect, trial by trial, sorted by how far their estimates are from the truth (Morris et al.).

    Attributes
    ----------
    lower, upper
        Ends minus the truth (percentage points), shape (trials,).
    centile
        Of the error in standard errors (half the interval's width over 1.96) among the trials, without its sign, per
        cent, shape (trials,).
    covers
        Whether each interval holds the truth, shape (trials,).
    """

    lower: FloatArray
    upper: FloatArray
    centile: FloatArray
    covers: NDArray[np.bool_]

    @property
    def coverage(self) -> float:
        """Share of the intervals that hold the truth, per cent."""
        return POINTS * float(self.covers.mean())

    @property
    def mcse(self) -> float:
        """Its Monte Carlo standard error, percentage points."""
        return POINTS * share_error(float(self.covers.mean()), self.covers.size)


def zip_plot(results: pd.DataFrame, method: str, where: str, scenario: str = PAPER_DESIGN) -> ZipPlot:
    """Sort the intervals of a population's average effect; a profile patient's average effect is its own.

    Raises
    ------
    ValueError
        If there are no results, or the method has no intervals.
    """
    trials = of_trial(results, scenario, method, where)
    lower, estimate, upper = (
        POINTS * (trials[f"ate_{name}"] - trials["ate_truth"]).to_numpy(np.float64)
        for name in ("lower", "estimate", "upper")
    )
    if not np.isfinite(upper - lower).all():
        raise ValueError(f"{method!r} does not give every trial an interval for the average effect of {where!r}")
    order = np.argsort(np.abs(estimate) / ((upper - lower) / (2.0 * Z)), kind="stable")
    centile = POINTS * (np.arange(order.size) + 0.5) / order.size
    return ZipPlot(lower[order], upper[order], centile, ((lower <= 0.0) & (upper >= 0.0))[order])
