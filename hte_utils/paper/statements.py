"""The paper's checkable statements, as data: the words, where they stand, and what is checked.

``statements.csv`` quotes each sentence or formula (formulas in plain characters, an omission as "..."). Nothing is
judged there: the verdicts are computed by the book's chapters and kept in the ledger beside those on the numbers.

Source: Tzimas G (2024), *Estimating Heterogeneous Treatment Effects Using Hierarchical Bayesian Models: A
Simulation-Based Study*.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

STATEMENT_KIND = "statement"
"""Stands in the ledger's column ``kind``, where a number has how it is compared."""


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
def statements() -> tuple[Statement, ...]:
    """All checkable statements, in the order of the paper."""
    text = (files(__package__) / "statements.csv").read_text(encoding="utf-8")
    return tuple(Statement(**row) for row in csv.DictReader(text.splitlines()))


def statement(statement_id: str) -> Statement:
    """The statement with this id."""
    try:
        return _by_id()[statement_id]
    except KeyError:
        raise KeyError(
            f"no statement has the id {statement_id!r}; ids look like {statements()[0].id!r} "
            "(see hte_utils/paper/statements.csv)"
        ) from None


@cache
def _by_id() -> dict[str, Statement]:
    return {one.id: one for one in statements()}
