"""What a notebook shows and emits: a readable table, and the same entries as structured output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from io import TextIOWrapper
from typing import Any
from urllib.parse import quote

import pandas as pd

from hte_utils.ledger.entries import LedgerEntry, Reproduced, judge, own_number
from hte_utils.paper import entries_of

LEDGER_MIME = "application/vnd.hte-utils.ledger+json"
"""Type of the structured output: ``{"entries": [LedgerEntry as JSON, ...]}``."""


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Entries of one item, shown as a table by Jupyter and read as data by the replay."""

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
        return f"{self.title}: {len(self.entries)} numbers; {counts}"

    def to_text(self) -> str:
        """Return a plain table, a line an entry."""
        return "\n".join([self.headline(), *(_text_row(entry) for entry in self.entries)])

    def to_html(self) -> str:
        """Return the headline with the entries folded below it; each row has its id as an anchor."""
        head = "".join(f"<th scope='col'>{h}</th>" for h in ("id", "printed", "reproduced", "verdict"))
        rows = "".join(_html_row(entry) for entry in self.entries)
        place = quote(place_of(self.entries[0])) if self.entries else ""
        return (
            f"<details class='ledger'><summary>{escape(self.headline())}</summary>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            f"<p><a href='ledger.html?where={place}'>These entries in the ledger</a></p></details>"
        )


def record(item: str, found: Mapping[str, Reproduced | float | str]) -> LedgerReport:
    """Enter the reproduced values of one item of the paper into the ledger."""
    expected = [entry.id for entry in entries_of(item)]
    absent, unknown = set(expected) - set(found), set(found) - set(expected)
    if absent or unknown:
        raise ValueError(
            f"{item}: no value for {sorted(absent)[:5]}, no printed number for {sorted(unknown)[:5]} "
            f"({len(absent)} and {len(unknown)} in all); give exactly the ids of hte_utils.paper.entries_of({item!r})"
        )
    return LedgerReport(item, tuple(judge(entry_id, _as_reproduced(found[entry_id])) for entry_id in expected))


def guard(name: str, numbers: Mapping[str, Reproduced | float] | pd.Series) -> LedgerReport:
    """Put numbers of our own under the replay."""
    found = {str(entry_id): _as_reproduced(value) for entry_id, value in numbers.items()}
    return LedgerReport(name, tuple(own_number(entry_id, name, value) for entry_id, value in found.items()))


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
    if entry.printed is None:
        text = f"{entry.reproduced:.6g}"
    elif "." in entry.printed:
        text = f"{entry.reproduced:.{len(entry.printed.partition('.')[2]) + 1}f}"
    else:
        text = f"{entry.reproduced:g}"
    return f"{text} ± {entry.mcse:.2g}" if entry.mcse else text


def _as_reproduced(value: Reproduced | float | str) -> Reproduced:
    return value if isinstance(value, Reproduced) else Reproduced(value)


def _text_row(entry: LedgerEntry) -> str:
    return f"{entry.id:<44} {entry.printed or '-':>10} {format_value(entry):>24}  {_verdict_with_note(entry)}"


def _html_row(entry: LedgerEntry) -> str:
    name, address = escape(entry.id), escape(f"ledger.html#{entry.id}")
    cells = (entry.printed or "–", format_value(entry), _verdict_with_note(entry))
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr id='{name}'><td><a href='{address}'>{name}</a></td>{shown}</tr>"


def _verdict_with_note(entry: LedgerEntry) -> str:
    return f"{entry.verdict} ({entry.note})" if entry.note else entry.verdict
