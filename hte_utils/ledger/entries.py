"""A ledger entry: the printed number, the reproduced one, the tolerance and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from hte_utils.ledger.tolerance import monte_carlo_tolerance, print_rounding
from hte_utils.paper import Kind, PaperEntry, paper_entry


class Verdict(StrEnum):
    """What the project says about a printed number, or about a statement.

    That a statement does not hold is a finding about the paper and no failure of the reproduction: the replay fails
    when such a verdict changes, or is missing.
    """

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

    @property
    def fails(self) -> bool:
        """True when the replay must turn red."""
        return self in (Verdict.CONTRADICTED, Verdict.NO_VALUE)


@dataclass(frozen=True, slots=True)
class Reproduced:
    """What a notebook found for one number.

    Attributes
    ----------
    value
        The number at full precision, or a label.
    mcse
        Monte Carlo standard error of ``value`` (0 for a function of the data alone).
    printed_mcse
        Monte Carlo standard error of the number the paper printed, as far as it can be known.
    lower, upper
        For distributional numbers: the range which such values keep to, with the ledger's error rate.
    paper_error
        Names the error of the paper without which the number does not come out.
    rounding
        How far the rounding of the printed numbers that ``value`` was computed from can move it.
    note
        What else a reader must know, e.g. the p-value of a distributional number.
    """

    value: float | str
    mcse: float = 0.0
    printed_mcse: float = 0.0
    lower: float | None = None
    upper: float | None = None
    paper_error: str | None = None
    rounding: float = 0.0
    note: str = ""

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

    Attributes
    ----------
    printed
        As printed in the paper: a number, a label or a statement's words. None for a number of our own.
    reproduced, mcse
        Our value at full precision and its Monte Carlo standard error; None where no notebook gave a value. For a
        statement, the evidence in words.
    tolerance
        Largest accepted distance ``|reproduced - printed|`` in the number's own unit (0 for labels).
    note
        Which error of the paper is needed, or anything else a reader must know. For a statement, its claims, each
        with its answer.
    """

    id: str
    item: str
    source: str
    printed: str | None
    reproduced: float | str | None
    mcse: float | None
    printed_mcse: float | None
    tolerance: float | None
    kind: str
    verdict: str
    note: str = ""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> LedgerEntry:
        """Read back what :meth:`to_json` wrote."""
        return cls(**record)

    def to_json(self) -> dict[str, Any]:
        """Return the plain dictionary that goes into notebooks and ``--json``."""
        return asdict(self)

    @property
    def fails(self) -> bool:
        """True when the entry is out of its tolerance or has lost its value."""
        return Verdict(self.verdict).fails


def judge(entry_id: str, found: Reproduced) -> LedgerEntry:
    """Hold a reproduced value against the printed one."""
    paper = paper_entry(entry_id)
    if isinstance(found.value, str) == paper.is_number:
        raise TypeError(f"{entry_id} is {paper.printed!r} in the paper, but the value given is {found.value!r}")
    agrees, tolerance = _compare(paper, found)
    return replace(
        _without_value(paper),
        reproduced=found.value,
        mcse=found.mcse,
        printed_mcse=found.printed_mcse,
        tolerance=tolerance,
        verdict=str(_verdict(paper, found, agrees)),
        note="; ".join(filter(None, (found.paper_error, found.note))),
    )


def missing(paper: PaperEntry) -> LedgerEntry:
    """Return the row of a printed number for which no notebook gave a value."""
    return _without_value(paper)


def own_number(entry_id: str, item: str, found: Reproduced) -> LedgerEntry:
    """Return the row of a number of our own: no printed counterpart, but guarded by the replay all the same."""
    kind = Kind.MONTE_CARLO if found.mcse > 0 else Kind.EXACT
    return LedgerEntry(
        id=entry_id,
        item=item,
        source=f"this book, {item}",
        printed=None,
        reproduced=found.value,
        mcse=found.mcse,
        printed_mcse=None,
        tolerance=None,
        kind=str(kind),
        verdict=str(Verdict.OWN),
    )


def _without_value(paper: PaperEntry) -> LedgerEntry:
    return LedgerEntry(
        id=paper.id,
        item=paper.item,
        source=paper.source,
        printed=paper.printed,
        reproduced=None,
        mcse=None,
        printed_mcse=None,
        tolerance=None,
        kind=str(paper.kind),
        verdict=str(Verdict.NO_VALUE),
    )


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


def _verdict(paper: PaperEntry, found: Reproduced, agrees: bool) -> Verdict:
    if not agrees:
        return Verdict.CONTRADICTED
    if found.paper_error:
        return Verdict.ONLY_WITH_ERROR
    return {Kind.EXACT: Verdict.REPRODUCED, Kind.DISTRIBUTIONAL: Verdict.CONSISTENT}.get(
        paper.kind, Verdict.WITHIN_ERROR
    )
