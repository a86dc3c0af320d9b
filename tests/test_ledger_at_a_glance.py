"""The paper at a glance: every printed number once, with its mark and the address of its proof."""

import pytest
from bs4 import BeautifulSoup

from hte_utils.ledger.at_a_glance import MARKS, key, sections_at_a_glance, table_at_a_glance
from hte_utils.ledger.entries import Verdict
from hte_utils.ledger.notebooks import Project, paper_ledger, statement_ledger
from hte_utils.paper import TABLES_WITH_NUMBERS, paper_entries

PROJECT = Project.find()


def links(piece):
    return BeautifulSoup(piece._repr_html_(), "html.parser").select("a.glance-cell")


@pytest.mark.parametrize("number", TABLES_WITH_NUMBERS)
def test_every_printed_number_is_there_as_it_was_printed(number):
    printed = [entry.printed for entry in paper_entries() if entry.item == f"Table {number}"]
    shown = [link.find(string=True, recursive=False) for link in links(table_at_a_glance(PROJECT, f"Table {number}"))]
    assert sorted(shown) == sorted(printed)


def test_a_cell_has_the_mark_of_its_verdict_and_says_it_in_words():
    (entry,) = [each for each in paper_ledger(PROJECT) if each.id == "table7.rmse"]
    (link,) = [each for each in links(table_at_a_glance(PROJECT, "Table 7")) if each["href"].endswith("#table7.rmse")]
    assert link["href"].startswith("05-cate-evaluation.html")
    assert link.select_one(".mark").text == MARKS[Verdict(entry.verdict)]
    assert entry.verdict in link.select_one(".glance-tip").text


def test_every_statement_has_a_mark():
    assert len(links(sections_at_a_glance(PROJECT))) == len(statement_ledger(PROJECT))


def test_marks_tell_verdicts_apart_without_colour():
    of_numbers = [MARKS[verdict] for verdict in list(MARKS)[:6]]
    assert len(set(of_numbers)) == len(of_numbers)
    assert "contradicted" in key()._repr_html_()


def test_a_table_without_numbers_is_refused():
    with pytest.raises(KeyError, match="Table 2"):
        table_at_a_glance(PROJECT, "Table 2")
