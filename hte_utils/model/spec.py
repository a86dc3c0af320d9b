"""Which columns of a trial table play which part, and the numbers that the model sees.

A `TrialSpec` names the columns; `TrialSpec.design` checks a table against it and returns a `TrialDesign`, with the
coding that puts new patients on the same scale. The paper's own choice (Section 2.2 and Listing 2) is `PAPER_SPEC`; no
other code knows the paper's column names.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import pandas as pd

from hte_utils.model import checks
from hte_utils.model.checks import FloatArray, IntArray, Levels, TrialWarning


@dataclass(frozen=True, slots=True)
class Covariate:
    """One baseline covariate.

    `column` is numeric, boolean, or categorical with two categories (the second counts as 1); `label` is its name in
    the model, as in ``b_<label>``. With `standardise` it enters the model as (value - mean) / SD, with the mean and the
    n-1 standard deviation of the trial, which is what R's ``scale()`` does.

    Examples
    --------
    >>> import hte_utils as hte
    >>> hte.Covariate("age", "age", standardise=True) == hte.PAPER_SPEC.prognostic[0]
    True
    """

    column: str
    label: str
    standardise: bool = False


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """Which columns of a trial table are outcome, treatment, grouping factor and covariates.

    `outcome` is 1 where the event happened (in the paper's trial major bleeding, so positive effects are harm),
    `treatment` 1 or the second category for the treated arm; `group` is the factor whose levels get intercepts and
    treatment effects of their own (gender in Listing 2), `subject_id` a column of unique identifiers, or None.
    `prognostic` are the covariates with a main effect, in the order of the model's dimension `prognostic`, and
    `modifiers` the labels of those of them that also interact with treatment. An interaction without its main effect
    cannot be written down here, on purpose: it would change meaning with the covariate's zero point.

    Raises ``ValueError`` if a column or label is used twice, or a modifier is not a prognostic covariate.

    Examples
    --------
    >>> import hte_utils as hte
    >>> covariates = (hte.Covariate("age", "age", standardise=True), hte.Covariate("diabetes", "diabetes"))
    >>> spec = hte.TrialSpec("event", "treatment", "gender", covariates, modifiers=("age",))
    >>> spec.design(hte.simulate_trial(500, seed=1)).prognostic.shape
    (500, 2)
    """

    outcome: str
    treatment: str
    group: str
    prognostic: tuple[Covariate, ...]
    modifiers: tuple[str, ...]
    subject_id: str | None = None

    def __post_init__(self) -> None:
        # Lists are what people write; tuples are what makes the spec hashable and unchangeable.
        object.__setattr__(self, "prognostic", tuple(self.prognostic))
        object.__setattr__(self, "modifiers", tuple(self.modifiers))
        named = {"column": self.columns, "label": self.prognostic_labels, "modifier": self.modifiers}
        for what, names in named.items():
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"a TrialSpec uses each {what} once, but {repeated} is there more than once")
        if not self.prognostic or not self.modifiers:
            raise ValueError("a TrialSpec needs at least one prognostic covariate and one effect modifier")
        unknown = [label for label in self.modifiers if label not in self.prognostic_labels]
        if unknown:
            raise ValueError(
                f"effect modifiers must be labels of prognostic covariates {list(self.prognostic_labels)}, "
                f"but {unknown} is not: add it to `prognostic` (its main effect belongs into the model)"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a trial table must have."""
        identifier = () if self.subject_id is None else (self.subject_id,)
        covariates = (covariate.column for covariate in self.prognostic)
        return (*identifier, self.outcome, self.treatment, self.group, *covariates)

    @property
    def prognostic_labels(self) -> tuple[str, ...]:
        """Coordinates of the model's dimension `prognostic`."""
        return tuple(covariate.label for covariate in self.prognostic)

    @property
    def modifier_index(self) -> list[int]:
        """Position of each modifier among the prognostic covariates."""
        return [self.prognostic_labels.index(label) for label in self.modifiers]

    def design(self, trial: pd.DataFrame) -> TrialDesign:
        """Check `trial` and return the numbers the model sees.

        Raises ``TypeError`` or ``ValueError`` if `trial` is no DataFrame; if a column is missing, of the wrong type,
        has missing, infinite or constant values, or is not 0/1 where it must be; if only one arm or group is there,
        nobody or everybody had the event, or a subject identifier is repeated. A `TrialWarning` says where the priors
        decide: a group has a single member, or one arm is without events (or without non-events).
        """
        checks.require_columns(trial, self.columns)
        if self.subject_id is not None:
            checks.require_unique(trial, self.subject_id)
        outcome = _two_sided(trial, self.outcome, "the outcome", "events")
        treatment = _two_sided(trial, self.treatment, "the treatment", "treated patients")
        codings = tuple(CovariateCoding.of(covariate, trial) for covariate in self.prognostic)
        coding = DesignCoding(self, codings, checks.group_labels_of(trial, self.group))
        design = TrialDesign(*coding.encode(trial), coding, outcome, treatment)
        _warn_where_priors_decide(design, trial.index)
        return design


def _two_sided(trial: pd.DataFrame, name: str, what: str, ones: str) -> FloatArray:
    values = checks.read_indicator(trial, name, checks.levels_of(trial, name))
    if values.min() == values.max():
        found = f"no {ones}" if values[0] == 0.0 else f"only {ones}"
        raise ValueError(
            f"{what} (column {name!r}) is the same for all {values.size} patients: there are {found}. "
            "Both values must occur, or there is nothing to compare"
        )
    return values


def _warn_where_priors_decide(design: TrialDesign, index: pd.Index) -> None:
    spec = design.coding.spec
    found = [
        f"group {design.group_labels[place]!r} of column {spec.group!r} has one member, "
        f"{checks.rows_where(design.group == place, index)}: its effects follow the other groups and the prior"
        for place in np.flatnonzero(np.bincount(design.group) == 1)
    ]
    for arm, arm_name in ((0.0, "control"), (1.0, "treated")):
        outcomes = design.outcome[design.treatment == arm]
        if outcomes.min() == outcomes.max():
            found.append(
                f"{'every' if outcomes[0] else 'no'} {arm_name} patient has the event (column {spec.outcome!r}): "
                "the size of the treatment effect is decided by its prior"
            )
    for message in found:
        warnings.warn(message, TrialWarning, stacklevel=3)


PAPER_SPEC = TrialSpec(
    outcome="event",
    treatment="treatment",
    group="gender",
    prognostic=(
        Covariate("age", "age", standardise=True),
        Covariate("anticoagulant", "anticoag"),
        Covariate("bmi", "bmi", standardise=True),
        Covariate("diabetes", "diabetes"),
        Covariate("prior_bleeding", "prior"),
    ),
    modifiers=("age", "anticoag", "diabetes"),
    subject_id="subject_id",
)
"""The columns of Listing 2, in the order of Table 4. The paper does not say that age and BMI were standardised; Table 4
is reproduced only if they were."""


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
        levels = checks.levels_of(trial, covariate.column)
        values = checks.read_covariate(trial, covariate.column, levels)
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
        return (checks.read_covariate(trial, self.covariate.column, self.levels) - self.mean) / self.sd


@dataclass(frozen=True, slots=True)
class DesignCoding:
    """How patients become numbers: learned from one trial, applied to any patients."""

    spec: TrialSpec
    covariates: tuple[CovariateCoding, ...]
    group_labels: tuple[str, ...]

    def encode(self, patients: pd.DataFrame) -> tuple[FloatArray, FloatArray, IntArray]:
        """Prognostic covariates (n, p), effect modifiers (n, m), and group index (n,) of the given patients."""
        checks.require_columns(patients, [*(c.covariate.column for c in self.covariates), self.spec.group])
        prognostic = np.column_stack([coding.encode(patients) for coding in self.covariates])
        modifiers = np.ascontiguousarray(prognostic[:, self.spec.modifier_index])
        return prognostic, modifiers, checks.read_group(patients, self.spec.group, self.group_labels)


@dataclass(frozen=True, slots=True, eq=False)
class Patients:
    """Patients as the model sees them, in read-only arrays.

    `prognostic` (patients, prognostic) are the coded covariates with a main effect, `modifiers` (patients, modifier)
    those of its columns that interact with treatment, `group` (patients,) is the 0-based index into `group_labels`.
    """

    prognostic: FloatArray
    modifiers: FloatArray
    group: IntArray
    coding: DesignCoding

    def __post_init__(self) -> None:
        for array in (getattr(self, field.name) for field in fields(self) if field.name != "coding"):
            array.setflags(write=False)

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
