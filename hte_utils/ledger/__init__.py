"""The ledger: every number and every checkable statement of the paper, what was found, and the verdict.

Notebooks call :func:`record` (numbers of the paper), :func:`check` (its statements) and :func:`guard` (numbers of our
own); each shows a table and carries the same entries as structured output, which the replay holds against the recorded
run. ``python -m hte_utils.ledger`` prints the ledger of the recorded run.
"""

from hte_utils.ledger.entries import LedgerEntry, Reproduced, Verdict, judge, z_threshold
from hte_utils.ledger.report import LEDGER_MIME, Finding, LedgerReport, check, guard, record

__all__ = [
    "LEDGER_MIME",
    "Finding",
    "LedgerEntry",
    "LedgerReport",
    "Reproduced",
    "Verdict",
    "check",
    "guard",
    "judge",
    "record",
    "z_threshold",
]
