"""The notebooks that the built book offers: their text reads as on the page, and buttons lead to where it is hosted."""

import re
from types import SimpleNamespace

import nbformat
import pytest
from docutils import nodes
from test_book_build import ROOT, load

from hte_utils.ledger.notebooks import Project, read_recording, read_text_notebook

NAMES = Project.find().notebook_names()


@pytest.fixture(scope="module")
def offered():
    return load(ROOT / "book" / "_ext" / "hte_notebooks.py")


@pytest.fixture
def env():
    labels = {"tab-rates": ("book/10-calibration", "tab-rates", "Rates")}
    numbers = {"book/10-calibration": {"table": {"tab-rates": (10, 6)}}}
    titles = {"book/03-model": nodes.title("", "The model")}
    return SimpleNamespace(titles=titles, toc_fignumbers=numbers, domaindata={"std": {"labels": labels}})


@pytest.mark.parametrize("name", NAMES)
def test_no_role_is_left_in_a_text(offered, name):
    project = Project.find()
    notebook, recording = read_text_notebook(project.text_notebook(name)), read_recording(project.recording(name))
    known = list(offered.recorded_values(recording))
    used = sum(len(offered.VALUE.findall(str(cell))) for cell in notebook.cells)
    offered.put_into_words(notebook, recording, lambda role, content: content)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"\{[a-z:]+\}`", text) == []
    assert used == len(known)


def test_values_stand_where_they_were_recorded(offered):
    cells = [
        nbformat.v4.new_markdown_cell("Of {eval}`n` bled {eval}`f'{x}'`, {term}`NNH`."),
        nbformat.v4.new_code_cell("1", metadata={"mystnb": {"figure": {"caption": "{eval}`m`"}}}),
        nbformat.v4.new_markdown_cell("And {eval}`k`."),
    ]
    shown = [nbformat.v4.new_output("stream", text=text) for text in ("2000\n'5.6 %'\n", "3\n", "4\n")]
    recorded = [nbformat.v4.new_code_cell(offered.PROSE_VALUES, outputs=[output]) for output in shown]
    notebook = nbformat.v4.new_notebook(cells=cells)
    offered.put_into_words(notebook, nbformat.v4.new_notebook(cells=recorded), lambda _, content: content)
    assert [cell.source for cell in cells] == ["Of 2000 bled 5.6 %, NNH.", "1", "And 4."]


@pytest.mark.parametrize(
    ("role", "content", "words"),
    [
        ("numref", "tab-rates", "Table 10.6"),
        ("numref", "fig-unknown", "Figure fig-unknown"),
        ("doc", "03-model", "[The model](03-model.ipynb)"),
        ("doc", "chapter 3 <03-model>", "chapter 3"),
        ("cite:t", "senn1994", "[senn1994]"),
        ("term", "log odds ratio", "log odds ratio"),
    ],
)
def test_references_are_words(offered, env, role, content, words):
    assert offered.words_of(env, "book/01-data", role, content) == words


@pytest.mark.parametrize("repository", [None, "someone/hte"])
def test_buttons_to_run_a_page_appear_where_the_repository_is_known(offered, monkeypatch, repository):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    if repository:
        monkeypatch.setenv("GITHUB_REPOSITORY", repository)
    app = SimpleNamespace(env=SimpleNamespace(metadata={"book/03-model": {"kernelspec": {}}, "book/ledger": {}}))
    context = {"header_buttons": []}
    for page in ("book/ledger", "book/03-model"):
        offered.offer_machines(app, page, "", context, None)
    urls = [button["url"] for group in context["header_buttons"] for button in group["buttons"]]
    assert urls == (
        [
            "https://mybinder.org/v2/gh/someone/hte/main?urlpath=lab/tree/book/03-model.md",
            "https://colab.research.google.com/github/someone/hte/blob/main/tests/recorded/03-model.ipynb",
        ]
        if repository
        else []
    )
