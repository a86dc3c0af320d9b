"""The report's tables as an Excel workbook or a Word document, in which a reader's text stays text.

openpyxl takes a text that begins with ``=`` for a formula, and both formats refuse what XML has no place for.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hte_utils.ledger.notebooks import write_whole
from hte_utils.report.analysis import Report
from hte_utils.report.each import overview
from hte_utils.report.question import QuestionError
from hte_utils.report.words import Sentences, table_one

FORMATS = (".xlsx", ".docx")
_LONGEST = 32_000  # characters that Excel takes in a cell, nearly
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def tables(report: Report) -> dict[str, pd.DataFrame]:
    """The tables by their names; risk differences are probabilities."""
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
        "Null rates of intervals": report.intervals.rename_axis(["kind", "interval"]).reset_index(),
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


def tables_of_all(reports: Sequence[Report]) -> dict[str, pd.DataFrame]:
    """The tables of one report; of several an overview, then those of each, which are numbered."""
    if len(reports) == 1:
        return tables(reports[0])
    numbered = (
        {f"{number} {name}": table for name, table in tables(report).items()}
        for number, report in enumerate(reports, start=1)
    )
    found = {"Comparisons": overview(reports)}
    for each in numbered:
        found |= each
    return found


def require_format(path: Path) -> None:
    """Refuse a file that is neither a workbook nor a document."""
    if path.suffix.lower() not in FORMATS:
        raise QuestionError(
            f"the tables can be written as Excel or Word, not as {path.name!r}: end the name in {' or '.join(FORMATS)}"
        )


def write_tables(reports: Sequence[Report], path: str | Path) -> None:
    """Write every table to a sheet of a workbook or under a heading of a document, by the file's ending.

    An existing file is replaced whole or not at all.
    """
    path = Path(path)
    require_format(path)
    made = _workbook if path.suffix.lower() == ".xlsx" else _document
    write_whole(path, made(tables_of_all(reports)))


def _plain(value: Any) -> str | int | float | None:
    """What a cell may hold; None for a number that is not known."""
    if isinstance(value, str):
        return _NOT_XML.sub("?", value)[:_LONGEST]
    if isinstance(value, int | np.integer):
        return int(value)
    return float(value) if np.isfinite(value) else None


def _workbook(found: dict[str, pd.DataFrame]) -> bytes:
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    book = Workbook()
    book.remove(book.worksheets[0])
    for name, table in found.items():
        sheet = book.create_sheet(name)
        for number, row in enumerate([list(table.columns), *table.itertuples(index=False)], start=1):
            for place, value in enumerate(row, start=1):
                cell = sheet.cell(number, place)
                cell.value = _plain(value)
                if isinstance(value, str):
                    cell.data_type = "s"  # after the value, or openpyxl would make a formula of it
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        for place in range(1, table.shape[1] + 1):
            sheet.column_dimensions[get_column_letter(place)].width = 24
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _document(found: dict[str, pd.DataFrame]) -> bytes:
    from docx import Document
    from docx.enum.section import WD_ORIENT
    from docx.shared import Pt

    document = Document()
    page = document.sections[0]  # landscape: the tables are wide
    page.orientation, page.page_width, page.page_height = WD_ORIENT.LANDSCAPE, page.page_height, page.page_width
    document.styles["Normal"].font.size = Pt(8)
    for name, table in found.items():
        document.add_heading(name, level=2)
        if list(table.columns) == ["sentence"]:
            for sentence in table["sentence"]:
                document.add_paragraph(str(_plain(sentence)), style="List Bullet")
            continue
        shown = document.add_table(rows=1, cols=table.shape[1], style="Table Grid")
        for cell, title in zip(shown.rows[0].cells, table.columns, strict=True):
            cell.paragraphs[0].add_run(str(_plain(str(title)))).bold = True
        for row in table.itertuples(index=False):
            for cell, value in zip(shown.add_row().cells, row, strict=True):
                cell.text = _shown(_plain(value))
    content = io.BytesIO()
    document.save(content)
    return content.getvalue()


def _shown(value: str | float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}".replace("-", "−") if isinstance(value, float) else str(value)
