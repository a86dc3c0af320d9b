"""The ledger as one table for the book's page, as files for other programs, and as the figure of the front page.

The table is plain HTML, every row with an anchor and a link to its proof, complete without scripts. Where scripts run,
``book/_static/ledger.js`` makes it searchable and sortable.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from hte_utils.ledger.entries import LedgerEntry, Verdict
from hte_utils.ledger.notebooks import Project, located_entries, write_whole
from hte_utils.ledger.report import format_value, place_of
from hte_utils.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, canvas

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEADINGS = ("Where", "Entry", "The paper", "Found", "Verdict", "Proof")


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """All entries, each after the chapter that holds its proof, shown by Jupyter as a table."""

    entries: tuple[tuple[str, LedgerEntry], ...]

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{heading}</th>" for heading in HEADINGS)
        rows = "\n".join(_row(page, entry) for page, entry in self.entries)
        return f"<table id='ledger-table'><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"

    def __repr__(self) -> str:
        """One line; the page itself is HTML."""
        return f"LedgerTable of {len(self.entries)} entries"


def ledger_table(project: Project) -> LedgerTable:
    """Lay out the recorded ledger: the paper's numbers and statements first, then the book's own guarded numbers."""
    return LedgerTable(tuple(sorted(located_entries(project), key=lambda located: located[1].printed is None)))


def verdict_counts(entries: Iterable[LedgerEntry]) -> Counter[str]:
    """Count the entries of each verdict."""
    return Counter(entry.verdict for entry in entries)


def verdicts_in_words(entries: Iterable[LedgerEntry]) -> str:
    """The verdicts with their counts, the commonest first."""
    return ", ".join(f"{verdict} ({count})" for verdict, count in verdict_counts(entries).most_common())


def _row(page: str, entry: LedgerEntry) -> str:
    found = f"{format_value(entry)} ({entry.note})" if entry.note else format_value(entry)
    cells = (place_of(entry), entry.id, entry.printed or "–", found, entry.verdict)
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    proof = f"<a href='{escape(_proof_address(page, entry))}'>{escape(page)}</a>"
    return f"<tr id='{escape(entry.id)}'>{shown}<td>{proof}</td></tr>"


def _proof_address(page: str, entry: LedgerEntry) -> str:
    """Address of the row that shows an entry, relative to the ledger's page."""
    return f"{page}.html#{entry.id}"


def ledger_records(project: Project) -> list[dict[str, Any]]:
    """Return one record per entry of the recorded run: its fields, and ``proof``, its address in the book."""
    return [entry.to_json() | {"proof": _proof_address(page, entry)} for page, entry in located_entries(project)]


def as_csv(records: list[dict[str, Any]]) -> str:
    """Write records as comma-separated values with a header (RFC 4180 quoting); None is an empty field."""
    return str(pd.DataFrame(records, dtype=object).to_csv(index=False, lineterminator="\n"))


def write_downloads(project: Project, folder: Path) -> None:
    """Put ``ledger.json`` and ``ledger.csv`` into a folder, each moved into place once it is whole."""
    records = ledger_records(project)
    write_whole(folder / "ledger.json", json.dumps(records, indent=1, ensure_ascii=False) + "\n")
    write_whole(folder / "ledger.csv", as_csv(records))


VERDICT_FILL = {
    Verdict.REPRODUCED: (BLUE, ""),
    Verdict.WITHIN_ERROR: (SKY, ".."),
    Verdict.CONSISTENT: (GREEN, "\\\\"),
    Verdict.ONLY_WITH_ERROR: (ORANGE, "//"),
    Verdict.CONTRADICTED: (VERMILION, "xx"),
    Verdict.NOT_CHECKABLE: (GREY, ""),
    Verdict.NO_VALUE: (GREY, "oo"),
}
"""Colour and hatching of each verdict, so that it can be told without colour."""


def verdicts_by_item(entries: Iterable[LedgerEntry]) -> Figure:
    """Draw one bar per table of the paper, divided by verdict."""
    table = pd.DataFrame([(entry.item, entry.verdict) for entry in entries], columns=["item", "verdict"])
    counts = pd.crosstab(table["item"], table["verdict"])
    start = pd.Series(0, counts.index)
    with canvas(height=2.9) as drawn:
        for verdict in filter(counts.__contains__, VERDICT_FILL):
            (colour, hatch), widths = VERDICT_FILL[verdict], counts[verdict]
            style: dict[str, Any] = {"color": colour, "hatch": hatch, "ec": "white", "label": str(verdict)}
            drawn.axis.barh(counts.index, widths, left=start, **style)
            start += widths
        drawn.axis.invert_yaxis()
        drawn.axis.set(xlabel="Printed numbers")
        drawn.axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn.figure
