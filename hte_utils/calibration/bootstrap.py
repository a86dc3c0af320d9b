"""Estimates with their uncertainty, and the bootstrap of a two-armed trial.

Patients are resampled within their arm, so that every replicate has the trial's arm sizes (Davison & Hinkley 1997,
Section 3.2). Replicates are rows of one array: nothing here loops over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from hte_utils.trial_checks import FloatArray

_TAIL = 0.025
_NORMAL = 1.959963984540054  # the 97.5 % point of the standard normal distribution
_LEAST_REPLICATES = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number estimated from one trial.

    `value`: The estimate.
    `se`: Its standard error: the spread over repeated trials, not a Monte Carlo error.
    `lower`, `upper`: 95 % confidence interval.
    """

    value: float
    se: float
    lower: float
    upper: float

    @classmethod
    def normal(cls, value: float, se: float) -> Self:
        """Estimate with the interval value ± 1.96 standard errors."""
        return cls(float(value), float(se), float(value - _NORMAL * se), float(value + _NORMAL * se))

    @classmethod
    def bootstrapped(cls, value: float, replicates: FloatArray) -> Self:
        """Estimate with the bootstrap's standard error and percentile interval; NaN replicates are left out."""
        known = replicates[np.isfinite(replicates)]
        if known.size < _LEAST_REPLICATES:
            raise ValueError(
                f"only {known.size} of {replicates.size} bootstrap replicates could be computed, at least "
                f"{_LEAST_REPLICATES} are needed: the data cannot support this estimate"
            )
        lower, upper = np.quantile(known, (_TAIL, 1.0 - _TAIL))
        return cls(float(value), float(known.std(ddof=1)), float(lower), float(upper))

    def __format__(self, spec: str) -> str:
        """Format as ``value (lower to upper)``, each number by `spec`."""
        return f"{self.value:{spec}} ({self.lower:{spec}} to {self.upper:{spec}})"


def bootstrap_counts(strata: npt.ArrayLike, n_replicates: int, rng: np.random.Generator) -> FloatArray:
    """How often each patient is drawn when patients are resampled within strata.

    `strata`: Each patient's stratum (the arm), shape (patients,).
    `n_replicates`: At least 20.

    Whole numbers as floats, shape (replicates, patients); within a stratum they add up to its size.
    """
    labels = np.asarray(strata)
    counts = np.empty((n_replicates, labels.size))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        drawn = rng.integers(0, members.size, (n_replicates, members.size))
        cells = drawn + members.size * np.arange(n_replicates)[:, None]
        found = np.bincount(cells.ravel(), minlength=n_replicates * members.size)
        counts[:, members] = found.reshape(n_replicates, members.size)
    return counts
