"""The numbers the model sees, and the coding that makes them: learned from one trial, applied to any patients.

`hte_utils.spec.TrialSpec.design` is the way in.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np

from hte_utils.trial_checks import (
    FloatArray,
    IntArray,
    Levels,
    group_labels_of,
    levels_of,
    read_covariate,
    read_group,
    require_columns,
)

if TYPE_CHECKING:
    import pandas as pd

    from hte_utils.spec import Covariate, TrialSpec


@dataclass(frozen=True, slots=True)
class CovariateCoding:
    """How one covariate becomes a number: its two levels if it is categorical, then (value - mean) / sd."""

    covariate: Covariate
    levels: Levels | None
    mean: float
    sd: float

    @classmethod
    def of(cls, covariate: Covariate, trial: pd.DataFrame) -> Self:
        """Learn the coding from a trial; raises ValueError if the covariate is constant there."""
        levels = levels_of(trial, covariate.column)
        values = read_covariate(trial, covariate.column, levels)
        if values.min() == values.max():
            raise ValueError(
                f"column {covariate.column!r} is constant (always {trial[covariate.column].iloc[0]}): its effect "
                "cannot be told from the intercept. Leave it out of the TrialSpec"
            )
        if not covariate.standardise:
            return cls(covariate, levels, 0.0, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            mean, sd = float(values.mean()), float(values.std(ddof=1))
        if not (np.isfinite(sd) and sd > 0.0):
            raise ValueError(f"column {covariate.column!r} cannot be standardised: its SD is {sd:g}. Change its unit")
        return cls(covariate, levels, mean, sd)

    def encode(self, trial: pd.DataFrame) -> FloatArray:
        """The covariate of every patient in `trial`, shape (patients,), on the scale of the original trial."""
        return (read_covariate(trial, self.covariate.column, self.levels) - self.mean) / self.sd


@dataclass(frozen=True, slots=True)
class DesignCoding:
    """How patients become numbers: learned from one trial, applied to any patients."""

    spec: TrialSpec
    covariates: tuple[CovariateCoding, ...]
    group_labels: tuple[str, ...]

    @classmethod
    def of(cls, spec: TrialSpec, trial: pd.DataFrame) -> Self:
        """Learn the coding of every covariate and of the grouping factor from a trial."""
        codings = tuple(CovariateCoding.of(covariate, trial) for covariate in spec.prognostic)
        return cls(spec, codings, group_labels_of(trial, spec.group))

    def encode(self, patients: pd.DataFrame) -> tuple[FloatArray, FloatArray, IntArray]:
        """Prognostic covariates (n, p), effect modifiers (n, m), and group index (n,) of the given patients."""
        require_columns(patients, [*(c.covariate.column for c in self.covariates), self.spec.group])
        prognostic = np.column_stack([coding.encode(patients) for coding in self.covariates])
        modifiers = np.ascontiguousarray(prognostic[:, self.spec.modifier_index])
        return prognostic, modifiers, read_group(patients, self.spec.group, self.group_labels)


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """Patients as the model sees them, in read-only arrays.

    `prognostic`, shape (patients, prognostic), are the covariates with a main effect, coded and standardised;
    `modifiers`, shape (patients, modifier), those of its columns that interact with treatment; `group`, shape
    (patients,), the 0-based index into `group_labels`.
    """

    prognostic: FloatArray
    modifiers: FloatArray
    group: IntArray
    coding: DesignCoding

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "coding":
                getattr(self, field.name).setflags(write=False)

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return self.group.size

    @property
    def prognostic_labels(self) -> tuple[str, ...]:
        """Labels of the columns of `prognostic`."""
        return self.coding.spec.prognostic_labels

    @property
    def modifier_labels(self) -> tuple[str, ...]:
        """Labels of the columns of `modifiers`."""
        return self.coding.spec.modifiers

    @property
    def group_labels(self) -> tuple[str, ...]:
        """Labels of the groups."""
        return self.coding.group_labels

    def apply(self, patients: pd.DataFrame) -> Patients:
        """Put other patients on this scale; errors as for `TrialSpec.design`. They need neither outcome nor arm."""
        return Patients(*self.coding.encode(patients), self.coding)


@dataclass(frozen=True, slots=True, eq=False)
class TrialDesign(Patients):
    """Randomised patients with `outcome` (1 = event) and `treatment` (1 = treated), both float 0/1 of (patients,)."""

    outcome: FloatArray
    treatment: FloatArray
