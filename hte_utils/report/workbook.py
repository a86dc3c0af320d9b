"""The report's tables as an Excel workbook, in which a reader's text stays text.

openpyxl takes a text that begins with ``=`` for a formula, and refuses control characters.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from hte_utils.ledger.notebooks import write_whole
from hte_utils.report.analysis import Report
from hte_utils.report.words import Sentences, table_one

_LONGEST = 32_000  # characters that Excel takes in a cell, nearly


def tables(report: Report) -> dict[str, pd.DataFrame]:
    """The tables by the name of their sheet; risk differences are probabilities."""
    words = Sentences(report)
    arms = pd.DataFrame(report.trial.arm_counts().values(), columns=["arm", "n", "events", "rate"])
    about = [
        *words.who_is_who(),
        words.headline(),
        words.heterogeneity(),
        *words.censoring(),
        *words.cannot_be_said(),
        *report.warnings,
    ]
    found = {
        "What is said": pd.DataFrame({"sentence": [*about, words.methods()]}),
        "Flow": pd.DataFrame(report.trial.flow, columns=["rows", "number"]),
        "Arms": arms.assign(role=["control", "treated"]),
        "Table 1": table_one(report),
        "Average, crude": report.crude.rename_axis("measure").reset_index(),
        "Average, standardised": report.standardised.rename_axis("measure").reset_index(),
        "Fifths of risk": report.quintiles.rename_axis("fifth").reset_index(),
        "Tests": report.tests.tests.rename_axis("test").reset_index(),
        "Modifiers": report.tests.single.reset_index(),
    }
    if report.shrunken is not None:
        found |= {
            "Subgroups": report.shrunken.subgroups.rename_axis("subgroup").reset_index(),
            "Single patients": report.shrunken.patients.reset_index(),
            "Sensitivity": report.shrunken.sensitivity.reset_index(),
        }
    if report.times is not None:
        found["Times"] = report.times.arms.rename_axis("role").reset_index()
    if report.predicted is not None:
        found["Net benefit"] = report.predicted.net_benefit.reset_index()
    return found


def write_workbook(report: Report, path: str | Path) -> None:
    """Write a sheet for each table; an existing file is replaced whole or not at all."""
    book = Workbook()
    book.remove(book.worksheets[0])
    for name, table in tables(report).items():
        sheet = book.create_sheet(name)
        _fill(sheet, [list(table.columns), *table.itertuples(index=False)])
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        for place in range(1, table.shape[1] + 1):
            sheet.column_dimensions[get_column_letter(place)].width = 24
    content = io.BytesIO()
    book.save(content)
    write_whole(Path(path), content.getvalue())


def _fill(sheet: Any, rows: Iterable[Sequence[Any]]) -> None:
    for number, row in enumerate(rows, start=1):
        for place, value in enumerate(row, start=1):
            cell = sheet.cell(number, place)
            if isinstance(value, str):
                cell.value = ILLEGAL_CHARACTERS_RE.sub("?", value)[:_LONGEST]
                cell.data_type = "s"  # after the value, or openpyxl would make a formula of it
            elif isinstance(value, int | np.integer):
                cell.value = int(value)
            else:
                cell.value = float(value) if np.isfinite(value) else None
