"""The paper's printed numbers, as data.

One CSV file per table holds every number (and, in Table 3, every label) as the string that was printed, so that its
decimals are known, together with where it stands and what kind of number it is. Nothing in these files is computed
here: they are the paper's side of the ledger.

Source: Tzimas G (2024), *Estimating Heterogeneous Treatment Effects Using Hierarchical Bayesian Models: A
Simulation-Based Study*, Tables 1 and 3-8. (Table 2 holds formulas, not numbers.)
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files

TABLES_WITH_NUMBERS = (1, 3, 4, 5, 6, 7, 8)


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


@cache
def paper_entries() -> tuple[PaperEntry, ...]:
    """All numbers printed in Tables 1 and 3-8, in the order of the paper."""
    return tuple(entry for table in TABLES_WITH_NUMBERS for entry in _read_table(table))


def _read_table(table: int) -> list[PaperEntry]:
    text = (files(__package__) / f"table_{table}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return [PaperEntry(item=f"Table {table}", kind=Kind(row.pop("kind")), **row) for row in rows]


def entries_of(item: str) -> tuple[PaperEntry, ...]:
    """The entries of one item."""
    found = tuple(entry for entry in paper_entries() if entry.item == item)
    if not found:
        known = ", ".join(f"Table {k}" for k in TABLES_WITH_NUMBERS)
        raise KeyError(f"the paper prints no numbers under {item!r}; items with numbers: {known}")
    return found


def paper_entry(entry_id: str) -> PaperEntry:
    """The entry with this id."""
    try:
        return _by_id()[entry_id]
    except KeyError:
        raise KeyError(
            f"no printed number has the id {entry_id!r}; ids look like {paper_entries()[0].id!r} "
            "(see the CSV files in hte_utils/paper)"
        ) from None


def printed(entry_id: str) -> str:
    """The characters the paper printed under this id, for quotation in prose."""
    return paper_entry(entry_id).printed


def printed_number(entry_id: str) -> float:
    """The printed value as a number."""
    return float(printed(entry_id))


@cache
def _by_id() -> dict[str, PaperEntry]:
    return {entry.id: entry for entry in paper_entries()}
