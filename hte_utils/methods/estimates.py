"""The interface of the methods: what they see of a trial, and what they hand back.

The event is bleeding, so a positive effect is harm. Risks and risk differences are probabilities; percentage points are
for tables and figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from hte_utils.model.checks import FloatArray

INTERVAL = 0.95
"""Probability of every interval of every method."""


@dataclass(frozen=True, slots=True, eq=False)
class IntervalEstimate:
    """An estimate with its 95 % interval, confidence or credible as the method has it; arrays of one shape.

    Both ends are None if there is no interval, infinite where maximum likelihood says so of separated data. ValueError
    if an estimate is not finite, or an interval reversed or NaN: a method that fails must not go unnoticed.
    """

    value: FloatArray
    lower: FloatArray | None = None
    upper: FloatArray | None = None

    def __post_init__(self) -> None:
        if not np.isfinite(self.value).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(self.value))} of {np.size(self.value)} are not finite")
        if self.lower is not None and self.upper is not None and not np.all(self.lower <= self.upper):
            raise ValueError(f"{np.count_nonzero(~(self.lower <= self.upper))} intervals are reversed or NaN")


@dataclass(frozen=True, slots=True, eq=False)
class EffectEstimates:
    """What one method says about the patients of one population; None is what it does not estimate."""

    baseline_risk: FloatArray | None  # probability of a bleed without treatment, (patients,)
    log_odds_ratio: IntervalEstimate | None  # individual effect, (patients,)
    risk_difference: IntervalEstimate  # individual effect (a probability), (patients,)
    average_risk_difference: IntervalEstimate  # its mean, (); the interval takes the patients as given

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return self.risk_difference.value.size


@dataclass(frozen=True, slots=True, eq=False)
class MethodResult:
    """What one method says after one trial."""

    estimates: tuple[EffectEstimates, ...]  # of each population, in their order
    notes: Mapping[str, float]  # what a reader must know of the fit, by name: ``not_converged``, ``separation``, ...


class Method(Protocol):
    """A way from a trial to individual effects. Equal trial, populations and `rng` state give equal results."""

    @property
    def name(self) -> str:
        """Its key in `METHODS`."""

    @property
    def label(self) -> str:
        """Its name in tables and figures."""

    @property
    def slow(self) -> bool:
        """Whether a trial of 2000 patients takes seconds rather than tenths of a second."""

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
    ) -> MethodResult:
        """Learn from `trial` (without its ``true_te``), and estimate the effects of each population's patients.

        `rng` is the source of all randomness. A trial that cannot support the method is a ValueError that says why.
        """
