"""Verdicts on the paper's statements, each computed from named claims that a notebook found true or false."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Self
from urllib.parse import quote

import numpy as np

from hte_utils.ledger.entries import LedgerEntry, Verdict
from hte_utils.ledger.report import LedgerReport, place_of
from hte_utils.paper.statements import STATEMENT_KIND, Statement, statement, statements


@dataclass(frozen=True, slots=True)
class Finding:
    """What a notebook found about one statement.

    Attributes
    ----------
    claims
        What the statement claims, in a few words each, and whether it is so. The verdict follows: all true, it holds;
        some, it holds in part; none, it does not hold.
    evidence
        What was computed, in a sentence with its numbers.
    not_checkable_because
        The reason, when there is nothing to compute; then there are no claims.
    """

    claims: Mapping[str, bool | np.bool_] = field(default_factory=dict)
    evidence: str = ""
    not_checkable_because: str = ""

    def __post_init__(self) -> None:
        if bool(self.claims) == bool(self.not_checkable_because):
            raise ValueError(
                f"a finding has claims or a reason why there are none; got {dict(self.claims)!r} and "
                f"{self.not_checkable_because!r}: give one of the two"
            )
        if self.claims and not self.evidence:
            raise ValueError(f"the claims {list(self.claims)} come without evidence: say what was computed")
        for claim, holds in self.claims.items():
            if not isinstance(holds, bool | np.bool_):
                raise TypeError(f"claim {claim!r} is {holds!r}; it must be True or False: compare the number")
        object.__setattr__(self, "claims", {claim: bool(holds) for claim, holds in self.claims.items()})

    @classmethod
    def not_checkable(cls, because: str) -> Self:
        """A statement about which nothing can be computed, with the reason."""
        return cls(not_checkable_because=because)

    @property
    def verdict(self) -> Verdict:
        """The verdict that the claims give."""
        if self.not_checkable_because:
            return Verdict.NOT_CHECKABLE
        if all(self.claims.values()):
            return Verdict.HOLDS
        return Verdict.HOLDS_IN_PART if any(self.claims.values()) else Verdict.DOES_NOT_HOLD

    @property
    def reason(self) -> str:
        """Each claim with its answer; what the replay compares beside the verdict."""
        answers = [f"{claim}: {'yes' if holds else 'no'}" for claim, holds in self.claims.items()]
        return self.not_checkable_because or "; ".join(answers)


@dataclass(frozen=True, slots=True)
class StatementReport(LedgerReport):
    """Statements with their verdicts, shown as a table by Jupyter and read as data by the replay."""

    def headline(self) -> str:
        """One sentence: how many statements have which verdict."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdict_counts().most_common())
        noun = "statement" if len(self.entries) == 1 else "statements"
        return f"{self.title}: {len(self.entries)} {noun}; {counts}"

    def to_html(self) -> str:
        """Return the headline with the entries unfolded below it; each row has its statement's id as an anchor."""
        head = "".join(f"<th scope='col'>{h}</th>" for h in ("the paper says", "verdict", "found"))
        rows = "".join(_html_row(entry) for entry in self.entries)
        place = quote(place_of(self.entries[0])) if self.entries else ""
        return (
            f"<details class='ledger statements' open><summary>{escape(self.headline())}</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p><a href='ledger.html?where={place}'>These entries in the ledger</a></p></details>"
        )

    def to_text(self) -> str:
        """Return a few lines a statement: id and verdict, the words, the claims, the evidence."""
        return "\n".join([self.headline(), *(statement_text(entry) for entry in self.entries)])


def check(title: str, findings: Mapping[str, Finding]) -> LedgerReport:
    """Enter verdicts on statements of the paper into the ledger."""
    places = {one.id: place for place, one in enumerate(statements())}
    entries = [judge_statement(statement(name), found) for name, found in findings.items()]
    return StatementReport(title, tuple(sorted(entries, key=lambda entry: places[entry.id])))


def judge_statement(said: Statement, found: Finding) -> LedgerEntry:
    """Return the ledger's row of a statement: ``printed`` are its words, ``reproduced`` the evidence."""
    return _row(said, reproduced=found.evidence or "nothing to compute", verdict=found.verdict, note=found.reason)


def missing_statement(said: Statement) -> LedgerEntry:
    """Return the row of a statement on which no notebook gave a verdict."""
    return _row(said, reproduced=None, verdict=Verdict.NO_VALUE, note="")


def is_statement(entry: LedgerEntry) -> bool:
    """Whether an entry is a statement of the paper and not a number."""
    return entry.kind == STATEMENT_KIND


def statement_text(entry: LedgerEntry) -> str:
    """Write one statement for a terminal."""
    lines = [f"{entry.id}  [{entry.verdict}]", f'    "{entry.printed}" ({entry.source})']
    return "\n".join([*lines, *(f"    {text}" for text in (entry.note, entry.reproduced) if text)])


def _html_row(entry: LedgerEntry) -> str:
    address = escape(f"ledger.html#{entry.id}")
    said = f"“{escape(entry.printed or '')}”<br/><a href='{address}'>{escape(entry.source)}</a>"
    found = [escape(text) for text in (entry.note, entry.reproduced) if isinstance(text, str) and text]
    cells = (said, escape(entry.verdict), "<br/>".join(found))
    return f"<tr id='{escape(entry.id)}'>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _row(said: Statement, *, reproduced: str | None, verdict: Verdict, note: str) -> LedgerEntry:
    return LedgerEntry(
        id=said.id,
        item=said.item,
        source=said.source,
        printed=said.quote,
        reproduced=reproduced,
        mcse=None,
        printed_mcse=None,
        tolerance=None,
        kind=STATEMENT_KIND,
        verdict=str(verdict),
        note=note,
    )
