"""The whole ledger as files for other programs: JSON and CSV, one record an entry."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from hte_utils.ledger.entries import LedgerEntry
from hte_utils.ledger.recorded import located_entries

if TYPE_CHECKING:
    from pathlib import Path

    from hte_utils.ledger.recorded import Located, Project

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
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def write_downloads(project: Project, folder: Path) -> None:
    """Put ``ledger.json`` and ``ledger.csv`` into a folder, each moved into place once it is whole."""
    records = ledger_records(project)
    for name, text in (("ledger.json", as_json(records)), ("ledger.csv", as_csv(records))):
        temporary = folder / f".{name}.{os.getpid()}"
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(folder / name)
