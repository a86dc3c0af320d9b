"""A ledger entry: the printed number, the reproduced one, the tolerance and the verdict.

How far a reproduced number may lie from the printed one is derived, not picked: each kind (`hte_utils.paper.Kind`) has
its rule, and the one constant, ``z``, is fixed for the whole ledger by its family-wise error rate.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from statistics import NormalDist
from typing import Any

from hte_utils.paper import STATEMENT_KIND, Kind, PaperEntry, Statement, paper_entries, paper_entry

FAMILY_WISE_ERROR_RATE = 0.01
"""Probability that a faithful reproduction raises one false alarm or more among all random entries of the ledger."""


@cache
def z_threshold() -> float:
    """Return the number of standard errors allowed to every random entry, by Bonferroni's bound (two-sided).

    Over the entries of the kind *monte-carlo* (distributional ones: `hte_utils.reproduction.tables_5_6`), whatever the
    dependence between them.
    """
    random_entries = sum(entry.kind is Kind.MONTE_CARLO for entry in paper_entries())
    return NormalDist().inv_cdf(1 - FAMILY_WISE_ERROR_RATE / (2 * random_entries))


def print_rounding(decimals: int) -> float:
    """Half a unit of the last printed digit: what rounding alone may hide."""
    return 0.5 * 10.0**-decimals


def monte_carlo_tolerance(mcse: float, printed_mcse: float, decimals: int) -> float:
    """Return ``z * sqrt(mcse**2 + printed_mcse**2)`` and half a printed unit, all that rounding can explain."""
    return z_threshold() * math.hypot(mcse, printed_mcse) + print_rounding(decimals)


class Verdict(StrEnum):
    """What the project says about a printed number, or about a statement (whose verdict is no failure)."""

    REPRODUCED = "reproduced"
    WITHIN_ERROR = "reproduced within Monte Carlo error"
    CONSISTENT = "consistent with such runs"
    ONLY_WITH_ERROR = "reproduced only with the paper's own error"
    CONTRADICTED = "contradicted"
    NOT_CHECKABLE = "not checkable"
    HOLDS = "holds"
    HOLDS_IN_PART = "holds in part"
    DOES_NOT_HOLD = "does not hold"
    NO_VALUE = "no value"
    OWN = "recorded (our own number)"


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What a notebook found for one number: its full precision, or a label."""

    value: float | str
    mcse: float = 0.0  # Monte Carlo standard error of the value (0 for a function of the data alone)
    printed_mcse: float = 0.0  # of the number the paper printed, as far as it can be known
    lower: float | None = None  # of distributional numbers: the range such values keep to,
    upper: float | None = None  # with the ledger's error rate
    paper_error: str | None = None  # the error of the paper without which the number does not come out
    rounding: float = 0.0  # how far the rounding of the printed numbers behind the value can move it
    note: str = ""  # what else a reader must know, e.g. the p-value of a distributional number

    def __post_init__(self) -> None:
        if isinstance(self.value, str):
            return
        object.__setattr__(self, "value", float(self.value))
        for name in ("value", "mcse", "printed_mcse", "rounding"):
            number = getattr(self, name)
            if not math.isfinite(number) or (name != "value" and number < 0):
                rule = "a finite number" if name == "value" else "finite and not negative"
                raise ValueError(f"{name} is {number}: a ledger entry needs {name} to be {rule}; mend the computation")


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row of the ledger; the fields are the keys of its JSON form.

    For a statement, `printed` are its words, `reproduced` the evidence, `note` its claims, each with its answer.
    """

    id: str
    item: str
    source: str
    printed: str | None  # a number or a label as the paper has it; None for a number of our own
    reproduced: float | str | None  # at full precision; None where no notebook gave a value
    mcse: float | None = None
    printed_mcse: float | None = None
    tolerance: float | None = None  # largest accepted |reproduced - printed| (0 for labels)
    kind: str = ""
    verdict: str = Verdict.NO_VALUE.value
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the plain dictionary that goes into notebooks and ``--json``."""
        return asdict(self)

    @property
    def fails(self) -> bool:
        """True when the entry is out of its tolerance or has lost its value, and the replay must turn red."""
        return Verdict(self.verdict) in (Verdict.CONTRADICTED, Verdict.NO_VALUE)


_IF_IT_AGREES = {
    Kind.EXACT: Verdict.REPRODUCED,
    Kind.MONTE_CARLO: Verdict.WITHIN_ERROR,
    Kind.DISTRIBUTIONAL: Verdict.CONSISTENT,
}


def judge(entry_id: str, found: Reproduced | float | str) -> LedgerEntry:
    """Hold a reproduced value against the printed one."""
    paper, found = paper_entry(entry_id), _as_reproduced(found)
    if isinstance(found.value, str) == paper.is_number:
        raise TypeError(f"{entry_id} is {paper.printed!r} in the paper, but the value given is {found.value!r}")
    agrees, tolerance = _compare(paper, found)
    verdict = Verdict.ONLY_WITH_ERROR if found.paper_error else _IF_IT_AGREES[paper.kind]
    return replace(
        missing(paper),
        reproduced=found.value,
        mcse=found.mcse,
        printed_mcse=found.printed_mcse,
        tolerance=tolerance,
        verdict=str(verdict if agrees else Verdict.CONTRADICTED),
        note="; ".join(filter(None, (found.paper_error, found.note))),
    )


def missing(paper: PaperEntry | Statement) -> LedgerEntry:
    """Return the row of a printed number without a value, or of a statement without a verdict."""
    if isinstance(paper, Statement):
        return LedgerEntry(paper.id, paper.item, paper.source, paper.quote, None, kind=STATEMENT_KIND)
    return LedgerEntry(paper.id, paper.item, paper.source, paper.printed, None, kind=str(paper.kind))


def is_statement(entry: LedgerEntry) -> bool:
    """Whether an entry is a statement of the paper and not a number."""
    return entry.kind == STATEMENT_KIND


def own_number(entry_id: str, item: str, found: Reproduced | float) -> LedgerEntry:
    """Return the row of a number of our own: no printed counterpart, but guarded by the replay all the same."""
    found = _as_reproduced(found)
    kind, verdict = str(Kind.MONTE_CARLO if found.mcse > 0 else Kind.EXACT), str(Verdict.OWN)
    return LedgerEntry(entry_id, item, f"this book, {item}", None, found.value, found.mcse, kind=kind, verdict=verdict)


def _as_reproduced(value: Reproduced | float | str) -> Reproduced:
    return value if isinstance(value, Reproduced) else Reproduced(value)


def _compare(paper: PaperEntry, found: Reproduced) -> tuple[bool, float]:
    """Whether the values agree by the rule of their kind, and the tolerance that was applied."""
    if isinstance(found.value, str):
        return found.value == paper.printed, 0.0
    printed = float(paper.printed)
    if paper.kind is Kind.EXACT:
        # The value is rounded as the paper rounds it and compared as text: 1.0 is not 1.000.
        return f"{found.value:.{paper.decimals}f}" == paper.printed, print_rounding(paper.decimals)
    if paper.kind is Kind.DISTRIBUTIONAL:
        if found.lower is None or found.upper is None:
            raise ValueError(f"{paper.id} is distributional: give the lower and upper limits of such values")
        rounding = print_rounding(paper.decimals)
        nearest = found.upper if printed > found.value else found.lower
        tolerance = abs(nearest - found.value) + rounding
        return found.lower - rounding <= printed <= found.upper + rounding, tolerance
    tolerance = monte_carlo_tolerance(found.mcse, found.printed_mcse, paper.decimals) + found.rounding
    return abs(found.value - printed) <= tolerance, tolerance


def slug(label: str) -> str:
    """Turn a label into a part of an entry's id."""
    return "_".join("".join(c if c.isalnum() else " " for c in label.lower()).split())
