"""The ledger as one table for the book's page, and as files for other programs.

The table is plain HTML, every row with an anchor and a link to its proof, complete without scripts. Where scripts run,
``book/_static/ledger.js`` makes it searchable and sortable.

The figure of the front page: verdicts by table of the paper.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

import pandas as pd

from hte_utils.ledger.entries import LedgerEntry, Verdict
from hte_utils.ledger.notebooks import located_entries
from hte_utils.ledger.report import format_value, place_of
from hte_utils.style import BLUE, GREEN, GREY, ORANGE, SKY, VERMILION, canvas

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from matplotlib.figure import Figure

    from hte_utils.ledger.notebooks import Located, Project


HEADINGS = ("Where", "Entry", "The paper", "Found", "Verdict", "Proof")


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """All entries with the chapter that holds their proof, shown by Jupyter as a table."""

    entries: tuple[Located, ...]

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{heading}</th>" for heading in HEADINGS)
        rows = "\n".join(_row(located) for located in self.entries)
        return f"<table id='ledger-table'><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table>"

    def __repr__(self) -> str:
        """One line; the page itself is HTML."""
        return f"LedgerTable of {len(self.entries)} entries"


def ledger_table(project: Project) -> LedgerTable:
    """Lay out the recorded ledger: the paper's numbers and statements first, then the book's own guarded numbers."""
    entries = located_entries(project)
    return LedgerTable(tuple(sorted(entries, key=lambda located: located.entry.printed is None)))


def _row(located: Located) -> str:
    entry = located.entry
    proof = f"<a href='{escape(proof_address(located))}'>{escape(located.page)}</a>"
    cells = (place_of(entry), entry.id, entry.printed or "–", _found(entry), entry.verdict)
    shown = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    return f"<tr id='{escape(entry.id)}'>{shown}<td>{proof}</td></tr>"


def _found(entry: LedgerEntry) -> str:
    return f"{format_value(entry)} ({entry.note})" if entry.note else format_value(entry)


COLUMNS = (*(field.name for field in fields(LedgerEntry)), "proof")
"""Keys of a record: those of `LedgerEntry`, and ``proof``, the address of the cell's output in the book."""


def proof_address(located: Located) -> str:
    """Address of the row that shows an entry, relative to the ledger's page."""
    return f"{located.page}.html#{located.entry.id}"


def ledger_records(project: Project) -> list[dict[str, Any]]:
    """Return one record per entry of the recorded run: the paper's numbers and statements, and our own numbers."""
    return [located.entry.to_json() | {"proof": proof_address(located)} for located in located_entries(project)]


def as_json(records: list[dict[str, Any]]) -> str:
    """Write records as a JSON list."""
    return json.dumps(records, indent=1, ensure_ascii=False) + "\n"


def as_csv(records: list[dict[str, Any]]) -> str:
    """Write records as comma-separated values with a header (RFC 4180 quoting); None is an empty field."""
    text: str = pd.DataFrame(records, columns=list(COLUMNS), dtype=object).to_csv(index=False, lineterminator="\n")
    return text


def write_downloads(project: Project, folder: Path) -> None:
    """Put ``ledger.json`` and ``ledger.csv`` into a folder, each moved into place once it is whole."""
    records = ledger_records(project)
    for name, text in (("ledger.json", as_json(records)), ("ledger.csv", as_csv(records))):
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / name)


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
    counts: dict[str, Counter[str]] = {}
    for entry in entries:
        counts.setdefault(entry.item, Counter())[entry.verdict] += 1
    with canvas(height=2.9) as drawn:
        for item, verdicts in counts.items():
            start = 0
            for verdict, (colour, hatch) in VERDICT_FILL.items():
                width = verdicts[str(verdict)]
                if width:
                    drawn.axis.barh(
                        item, width, left=start, color=colour, hatch=hatch, edgecolor="white", label=str(verdict)
                    )
                start += width
        drawn.axis.invert_yaxis()
        drawn.axis.set(xlabel="Printed numbers")
        handles = dict(zip(*reversed(drawn.axis.get_legend_handles_labels()), strict=True))
        drawn.axis.legend(handles.values(), handles.keys(), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return drawn.figure
