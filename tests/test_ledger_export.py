"""The downloads hold every entry, with the address of a row that the book really has."""

import csv
import io
import json

import pytest

from hte_utils.ledger import Reproduced, judge
from hte_utils.ledger.notebooks import Project, located_entries
from hte_utils.ledger.page import COLUMNS, as_csv, ledger_records, write_downloads

PROJECT = Project.find()


@pytest.fixture(scope="module")
def records():
    return ledger_records(PROJECT)


def test_every_entry_is_there_once(records):
    assert [record["id"] for record in records] == [entry.id for _, entry in located_entries(PROJECT)]
    assert len({record["id"] for record in records}) == len(records)


def test_csv_has_a_row_an_entry_whatever_stands_in_it(records):
    awkward = judge("table7.rmse", Reproduced(0.529)).to_json() | {"note": 'a "quoted", broken\nline', "proof": "x#y"}
    rows = list(csv.DictReader(io.StringIO(as_csv([*records, awkward]))))
    assert tuple(rows[0]) == COLUMNS
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
