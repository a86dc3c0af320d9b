"""The book's Sphinx extension, and the checks of the built pages: each fault they are there for is noticed."""

import importlib.util
import json
from importlib.resources import files
from types import SimpleNamespace

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils import new_document

from hte_utils.ledger.notebooks import Project

ROOT = Project.find().root


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def extension():
    return load(ROOT / "book" / "_ext" / "hte_book.py")


@pytest.fixture
def checks():
    return load(ROOT / ".ci" / "check_pages.py")


def test_words_in_a_cell_stand_at_the_left_and_numbers_do_not(extension):
    row = "<tr><th>a</th><td>two of them</td><td>-1.5 (0.2)</td><td>–</td><td class='x'>Yes</td></tr>"
    head = "<thead><tr><th>who</th><th>words</th><th>number</th><th>none</th><th>x</th></tr></thead>"
    page = BeautifulSoup(extension.set_cells(f"<table>{head}<tbody>{row}</tbody></table>"), "html.parser")
    assert [cell.text for cell in page.select("td[data-words]")] == ["two of them", "Yes"]
    assert [cell.text for cell in page.select("th[data-words]")] == ["who", "words", "x"]


def test_headings_are_words_and_name_their_index_in_one_row(extension):
    index = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["risk_group", None])
    table = pd.DataFrame({"lor_rmse": [0.1, 0.2], "b_trt_age": [1, 2]}, index=index)
    for html in (table.to_html(), table.style.to_html()):
        page = BeautifulSoup(extension.set_cells(html), "html.parser")
        headings = [cell.text.strip() for cell in page.select("thead tr > *")]
        assert headings == ["risk group", "", "log odds ratio RMSE", "b_trt_age"]
        assert all(cell.text.strip() and cell["scope"] for cell in page.find_all("th"))


def test_a_change_in_the_package_makes_every_page_stale(extension, tmp_path, monkeypatch):
    monkeypatch.setattr(extension, "ROOT", tmp_path)
    module = tmp_path / "hte_utils" / "trial.py"
    module.parent.mkdir()
    module.write_text("age = 0.02")
    env = SimpleNamespace(found_docs={"book/01", "book/index"})
    assert extension.outdated_by_sources(None, env, set(), set(), set()) == ["book/01", "book/index"]
    assert extension.outdated_by_sources(None, env, set(), set(), set()) == []
    module.write_text("age = 0.03")
    assert extension.outdated_by_sources(None, env, set(), set(), set()) == ["book/01", "book/index"]


def test_long_pages_are_not_begun_last_and_a_core_gets_a_page_at_a_time(extension, tmp_path):
    for name, size in {"long": 900, "short": 10, "middle": 90}.items():
        (tmp_path / name).write_text("x" * size)
    pages = ["long", "short", "middle"]
    extension.longest_first(None, SimpleNamespace(doc2path=tmp_path.joinpath), pages)
    assert pages == ["short", "middle", "long"]  # Sphinx takes them from the end
    assert extension.one_page_a_task(pages, 2) == [["short"], ["middle"], ["long"]]


@pytest.mark.parametrize(("name", "is_table"), [("tab-baseline", True), ("fig-balance", False)])
def test_outputs_named_tab_count_as_tables(extension, name, is_table):
    document = new_document("page")
    figure = nodes.figure("", nodes.caption("", "A caption"), names=[name], ids=[name])
    document += figure
    document.ids[name] = figure
    extension.NumberTablesAsTables(document).apply()
    assert isinstance(document[0], extension.table_figure) is is_table
    assert document.ids[name] is document[0]
    assert extension.caption_of(document[0]) == "A caption"


def test_numbers_are_set_where_a_reader_reads_them_as_prose(extension):
    document = new_document("page")
    document += nodes.paragraph("", "", nodes.Text("-0.1 or 40%, not "), nodes.literal("", "-0.1"))
    document += nodes.literal_block("", "x = -0.1")
    document += nodes.image(uri="a.png", alt="from -1 to 1")
    document += nodes.raw("", "<table class='n-1'><tr><td>-0.1</td><th>40%</th></tr></table>", format="html")
    document += nodes.raw("", "<details class='ledger'><table><tr><td>-0.1</td></tr></table></details>", format="html")
    extension.SetNumbers(document).run()
    paragraph, code, image, table, ledger = document.children
    assert paragraph.astext() == "−0.1 or 40\u00a0%, not -0.1"
    assert code.astext() == "x = -0.1"
    assert image["alt"] == "from −1 to 1"
    assert table.astext() == '<table class="n-1"><tr><td>−0.1</td><th scope="row">40\u00a0%</th></tr></table>'
    assert "<td>-0.1</td>" in ledger.astext()


PROSE = [
    ("There are 11 covariates.", "no computation holds 11"),
    ("The effect is −0.36.", "no computation holds −0.36"),
    ("In chapter 3, 95\u00a0% of the 2000 patients.", None),
    ('It is <span class="output text_plain">0.36</span>, <code>0.361234567</code>.', None),
    ('It is in <a class="reference">Table 17</a>.', None),
    ('It is <span class="output text_plain">np.int64(10)</span>.', "raw representation"),
    ('It is <span class="output text_plain">-0.36</span>.', "numbers in another style"),
    ('It is <span class="output text_plain">40%</span>.', "numbers in another style"),
    ('<span class="output text_plain">19470</span> runs', "numbers in another style"),
    ('<span class="output text_plain">4,800</span> runs', "numbers in another style"),
]
CELLS = [
    ("−0.12", None),
    ("0.123457", None),
    ("22.74683630029792", "too many digits"),
    ("5.751284", "too many digits"),
    ("'62%'", "raw representation"),
    ("np.float64(0.1)", "raw representation"),
    ("linear in the covariates; shrin...", "cut text"),
    ("−0.0", "negative zero"),
    ("-0.00", "negative zero"),
    ("−0.05", None),
    ("0.50\u00a0%", None),
    ("1016 of 19\u00a0470", None),
]
GOOD = """<html><body><article><h1 id="top">T</h1>
<figure><img src="a.png" alt="a curve">
<figcaption><span class="caption-number">Fig. 1 </span>A curve.</figcaption></figure>
<figure><div class="cell_output"><table><tr><td>1</td></tr></table></div>
<figcaption><span class="caption-number">Table 1 </span>One.</figcaption></figure>
<details class="ledger"><table><tr id="table1.n"><td>1016</td></tr></table></details>
<a href="#top">up</a> <a href="page.html?where=Table%201#table1.n">row</a></article></body></html>"""


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (lambda page: page, None),
        (lambda page: page.replace(' alt="a curve"', ""), "has no alternative text"),
        (lambda page: page.replace('class="caption-number">Fig', ">Fig"), "caption without a number"),
        (lambda page: page.replace('class="caption-number">Tab', ">Tab"), "caption without a number"),
        (
            lambda page: page.replace("</article>", '<img src="b.png" alt="b"></article>'),
            "picture without a caption: b",
        ),
        (lambda page: page.replace(' class="ledger"', ""), "table without a caption: 1016"),
        (lambda page: page.replace("#top", "#gone"), "leads nowhere"),
        (lambda page: page.replace("#top", "missing.html"), "leads nowhere"),
        (lambda page: page.replace("#table1.n", "#table1.m"), "leads nowhere"),
        *((lambda page, p=prose: page.replace("<h1 id", f"<p>{p}</p><h1 id"), complaint) for prose, complaint in PROSE),
        *((lambda page, c=cell: page.replace("<td>1</td>", f"<td>{c}</td>"), complaint) for cell, complaint in CELLS),
        (lambda page: page.replace("a curve", "a curve up to 17.3"), "no computation holds 17.3"),
        (lambda page: page + '<script src="https://example.org/x.js"></script>', "from a network"),
        (lambda page: page + '<link rel="stylesheet" href="//example.org/x.css">', "from a network"),
    ],
)
def test_a_faulty_page_is_noticed(checks, harm, complaint, tmp_path):
    (tmp_path / "page.html").write_text(harm(GOOD))
    faults = checks.faults_of("page", tmp_path)
    assert (faults == []) if complaint is None else (complaint in faults[0])


def test_a_missing_page_is_noticed(checks, tmp_path):
    assert checks.faults_of("page", tmp_path) == ["page: the page is missing"]


def test_the_table_of_contents_lists_every_notebook(checks):
    assert {f"book/{name}" for name in Project.find().notebook_names()} <= set(checks.pages_of_contents())


def test_the_library_for_sorting_is_wrapped_whole():
    wrapped = load(ROOT / "book" / "_ext" / "hte_ledger.py").wrapped_datatables()
    literal = wrapped.partition("new Blob([")[2].partition("], { type")[0]
    source = (files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8")
    assert json.loads(literal.replace("<\\/", "</")) == source
    assert " as default" in source  # what the wrapper hands on
    assert "</" not in literal
