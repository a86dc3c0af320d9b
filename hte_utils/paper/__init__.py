"""The paper's printed numbers and checkable statements, as data: its side of the ledger. Nothing is computed here.

One CSV file per table holds every number (and, in Table 3, every label) as the string that was printed, so that its
decimals are known. ``statements.csv`` quotes each sentence or formula (in plain characters, an omission as "...").

Source: Tzimas G (2024), *Estimating Heterogeneous Treatment Effects Using Hierarchical Bayesian Models: A
Simulation-Based Study*; numbers are in Tables 1 and 3-8 (Table 2 holds formulas).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

TABLES_WITH_NUMBERS = (1, 3, 4, 5, 6, 7, 8)

STATEMENT_KIND = "statement"
"""Stands in the ledger's column ``kind``, where a number has how it is compared."""


class Kind(StrEnum):
    """How a printed number can differ from run to run, which decides how it is compared."""

    EXACT = "exact"
    """A function of the data alone: our value, rounded as printed, must equal the printed one."""
    MONTE_CARLO = "monte-carlo"
    """An average over posterior draws: it carries a Monte Carlo standard error, the paper's and ours."""
    DISTRIBUTIONAL = "distributional"
    """Random from run to run by nature (a Geweke z): it is held against the distribution of such values."""


@dataclass(frozen=True, slots=True)
class PaperEntry:
    """One printed number (or, in Table 3, label) of the paper."""

    id: str  # ``table<k>.<row>.<quantity>``, used by the notebooks and the replay
    item: str  # the paper's name for the place, ``"Table 1"``
    row: str
    column: str
    quantity: str
    printed: str  # the characters that were printed
    kind: Kind  # how it is compared

    @property
    def source(self) -> str:
        """Where the number stands, in words."""
        return f"{self.item}, row '{self.row}', column '{self.column}'"

    @property
    def decimals(self) -> int:
        """Number of digits printed after the decimal point (0 for counts and labels)."""
        return len(self.printed.partition(".")[2])

    @property
    def is_number(self) -> bool:
        """False for the labels of Table 3 (Male, Yes, Control, ...)."""
        return self.quantity != "label"


@dataclass(frozen=True, slots=True)
class Statement:
    """One checkable statement of the paper."""

    id: str  # ``statement.<slug>``, used by the notebooks and the replay
    item: str  # the part of the paper: ``"Abstract"``, ``"Section 2.1"``, ..., ``"Appendix B"``
    place: str  # where in it: a paragraph, an equation, a table's row or caption, a line of a listing
    quote: str  # the paper's words
    check: str  # what is checked

    @property
    def source(self) -> str:
        """Where the words stand."""
        return f"{self.item}, {self.place}"


@cache
def paper_entries() -> tuple[PaperEntry, ...]:
    """All numbers printed in Tables 1 and 3-8, in the order of the paper."""
    return tuple(
        PaperEntry(item=f"Table {table}", kind=Kind(row.pop("kind")), **row)
        for table in TABLES_WITH_NUMBERS
        for row in _rows(f"table_{table}.csv")
    )


@cache
def statements() -> tuple[Statement, ...]:
    """All checkable statements, in the order of the paper."""
    return tuple(Statement(**row) for row in _rows("statements.csv"))


def _rows(name: str) -> csv.DictReader[str]:
    return csv.DictReader((files(__package__) / name).read_text(encoding="utf-8").splitlines())


def entries_of(item: str) -> tuple[PaperEntry, ...]:
    """The entries of one item."""
    found = tuple(entry for entry in paper_entries() if entry.item == item)
    if not found:
        known = ", ".join(f"Table {k}" for k in TABLES_WITH_NUMBERS)
        raise KeyError(f"the paper prints no numbers under {item!r}; items with numbers: {known}")
    return found


def paper_entry(entry_id: str) -> PaperEntry:
    """The entry with this id."""
    return _named(entry_id, paper_entries(), "printed number")


def statement(statement_id: str) -> Statement:
    """The statement with this id."""
    return _named(statement_id, statements(), "statement")


def _named[T: (PaperEntry, Statement)](wanted: str, among: tuple[T, ...], what: str) -> T:
    for one in among:
        if one.id == wanted:
            return one
    example = among[0].id
    raise KeyError(f"no {what} has the id {wanted!r}; ids look like {example!r} (see the CSV files in hte_utils/paper)")


def printed(entry_id: str) -> str:
    """The characters the paper printed under this id, for quotation in prose."""
    return paper_entry(entry_id).printed


def printed_number(entry_id: str) -> float:
    """The printed value as a number."""
    return float(printed(entry_id))
