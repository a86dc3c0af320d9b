"""What is asked of a trial: which columns play which part, decided before (in a plan) or after the data were seen.

A plan is a TOML file whose keys are the fields of `Question`. What it names is *prespecified*, everything else *post
hoc*; the digest of the file goes into the report.
"""

from __future__ import annotations

import difflib
import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

MISSING = ("refuse", "complete", "impute")
_TEXTS = ("title", "outcome", "event", "treatment", "control", "treated", "identifier", "missing", "time")
_LISTS = ("covariates", "modifiers", "group", "factors", "splines")


class QuestionError(ValueError):
    """The options or the plan do not say what is needed, or contradict each other or the data."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which columns of a table play which part, and how the report is made.

    Parameters
    ----------
    outcome, event
        The column of the outcome, and the value of it that is the event; 1 (or true) if the column holds 0 and 1.
    treatment, control, treated
        The column of the arm and the values of its two arms; of an arm coded 0 and 1, 0 is the control.
    covariates
        Columns measured before randomisation: risk factors.
    modifiers
        Those that may change the effect; all covariates if None.
    each
        Whether each other arm is compared with the control, one after another (`hte_utils.report.each`).
    group
        Columns, e.g. the centre, whose levels get (shrunken) intercepts and effects of their own.
    factors
        Numeric covariates whose values are categories.
    splines
        Numeric covariates that enter the models as natural cubic splines; the others enter as straight lines.
    subgroups
        By column, thresholds of a number, or none for a category; if empty, every factor and the median of each number.
    identifier
        Column of unique patient identifiers.
    time, horizon
        The column of the time from randomisation to the event, or to the end of the patient's follow-up where the
        outcome is not the event (censored), and the time by which risks are compared, in the same unit. Both or none.
    benefit
        Whether the event is good: a higher rate then is benefit.
    missing
        What happens to missing covariates: "refuse", "complete" (patients with all values) or "impute".
    interaction_scale
        Scale of the prior of the interactions' common size (`hte_utils.model.listing_2.Priors`).
    simulations
        Trials without heterogeneity that are simulated for the null rates.
    seed
        Of all random numbers.
    """

    outcome: str
    treatment: str
    covariates: tuple[str, ...]
    modifiers: tuple[str, ...] | None = None
    event: str | None = None
    control: str | None = None
    treated: str | None = None
    each: bool = False
    group: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    splines: tuple[str, ...] = ()
    subgroups: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    identifier: str | None = None
    time: str | None = None
    horizon: float | None = None
    benefit: bool = False
    missing: str = "refuse"
    interaction_scale: float = 0.5
    simulations: int = 200
    seed: int = 1
    title: str = ""
    prespecified: frozenset[str] = frozenset()
    plan_digest: str | None = None

    def __post_init__(self) -> None:
        for name in _LISTS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, (value,) if isinstance(value, str) else tuple(value))
        if not self.covariates:
            raise QuestionError("no covariates are named: give the columns measured before randomisation (covariates)")
        roles: dict[str, str] = {}
        for role, names in self._roles().items():
            for name in names:
                if name in roles:
                    other = f"twice as {role}" if roles[name] == role else f"as {roles[name]} and as {role}"
                    raise QuestionError(f"column {name!r} is named {other}: each column has one part; leave one out")
                roles[name] = role
        for role, chosen in {"modifier": self.modifiers or (), "factor": self.factors, "spline": self.splines}.items():
            if strangers := [name for name in chosen if name not in self.covariates]:
                raise QuestionError(f"{role} {strangers[0]!r} is not among the covariates: add it to them")
        known = (*self.covariates, " × ".join(self.group))
        if strangers := [name for name in self.subgroups if name not in known]:
            raise QuestionError(f"subgroup {strangers[0]!r} is neither a covariate nor the group: add it to them")
        if self.missing not in MISSING:
            raise QuestionError(f"missing must be one of {', '.join(MISSING)}, not {self.missing!r}")
        if self.each and self.treated is not None:
            raise QuestionError(f"each arm is to be compared, and {self.treated!r} is named as treated: leave one out")
        if (self.time is None) != (self.horizon is None):
            raise QuestionError(
                "time and horizon go together: name the column of the times by --time, and by --horizon the time by "
                "which risks are compared"
            )
        if self.horizon is not None and not 0.0 < self.horizon < math.inf:
            raise QuestionError(f"horizon must be a positive number in the unit of the times, not {self.horizon!r}")
        least = {"seed": 0, "simulations": 20}
        for name, smallest in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
                raise QuestionError(f"{name} must be a whole number of at least {smallest}, not {value!r}")
        if not 0.0 < self.interaction_scale < 10.0:
            raise QuestionError(
                f"interaction_scale must lie between 0 and 10 (log odds ratio), not {self.interaction_scale!r}"
            )

    def _roles(self) -> dict[str, tuple[str, ...]]:
        own = {"outcome": (self.outcome,), "treatment": (self.treatment,), "group": self.group}
        own |= {"time": (self.time,) if self.time is not None else ()}
        own |= {"identifier": (self.identifier,) if self.identifier is not None else ()}
        return own | {"covariate": self.covariates}

    @property
    def columns(self) -> list[str]:
        """Every column that is used."""
        return [name for names in self._roles().values() for name in names]

    @property
    def effect_modifiers(self) -> tuple[str, ...]:
        """The covariates that may change the effect."""
        return self.covariates if self.modifiers is None else self.modifiers

    def status(self, name: str) -> str:
        """Whether a field was fixed before the data were seen."""
        return "prespecified" if name in self.prespecified else "post hoc"

    @classmethod
    def from_plan(cls, path: Path, **more: Any) -> Self:
        """Read a plan; `more` are fields that it leaves open, labelled post hoc. QuestionError if it cannot be used."""
        try:
            content = path.read_bytes()
            plan = tomllib.loads(content.decode("utf-8"))
        except OSError as error:
            raise QuestionError(f"the plan {str(path)!r} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise QuestionError(f"the plan {str(path)!r} is not valid TOML: {error}") from error
        plan |= plan.pop("priors", {})
        known = {each.name for each in fields(cls)} - {"prespecified", "plan_digest"}
        for name, value in plan.items():
            _require_kind(name, value, known)
        if both := sorted(set(plan) & set(more)):
            raise QuestionError(f"{both[0]!r} is fixed by the plan and given as an option as well: leave one out")
        given: dict[str, Any] = plan | more
        if lacking := [name for name in ("outcome", "treatment", "covariates") if name not in given]:
            raise QuestionError(f"the plan does not name {lacking[0]!r}: add it there, or give it as an option")
        if "subgroups" in given:
            given["subgroups"] = {name: tuple(cuts) for name, cuts in given["subgroups"].items()}
        digest = hashlib.sha256(content).hexdigest()
        return replace(cls(**given), prespecified=frozenset(plan), plan_digest=digest)


def _require_kind(name: str, value: object, known: set[str]) -> None:
    """Refuse keys of a plan that are unknown, and values of the wrong kind."""
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        raise QuestionError(f"the plan has the unknown key {name!r}; did you mean {(close or sorted(known))[0]!r}?")
    is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
    fits, kind = True, ""
    if name in _TEXTS:
        fits, kind = isinstance(value, str), "a text in quotes"
    elif name in _LISTS:
        fits, kind = isinstance(value, str) or is_list, "a list of column names"
    elif name == "subgroups":
        fits = isinstance(value, dict) and all(
            isinstance(cuts, list) and all(isinstance(cut, int | float) for cut in cuts) for cuts in value.values()
        )
        kind = "a table of columns with lists of thresholds"
    elif name in ("benefit", "each"):
        fits, kind = isinstance(value, bool), "true or false"
    elif name in ("interaction_scale", "horizon"):
        fits, kind = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    if not fits:
        raise QuestionError(f"{name!r} in the plan must be {kind}, not {value!r}")
