"""The paper at a glance: its tables set again, each number with the mark of its verdict and a way to its proof.

Plain HTML that needs no script. A mark is a symbol and a colour; a number is a link, and what was found, its tolerance
and its verdict appear beside it when a pointer or the keyboard rests on it.
"""

from __future__ import annotations

from html import escape

import pandas as pd

from hte_utils.ledger.entries import LedgerEntry, Verdict, is_statement
from hte_utils.ledger.notebooks import Project, located_entries
from hte_utils.ledger.report import format_value, place_of
from hte_utils.paper import paper_entries

MARKS = {
    Verdict.REPRODUCED: "✓",
    Verdict.WITHIN_ERROR: "≈",
    Verdict.CONSISTENT: "∼",
    Verdict.ONLY_WITH_ERROR: "!",
    Verdict.CONTRADICTED: "✗",
    Verdict.NOT_CHECKABLE: "?",
    Verdict.NO_VALUE: "?",
    Verdict.HOLDS: "✓",
    Verdict.HOLDS_IN_PART: "◐",
    Verdict.DOES_NOT_HOLD: "✗",
}
"""The symbol of each verdict."""


class Glance:
    """A piece of the page: HTML that Jupyter shows."""

    def __init__(self, html: str) -> None:
        self._html = html

    def _repr_html_(self) -> str:
        return self._html


def key() -> Glance:
    """Explain the marks."""
    items = "".join(f"<li>{_mark(verdict)} {escape(verdict)}</li>" for verdict in MARKS if verdict != Verdict.NO_VALUE)
    return Glance(f"<ul class='glance-key'>{items}</ul>")


def table_at_a_glance(project: Project, item: str) -> Glance:
    """Set one of the paper's tables again (`item`: "Table 4"), as it was printed, with marks.

    A KeyError if the paper has no such table with numbers.
    """
    found = {entry.id: (page, entry) for page, entry in located_entries(project)}
    printed = [entry for entry in paper_entries() if entry.item == item]
    if not printed:
        raise KeyError(f"the paper has no numbers in {item!r}; there are {sorted({e.item for e in paper_entries()})}")
    frame = pd.DataFrame({"row": each.row, "column": each.column, "cell": _number(*found[each.id])} for each in printed)
    table = frame.groupby(["row", "column"], sort=False)["cell"].agg(" ".join)
    columns = list(dict.fromkeys(frame["column"]))
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    rows = "\n".join(
        f"<tr><th scope='row'>{escape(row)}</th>"
        + "".join(f"<td>{table.get((row, column), '')}</td>" for column in columns)
        + "</tr>"
        for row in dict.fromkeys(frame["row"])
    )
    return Glance(f"<table class='glance'><thead><tr><td></td>{head}</tr></thead>\n<tbody>{rows}</tbody></table>")


def sections_at_a_glance(project: Project) -> Glance:
    """Lay out the paper's statements by section: a mark for each, which leads to its proof."""
    places: dict[str, list[str]] = {}
    for page, entry in located_entries(project):
        if is_statement(entry):
            places.setdefault(place_of(entry), []).append(_linked(page, entry, "", f"“{entry.printed}”"))
    rows = "\n".join(
        f"<tr><th scope='row'>{escape(place)}</th><td>{' '.join(marks)}</td></tr>" for place, marks in places.items()
    )
    return Glance(
        "<table class='glance'><thead><tr><th scope='col'>place</th><th scope='col'>its statements</th></tr></thead>"
        f"\n<tbody>{rows}</tbody></table>"
    )


def _number(page: str, entry: LedgerEntry) -> str:
    found = f"found: {format_value(entry)}"
    if entry.tolerance:
        found += f"; tolerance ± {entry.tolerance:.2g}"
    return _linked(page, entry, str(entry.printed), "; ".join(filter(None, (found, entry.note))))


def _linked(page: str, entry: LedgerEntry, shown: str, told: str) -> str:
    address = escape(f"{page}.html#{entry.id}")
    # The tip is part of the link's own text, so that a screen reader speaks what a pointer shows.
    tip = f"<span class='glance-tip'>{escape(f'{told} ({entry.verdict})')}</span>"
    return f"<a class='glance-cell' href='{address}'>{escape(shown)}{_mark(Verdict(entry.verdict))}{tip}</a>"


def _mark(verdict: Verdict) -> str:
    kind = verdict.name.lower().replace("_", "-")
    return f"<span class='mark mark-{kind}' aria-hidden='true'>{MARKS[verdict]}</span>"
