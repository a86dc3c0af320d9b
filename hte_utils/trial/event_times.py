"""Times to event for the trial of Listing 1, whose argument ``max_followup`` is never used.

A patient's probability p of a bleed (Listing 1, line 63) is taken as that of a bleed by the end of follow-up F, and the
cumulative hazard rises as a power of time (Weibull; an exponential law with shape 1):

    P(T <= t) = 1 - (1 - p)^((t / F)^shape).

The listing's own events are kept: whoever bled has a time up to F, all others none. So without dropout the table has
the same events as the binary one, and the hazard ratio of a patient is constant, log(1 - p1) / log(1 - p0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gamma, gammainc

from hte_utils.trial.listing_1 import TrialTruth, trial_table
from hte_utils.trial.r_stream import FloatArray


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How long patients are watched, and how the risk is spread over that time.

    Parameters
    ----------
    max_followup
        Administrative end, in days; the listing's 365.
    shape
        Of the Weibull law: 1 = constant hazard, above 1 = it rises.
    dropout
        Probability, in [0, 1), of leaving before the end (censored at random, at a constant rate).

    Raises
    ------
    ValueError
        If a number is not finite or out of range.
    """

    max_followup: float = 365.0
    shape: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("max_followup", "shape"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be positive and finite, not {value!r}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be a probability in [0, 1), e.g. 0.1, not {self.dropout!r}")

    def risk(self, probability: npt.ArrayLike, by: float) -> FloatArray:
        """Probability of an event by day `by`, of patients with this probability by the end of follow-up."""
        return -np.expm1(-self._cumulative_hazard(probability, by))

    def event_free_time(self, probability: npt.ArrayLike, horizon: float) -> FloatArray:
        """Mean number of days without event up to the horizon (restricted mean survival time)."""
        whole = np.maximum(self._cumulative_hazard(probability, horizon), 1e-20)  # 0 / 0 where nobody ever bleeds
        power = 1.0 / self.shape
        # The incomplete gamma function: the integral of exp(-whole * (t / horizon)^shape).
        return np.asarray(horizon * gamma(1.0 + power) * gammainc(power, whole) / whole**power)

    def _cumulative_hazard(self, probability: npt.ArrayLike, by: float) -> FloatArray:
        by_the_end = -np.log1p(-np.asarray(probability, dtype=np.float64))
        return np.asarray(by_the_end * (by / self.max_followup) ** self.shape)


def trial_with_times(truth: TrialTruth, rng: np.random.Generator, follow_up: FollowUp | None = None) -> pd.DataFrame:
    """Give a simulated trial times: the table of `trial_table`, with ``time`` beside ``event``.

    Parameters
    ----------
    truth
        Of `simulate_truth` or `simulate_truth_as_described`.
    rng
        Decides when the listing's events happen and who drops out; R's stream is not touched.
    follow_up
        365 days, constant hazards, no dropout if None.

    Returns
    -------
    pandas.DataFrame
        Further columns of the table: ``time`` (days, positive) to the event or to censoring; ``event`` is 1 where it
        was seen. What dropout hides is 0.

    Raises
    ------
    TypeError
        If `rng` is no NumPy generator.
    ValueError
        If an event was certain beforehand: no time up to the end follows from that.
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator, e.g. numpy.random.default_rng(1), not {rng!r}")
    follow_up = follow_up or FollowUp()
    n, bled = truth.event.size, truth.event == 1
    certain = bled & (truth.event_probability >= 1.0)
    if certain.any():
        raise ValueError(
            f"{certain.sum()} patients have an event with probability 1, which says nothing of its time: simulate "
            "with coefficients that leave every risk below 1"
        )
    # One number for each patient, whether used or not, so that another event moves nobody else.
    share, leaving = rng.random(n), rng.standard_exponential(n)
    time = np.full(n, follow_up.max_followup)
    risk = truth.event_probability[bled]
    # Quantiles of T given T <= F; 1 - share is in (0, 1], so no time is 0.
    part = np.log1p(-(1.0 - share[bled]) * risk) / np.log1p(-risk)
    time[bled] *= part ** (1.0 / follow_up.shape)
    left = np.full(n, np.inf)
    if follow_up.dropout:
        left = leaving * follow_up.max_followup / -math.log1p(-follow_up.dropout)
    seen = bled & (time <= left)
    return trial_table(truth).assign(event=seen.astype(np.int64), time=np.minimum(time, left))
