"""What every method hands back: effects for each patient and on average, with intervals where the method has them.

The event is bleeding, so a positive effect is harm. Risks and risk differences are probabilities; percentage points are
for tables and figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

INTERVAL = 0.95
"""Probability of every interval of every method."""


@dataclass(frozen=True, slots=True, eq=False)
class IntervalEstimate:
    """An estimate with its 95 % interval, confidence or credible as the method has it.

    Parameters
    ----------
    value
        Any shape; finite.
    lower, upper
        The interval's ends, of the shape of `value`; both None if the method gives no interval. An end may be infinite:
        that is what maximum likelihood says where the data are separated.

    Raises
    ------
    ValueError
        If only one end is given, a shape differs, an end is NaN, a value is not finite, or an interval is reversed.
    """

    value: FloatArray
    lower: FloatArray | None = None
    upper: FloatArray | None = None

    def __post_init__(self) -> None:
        value = _own(self.value)
        object.__setattr__(self, "value", value)
        if not np.isfinite(value).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(value))} of {value.size} estimates are not finite")
        if (self.lower is None) != (self.upper is None):
            raise ValueError("an interval has two ends: give both lower and upper, or neither")
        if self.lower is None or self.upper is None:
            return
        lower, upper = _own(self.lower), _own(self.upper)
        if lower.shape != value.shape or upper.shape != value.shape:
            raise ValueError(f"interval ends have shapes {lower.shape} and {upper.shape}, the estimate {value.shape}")
        if not (lower <= upper).all():  # also false where an end is NaN
            raise ValueError(f"{np.count_nonzero(~(lower <= upper))} of {value.size} intervals are reversed or NaN")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def has_interval(self) -> bool:
        """Whether the method gave an interval."""
        return self.lower is not None


@dataclass(frozen=True, slots=True, eq=False)
class EffectEstimates:
    """What one method says about the patients of one population.

    Parameters
    ----------
    baseline_risk
        Probability of a bleed without treatment, shape (patients,); None if the method does not estimate it.
    log_odds_ratio
        Individual effect as log odds ratio, shape (patients,); None if the method has no such thing.
    risk_difference
        Individual effect as risk difference (a probability), shape (patients,).
    average_risk_difference
        Its mean over these patients, shape (); the interval takes the patients as given.

    Raises
    ------
    ValueError
        If shapes do not fit, a risk lies outside [0, 1], or a risk difference outside [-1, 1].
    """

    baseline_risk: FloatArray | None
    log_odds_ratio: IntervalEstimate | None
    risk_difference: IntervalEstimate
    average_risk_difference: IntervalEstimate

    def __post_init__(self) -> None:
        shape = self.risk_difference.value.shape
        if len(shape) != 1 or shape[0] == 0:
            raise ValueError(f"risk differences must have shape (patients,), not {shape}")
        if self.average_risk_difference.value.shape != ():
            raise ValueError(f"an average must have shape (), not {self.average_risk_difference.value.shape}")
        _require_range("risk difference", self.risk_difference.value, -1.0)
        _require_range("average risk difference", self.average_risk_difference.value, -1.0)
        if self.log_odds_ratio is not None and self.log_odds_ratio.value.shape != shape:
            raise ValueError(f"log odds ratios have shape {self.log_odds_ratio.value.shape}, the patients {shape}")
        if self.baseline_risk is not None:
            risk = _own(self.baseline_risk)
            if risk.shape != shape:
                raise ValueError(f"baseline risks have shape {risk.shape}, the patients {shape}")
            _require_range("baseline risk", risk, 0.0)
            object.__setattr__(self, "baseline_risk", risk)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return self.risk_difference.value.size


@dataclass(frozen=True, slots=True, eq=False)
class MethodResult:
    """What one method says after one trial.

    Parameters
    ----------
    estimates
        One for each population, in their order.
    notes
        What a reader must know of the fit, as numbers by name: ``not_converged``, ``separation``, ``pareto_k``, ...;
        empty if there is nothing to say.

    Raises
    ------
    ValueError
        If there are no estimates.
    """

    estimates: tuple[EffectEstimates, ...]
    notes: Mapping[str, float]

    def __post_init__(self) -> None:
        object.__setattr__(self, "estimates", tuple(self.estimates))
        notes = {str(name): float(value) for name, value in self.notes.items()}
        object.__setattr__(self, "notes", MappingProxyType(notes))
        if not self.estimates:
            raise ValueError("a result needs the estimates of at least one population")

    def __reduce__(self) -> tuple[type[MethodResult], tuple[tuple[EffectEstimates, ...], dict[str, float]]]:
        # Results travel between processes, and a mapping proxy cannot be pickled.
        return MethodResult, (self.estimates, dict(self.notes))


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
        """Learn from `trial`, and estimate the effects of the patients of each population.

        Parameters
        ----------
        trial
            As `hte_utils.trial.simulate_trial` makes it; ``true_te`` is not looked at.
        populations
            Tables with the covariates of the trial; usually the trial itself is the first.
        rng
            Source of all randomness.

        Raises
        ------
        TypeError, ValueError
            If a table is not what it must be, or the trial cannot support the method (the message says why).
        """


def _own(values: FloatArray) -> FloatArray:
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def _require_range(what: str, values: FloatArray, least: float) -> None:
    slack = 1e-9  # rounding in the sum of many trees
    if not ((values >= least - slack) & (values <= 1.0 + slack)).all():
        raise ValueError(
            f"a {what} must lie in [{least:g}, 1], but they range from {values.min():.4g} to {values.max():.4g}"
        )
