"""A check of stored results that a page shows whatever it finds: what came out again, or what did not, in a red box.

A reader always gets the page. What turns red is the replay, since the number of failures is a ledger entry that was
recorded as 0, and `.ci/check_pages.py`, which looks for the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any, Final

import pandas as pd

from hte_utils.ledger.entries import LedgerEntry, Reproduced, own_number
from hte_utils.ledger.report import LEDGER_MIME

_MOST_SHOWN: Final = 10
_PREFIX: Final = "proof."


def is_proof(entry: LedgerEntry) -> bool:
    """Whether an entry counts the failures of a `Proof`."""
    return entry.id.startswith(_PREFIX)


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """What running stored results again showed."""

    name: str  # the ledger entry is ``proof.<name>``
    done: str  # what was run again and how it was compared, in a sentence or two
    failures: pd.DataFrame  # one row for each value that did not come out again; empty if all did

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
        anchor = f"id='{_PREFIX}{escape(self.name)}'"  # the ledger's page leads here
        if self.passed:
            return f"<div class='proof' {anchor}><p><strong>Reproduced.</strong> {escape(self.done)}</p></div>"
        table = self._shown().to_html(index=False, border=0)
        return (
            f"<div class='proof proof-failed' {anchor} role='alert'><p><strong>Not reproduced: {len(self.failures)} "
            f"values.</strong> {escape(self.done)} The numbers on this page may be wrong.</p>{table}</div>"
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:  # noqa: ARG002
        entry = own_number(f"{_PREFIX}{self.name}", "Stored results that failed", Reproduced(len(self.failures)))
        return {LEDGER_MIME: {"entries": [entry.to_json()]}, "text/html": self.to_html(), "text/plain": self.to_text()}

    def _shown(self) -> pd.DataFrame:
        return self.failures.head(_MOST_SHOWN)
