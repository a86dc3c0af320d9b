"""More than two arms: each against the control, as if these two had been alone; Word and Excel hold the same tables."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import replace
from pathlib import Path

import docx
import numpy as np
import openpyxl
import pandas as pd
import pytest
from report_trials import own_question, own_report, own_trial_frame

from hte_utils.report import DataError, Report, analyse
from hte_utils.report.__main__ import main
from hte_utils.report.each import analyse_each, overview, said_of_all
from hte_utils.report.page import page, write_json
from hte_utils.report.question import Question, QuestionError
from hte_utils.report.tables import tables, tables_of_all, write_tables

HIGH = "<b>High</b> dose"
QUESTION = own_question(covariates=("age", "sex"), each=True)


def three_arms() -> pd.DataFrame:
    """Half of the treated in a third arm."""
    frame = own_trial_frame(450)
    return frame.assign(arm=frame["arm"].where((frame["id"] % 2 == 0) | (frame["arm"] == "Placebo"), HIGH))


@functools.cache
def reports() -> list[Report]:
    """Made once."""
    return analyse_each(three_arms(), QUESTION)


def test_each_arm_gets_the_report_of_its_own_two_arms() -> None:
    assert [report.trial.arms for report in reports()] == [("Placebo", HIGH), ("Placebo", "Active")]
    frame = three_arms()
    alone = analyse(frame[frame["arm"] != HIGH], replace(QUESTION, each=False))
    for key in ("average", "quintiles", "heterogeneity", "subgroups"):
        assert reports()[1].numbers()[key] == alone.numbers()[key]


def test_the_overview_corrects_for_the_number_of_comparisons() -> None:
    found = overview(reports())
    assert list(found["arm"]) == [HIGH, "Active"]
    p = sorted(float(report.tests.tests["p"].iloc[0]) for report in reports())
    holm = sorted([min(1.0, 2 * p[0]), max(p[1], min(1.0, 2 * p[0]))])
    shown = sorted(float(value) for value in found["p, all comparisons"])
    np.testing.assert_allclose(shown, holm, atol=0.006)
    assert "up to 10 % of such trials" in said_of_all(reports())[1]
    assert all(any("one of 2 comparisons" in each for each in report.warnings) for report in reports())


def test_the_page_has_a_part_for_each_and_the_json_a_list(tmp_path) -> None:
    shown = page(*reports())
    assert shown.count("<h1") == 3
    for part in re.findall(r'href="#(part-\d)"', shown):
        assert f'id="{part}"' in shown
    assert "&lt;b&gt;High&lt;/b&gt; dose against Placebo" in shown
    assert "<b>High" not in shown
    write_json(reports(), tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["comparisons"]
    assert [each["arms"]["treated"] for each in found] == [HIGH, "Active"]


def test_a_document_and_a_workbook_hold_the_same_tables(tmp_path) -> None:
    expected = tables_of_all(reports())
    assert set(expected) == {"Comparisons"} | {f"{number} {name}" for number in (1, 2) for name in tables(reports()[0])}
    for name in ("report.docx", "report.xlsx"):
        write_tables(reports(), tmp_path / name)
    document, book = docx.Document(str(tmp_path / "report.docx")), openpyxl.load_workbook(tmp_path / "report.xlsx")
    headings = [each.text for each in document.paragraphs if each.style and each.style.name == "Heading 2"]
    assert headings == book.sheetnames == list(expected)
    shown = [each for name, each in expected.items() if not name.endswith("What is said")]
    assert [(len(each.rows) - 1, len(each.columns)) for each in document.tables] == [each.shape for each in shown]
    place = [name for name in expected if not name.endswith("What is said")].index("1 Fifths of risk")
    [*_, last] = document.tables[place].rows
    fifth = reports()[0].quintiles.iloc[-1]
    assert [cell.text for cell in last.cells][:3] == ["Q5", str(int(fifth["n"])), str(int(fifth["events"]))]
    assert f"{fifth['estimate']:.4g}".replace("-", "−") in [cell.text for cell in last.cells]
    assert HIGH in [cell.text for cell in document.tables[0].columns[0].cells]


def test_text_stays_text_in_a_document(tmp_path) -> None:
    trial = replace(own_report().trial, arms=("=1+1", "a\x07b<w:p>\uffff"))
    write_tables([own_report()._replace(trial=trial)], tmp_path / "report.docx")
    cells = [
        cell.text for each in docx.Document(str(tmp_path / "report.docx")).tables for cell in each.columns[0].cells
    ]
    assert {"=1+1", "a?b<w:p>?"} <= set(cells)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--each", "--tables", "report.pdf"], ["'report.pdf'", ".docx"]),
        (["--each", "--treated", "Active"], ["'Active'", "leave one out"]),
        (["--each", "--control", "none"], ["'none'", "--control"]),
        ([], ["3 arms", "--each"]),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, capfd, more: list[str], words: list[str]) -> None:
    three_arms().to_csv(tmp_path / "trial.csv", index=False)
    asked = ["--outcome", "event", "--event", "yes", "--treatment", "arm", "--covariates", "age"]
    control = [] if "--control" in more else ["--control", "Placebo"]
    status = main([str(tmp_path / "trial.csv"), *asked, *control, "-o", str(tmp_path / "report.html"), *more])
    said = capfd.readouterr().err
    assert status == 2
    assert [word for word in words if word not in said] == []
    assert not (tmp_path / "report.html").exists()


def test_an_arm_that_allows_no_report_is_named() -> None:
    frame = three_arms()
    frame = frame[(frame["arm"] != HIGH) | (frame["event"] == "no")]
    frame = frame[(frame["arm"] != "Placebo") | (frame["event"] == "no")]
    with pytest.raises(DataError, match=r"'<b>High</b> dose' against 'Placebo': no patient has the outcome 'yes'"):
        analyse_each(frame, QUESTION)


def test_a_plan_may_ask_for_each(tmp_path) -> None:
    file = tmp_path / "plan.toml"
    text = 'outcome = "event"\ntreatment = "arm"\ncontrol = "Placebo"\ncovariates = ["age"]\neach = true\n'
    file.write_text(text)
    assert Question.from_plan(file).each
    file.write_text(text.replace("true", "1"))
    with pytest.raises(QuestionError, match="'each' in the plan must be true or false"):
        Question.from_plan(file)
