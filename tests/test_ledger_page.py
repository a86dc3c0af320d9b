"""The ledger as a table and as files: every entry once, each with a link to the row that proves it."""

import csv
import io
import json

import pytest
from bs4 import BeautifulSoup

from hte_utils.ledger import Reproduced, judge
from hte_utils.ledger.entries import LedgerEntry
from hte_utils.ledger.notebooks import Project, located_entries
from hte_utils.ledger.page import (
    HEADINGS,
    LedgerTable,
    as_csv,
    ledger_records,
    ledger_table,
    verdicts_in_words,
    write_downloads,
)
from hte_utils.ledger.report import LedgerReport

PROJECT = Project.find()


def rows_of(table):
    return BeautifulSoup(table._repr_html_(), "html.parser").tbody.find_all("tr")


def test_there_is_a_row_for_every_entry_and_the_papers_come_first():
    table = ledger_table(PROJECT)
    assert len(rows_of(table)) == len(located_entries(PROJECT))
    of_the_paper = [entry.printed is not None for _, entry in table.entries]
    assert of_the_paper == sorted(of_the_paper, reverse=True)


def entry(**changes):
    given = {
        "id": "table7.rmse",
        "item": "Table 7",
        "source": "Table 7, row 'RMSE', column 'Value'",
        "printed": "0.529",
        "reproduced": 0.5287,
        "mcse": 0.001,
        "printed_mcse": 0.0,
        "tolerance": 0.01,
        "kind": "monte-carlo",
        "verdict": "reproduced",
    }
    return LedgerEntry(**(given | changes))


def test_a_row_says_place_entry_both_values_verdict_and_proof():
    (row,) = rows_of(LedgerTable((("05-cate-evaluation", entry(note="why")),)))
    assert row["id"] == "table7.rmse"
    cells = [cell.get_text() for cell in row.find_all("td")]
    expected = ["Table 7", "table7.rmse", "0.529", "0.5287 ± 0.001 (why)", "reproduced", "05-cate-evaluation"]
    assert cells == expected
    assert len(cells) == len(HEADINGS)
    assert row.a["href"] == "05-cate-evaluation.html#table7.rmse"


def test_a_number_of_our_own_stands_under_this_book():
    (row,) = rows_of(LedgerTable((("07-audit", entry(printed=None, item="Ablation")),)))
    assert [cell.get_text() for cell in row.find_all("td")][:3] == ["This book: Ablation", "table7.rmse", "–"]


def test_quotations_cannot_break_the_page():
    (row,) = rows_of(LedgerTable((("07-audit", entry(printed="<script>'a' & b</script>")),)))
    assert row.find("script") is None
    assert "<script>'a' & b</script>" in row.get_text()


def test_the_chapters_rows_lead_back_to_the_ledger():
    report = BeautifulSoup(LedgerReport("Table 7", (entry(),)).to_html(), "html.parser")
    row = report.find("tr", id="table7.rmse")
    assert row.a["href"] == "ledger.html#table7.rmse"
    assert report.find_all("a")[-1]["href"] == "ledger.html?where=Table%207"


@pytest.fixture(scope="module")
def records():
    return ledger_records(PROJECT)


def test_every_entry_is_there_once(records):
    assert [record["id"] for record in records] == [entry.id for _, entry in located_entries(PROJECT)]
    assert len({record["id"] for record in records}) == len(records)


def test_csv_has_a_row_an_entry_whatever_stands_in_it(records):
    awkward = judge("table7.rmse", Reproduced(0.529)).to_json() | {"note": 'a "quoted", broken\nline', "proof": "x#y"}
    rows = list(csv.DictReader(io.StringIO(as_csv([*records, awkward]))))
    assert tuple(rows[0]) == tuple(records[0])
    assert len(rows) == len(records) + 1
    assert rows[-1]["note"] == awkward["note"]
    assert rows[0]["printed"] == (records[0]["printed"] or "")


def test_the_proof_is_a_row_of_the_chapter_that_computed_it(records):
    first = records[0]
    page, _, anchor = first["proof"].partition(".html#")
    assert page in PROJECT.notebook_names()
    assert anchor == first["id"]


def test_the_files_are_whole_and_nothing_else_is_left(tmp_path):
    write_downloads(PROJECT, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.csv", "ledger.json"]
    assert json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8")) == ledger_records(PROJECT)


def test_verdicts_are_counted_the_commonest_first():
    entries = [entry(), entry(verdict="contradicted"), entry()]
    assert verdicts_in_words(entries) == "reproduced (2), contradicted (1)"
