"""What a notebook enters into the ledger and shows: a readable table, and the same entries as structured output.

A proof of stored results is shown whatever it finds: a reader always gets the page. What turns red is the replay, since
the number of failures is an entry that was recorded as 0, and ``.ci/check_pages.py``, which looks for the red box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from html import escape
from io import TextIOWrapper
from typing import Any, Final, Self
from urllib.parse import quote

import numpy as np
import pandas as pd

from hte_utils.ledger.entries import LedgerEntry, Reproduced, Verdict, is_statement, judge, missing, own_number
from hte_utils.paper import Statement, entries_of, statement, statements

LEDGER_MIME = "application/vnd.hte-utils.ledger+json"
"""Type of the structured output: ``{"entries": [LedgerEntry as JSON, ...]}``."""


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Entries of one item (numbers or statements), shown as a table by Jupyter and read as data by the replay."""

    title: str
    entries: tuple[LedgerEntry, ...]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        return {
            LEDGER_MIME: {"entries": [entry.to_json() for entry in self.entries]},
            "text/html": self.to_html(),
            "text/plain": self.to_text(),
        }

    def verdict_counts(self) -> Counter[str]:
        """Count the entries by verdict."""
        return Counter(entry.verdict for entry in self.entries)

    def headline(self) -> str:
        """One sentence: how many entries have which verdict."""
        counts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdict_counts().most_common())
        noun = "statement" if self._is_of_statements() else "number"
        plural = "" if noun == "statement" and len(self.entries) == 1 else "s"
        return f"{self.title}: {len(self.entries)} {noun}{plural}; {counts}"

    def to_text(self) -> str:
        """Return a plain table, a line a number and a few lines a statement."""
        return "\n".join([self.headline(), *map(entry_text, self.entries)])

    def to_html(self) -> str:
        """Return the headline and the entries, numbers folded below it; each row has its id as an anchor."""
        said = self._is_of_statements()
        headings = ("the paper says", "verdict", "found") if said else ("id", "printed", "reproduced", "verdict")
        kind = "'ledger statements' open" if said else "'ledger'"
        head = "".join(f"<th scope='col'>{heading}</th>" for heading in headings)
        rows = "".join(map(_html_statement if said else _html_row, self.entries))
        place = quote(place_of(self.entries[0])) if self.entries else ""
        return (
            f"<details class={kind}><summary>{escape(self.headline())}</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p><a href='ledger.html?where={place}'>These entries in the ledger</a></p></details>"
        )

    def _is_of_statements(self) -> bool:
        return any(map(is_statement, self.entries))


def record(item: str, found: Mapping[str, Reproduced | float | str]) -> LedgerReport:
    """Enter the reproduced values of one item of the paper into the ledger."""
    expected = [entry.id for entry in entries_of(item)]
    absent, unknown = set(expected) - set(found), set(found) - set(expected)
    if absent or unknown:
        raise ValueError(
            f"{item}: no value for {sorted(absent)[:5]}, no printed number for {sorted(unknown)[:5]} "
            f"({len(absent)} and {len(unknown)} in all); give exactly the ids of hte_utils.paper.entries_of({item!r})"
        )
    return LedgerReport(item, tuple(judge(entry_id, found[entry_id]) for entry_id in expected))


def guard(name: str, numbers: Mapping[str, Reproduced | float] | pd.Series) -> LedgerReport:
    """Put numbers of our own under the replay."""
    return LedgerReport(name, tuple(own_number(str(entry_id), name, value) for entry_id, value in numbers.items()))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a notebook found about one statement; the verdict follows from the claims."""

    claims: Mapping[str, bool | np.bool_] = field(default_factory=dict)  # in a few words each, and whether it is so
    evidence: str = ""  # what was computed, in a sentence with its numbers
    not_checkable_because: str = ""  # when there is nothing to compute; then there are no claims

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


def check(title: str, findings: Mapping[str, Finding]) -> LedgerReport:
    """Enter verdicts on statements of the paper (`hte_utils.paper`) into the ledger, in its order."""
    places = {one.id: place for place, one in enumerate(statements())}
    entries = [judge_statement(statement(name), found) for name, found in findings.items()]
    return LedgerReport(title, tuple(sorted(entries, key=lambda entry: places[entry.id])))


def judge_statement(said: Statement, found: Finding) -> LedgerEntry:
    """Return the ledger's row of a statement: ``printed`` are its words, ``reproduced`` the evidence."""
    evidence = found.evidence or "nothing to compute"
    return replace(missing(said), reproduced=evidence, verdict=str(found.verdict), note=found.reason)


def entry_text(entry: LedgerEntry) -> str:
    """Write one entry for a terminal: a line a number, a few lines a statement."""
    if is_statement(entry):
        lines = [f"{entry.id}  [{entry.verdict}]", f'    "{entry.printed}" ({entry.source})']
        return "\n".join([*lines, *(f"    {text}" for text in (entry.note, entry.reproduced) if text)])
    tolerance = "" if entry.tolerance is None else f"{entry.tolerance:.3g}"
    shown = f"{entry.id:<38} {entry.printed or '-':>10} {format_value(entry):>22} {tolerance:>10}"
    return f"{shown}  {_verdict_with_note(entry)}"


def speak_everywhere(*streams: object) -> None:
    """Let text streams take every character: UTF-8 into files and pipes, a replacement where a terminal lacks one."""
    for stream in streams:
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def place_of(entry: LedgerEntry) -> str:
    """Where an entry belongs, in few words: the paper's table or section, or the book's own guarded numbers."""
    return f"This book: {entry.item}" if entry.printed is None else entry.source.partition(",")[0]


def format_value(entry: LedgerEntry) -> str:
    """Our value with one digit more than the paper printed, and its Monte Carlo error where it has one."""
    if entry.reproduced is None:
        return "none"
    if isinstance(entry.reproduced, str):
        return entry.reproduced
    decimals = len((entry.printed or "").partition(".")[2])
    text = format(entry.reproduced, f".{decimals + 1}f" if decimals else "g")
    return f"{text} ± {entry.mcse:.2g}" if entry.mcse else text


def _html_row(entry: LedgerEntry) -> str:
    name, address = escape(entry.id), escape(f"ledger.html#{entry.id}")
    cells = (entry.printed or "–", format_value(entry), _verdict_with_note(entry))
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr id='{name}'><td><a href='{address}'>{name}</a></td>{shown}</tr>"


def _verdict_with_note(entry: LedgerEntry) -> str:
    return f"{entry.verdict} ({entry.note})" if entry.note else entry.verdict


def _html_statement(entry: LedgerEntry) -> str:
    address = escape(f"ledger.html#{entry.id}")
    said = f"“{escape(entry.printed or '')}”<br/><a href='{address}'>{escape(entry.source)}</a>"
    found = [escape(text) for text in (entry.note, entry.reproduced) if isinstance(text, str) and text]
    cells = (said, escape(entry.verdict), "<br/>".join(found))
    return f"<tr id='{escape(entry.id)}'>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


_MOST_SHOWN: Final = 10
PROOF_PREFIX: Final = "proof."
"""Begins the id of an entry that counts the failures of a `Proof`."""


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What running stored results again showed."""

    name: str  # the ledger entry is ``proof.<name>``
    done: str  # what was run again and how it was compared, in a sentence or two
    failures: pd.DataFrame  # one row for each value that did not come out again; empty if all did

    @classmethod
    def by_tolerance(cls, name: str, done: str, compared: pd.DataFrame) -> Self:
        """Hold the columns `stored` and `again` of a table against each other; `allowed` is how far they may differ.

        A number that is missing on both sides (a correlation with a constant, say) has come out again.
        """
        near = (compared["again"] - compared["stored"]).abs() <= compared["allowed"]
        undefined = compared["again"].isna() & compared["stored"].isna()
        return cls(name, done, compared.loc[~(near | undefined)])

    @property
    def passed(self) -> bool:
        """Whether everything came out again."""
        return self.failures.empty

    def to_text(self) -> str:
        """Say it in plain text, failures as a table."""
        if self.passed:
            return f"Reproduced. {self.done}"
        return f"NOT REPRODUCED: {len(self.failures)} values. {self.done}\n{self._shown().to_string(index=False)}"

    def to_html(self) -> str:
        """Return a box: what was done, and the failures with their numbers."""
        anchor = f"id='{PROOF_PREFIX}{escape(self.name)}'"  # the ledger's page leads here
        if self.passed:
            return f"<div class='proof' {anchor}><p><strong>Reproduced.</strong> {escape(self.done)}</p></div>"
        table = self._shown().to_html(index=False, border=0)
        return (
            f"<div class='proof proof-failed' {anchor} role='alert'><p><strong>Not reproduced: {len(self.failures)} "
            f"values.</strong> {escape(self.done)} The numbers on this page may be wrong.</p>{table}</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        entry = own_number(f"{PROOF_PREFIX}{self.name}", "Stored results that failed", len(self.failures))
        return {LEDGER_MIME: {"entries": [entry.to_json()]}, "text/html": self.to_html(), "text/plain": self.to_text()}

    def _shown(self) -> pd.DataFrame:
        return self.failures.head(_MOST_SHOWN)
