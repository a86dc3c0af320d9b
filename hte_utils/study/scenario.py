"""A data-generating mechanism of the simulation study as a frozen record: the "D" of ADEMP.

The event is major bleeding, so a positive effect is harm. The treatment is always randomised one to one, and the random
numbers are NumPy's (`hte_utils.study.generate`). The study's own scenarios are in `hte_utils.study.scenarios`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from enum import StrEnum
from types import UnionType
from typing import Final

from hte_utils.r_arguments import checked_count
from hte_utils.trial import LISTING_BASELINE, LISTING_EFFECT, MAX_SUBJECTS, BaselineCoefficients, EffectCoefficients
from hte_utils.trial.as_described import DescribedEffects

LEAST_PATIENTS: Final = 20
POPULATION_SIZE: Final = 5_000

_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class Mechanism(StrEnum):
    """Where patients and their effects come from.

    Attributes
    ----------
    LISTING
        Listing 1: clamped age and BMI, effect linear in age.
    DESCRIBED
        Table 2 and equations (1) to (4): truncated covariates, effect of "age > 65" and "BMI > 30".
    """

    LISTING = "Listing 1"
    DESCRIBED = "Table 2 and equation (3)"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One data-generating mechanism, complete: the same record always means the same distribution of trials.

    Parameters
    ----------
    name
        Key in `hte_utils.study.scenarios.SCENARIOS`, and name of a folder: lower-case letters, digits, single hyphens.
    label
        Name in tables and figures.
    n_patients
        Size of each simulated trial, both arms together.
    baseline
        Coefficients of equation (1), log-odds of bleeding without treatment.
    effect
        Coefficients of the treatment's effect; their type decides the `mechanism`. Positive is harm.
    event_rate
        Expected share of patients with the event, over both arms. The intercept of `baseline` is then solved for
        (`hte_utils.study.event_rate`) and the one given is not used. None: `baseline` is used as it is.
    population_size
        Number of patients of the independent population in which the learned effects are evaluated.

    Raises
    ------
    TypeError, ValueError
        If a field is not what is described above.
    """

    name: str
    label: str
    n_patients: int = 2000
    baseline: BaselineCoefficients = LISTING_BASELINE
    effect: EffectCoefficients | DescribedEffects = LISTING_EFFECT
    event_rate: float | None = None
    population_size: int = POPULATION_SIZE

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise ValueError(
                f"a scenario's name must be lower-case letters, digits and single hyphens (it becomes a folder's "
                f"name); got {self.name!r}. Rename it, for example 'event-rate-2'"
            )
        if not isinstance(self.label, str) or not self.label.strip():
            raise ValueError(f"scenario {self.name!r} needs a label for tables and figures; got {self.label!r}")
        for field in ("n_patients", "population_size"):
            count = checked_count(field, getattr(self, field), least=LEAST_PATIENTS, most=MAX_SUBJECTS)
            object.__setattr__(self, field, count)
        _check_coefficients(self.name, "baseline", self.baseline, BaselineCoefficients)
        _check_coefficients(self.name, "effect", self.effect, EffectCoefficients | DescribedEffects)
        _check_rate(self)

    @property
    def mechanism(self) -> Mechanism:
        """Which of the two mechanisms the effect's coefficients belong to."""
        return Mechanism.LISTING if isinstance(self.effect, EffectCoefficients) else Mechanism.DESCRIBED


def _check_coefficients(scenario: str, what: str, value: object, kind: type | UnionType) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{what} of scenario {scenario!r} must be a record of coefficients ({kind}); got {value!r}")
    for field in fields(value):  # type: ignore[arg-type]
        number = getattr(value, field.name)
        if isinstance(number, float | int) and not math.isfinite(number):
            raise ValueError(f"{what}.{field.name} of scenario {scenario!r} must be finite; got {number}")


def _check_rate(scenario: Scenario) -> None:
    rate = scenario.event_rate
    if rate is None:
        return
    if isinstance(rate, bool) or not isinstance(rate, float | int) or not 0.001 <= rate <= 0.999:
        raise ValueError(
            f"event_rate of scenario {scenario.name!r} must be a share between 0.001 and 0.999; got {rate!r}. "
            "Give 0.05 for 5 %"
        )
    if scenario.mechanism is not Mechanism.LISTING:
        raise ValueError(
            f"event_rate of scenario {scenario.name!r} can be set for Listing 1's mechanism alone: described effects "
            "are risk differences, which another rate could push out of [0, 1]. Give a baseline with another intercept"
        )
