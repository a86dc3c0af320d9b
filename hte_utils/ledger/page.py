"""The ledger as one table for the book's page: plain HTML, every row with an anchor and a link to its proof.

The table is complete without scripts. Where scripts run, ``book/_static/ledger.js`` makes it searchable and sortable.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from hte_utils.ledger.export import proof_address
from hte_utils.ledger.recorded import located_entries
from hte_utils.ledger.report import format_value, place_of

if TYPE_CHECKING:
    from hte_utils.ledger.entries import LedgerEntry
    from hte_utils.ledger.recorded import Located, Project

HEADINGS = ("Where", "Entry", "The paper", "Found", "Verdict", "Proof")


@dataclass(frozen=True, slots=True)
class LedgerTable:
    """All entries, shown by Jupyter as a table.

    Attributes
    ----------
    entries
        The entries with the chapter that holds their proof, in the order of the table.
    """

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
