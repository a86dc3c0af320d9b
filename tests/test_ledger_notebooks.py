"""The recorded runs belong to the text notebooks, and nothing in them escapes the replay."""

import copy
import io
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from hte_utils.ledger import LEDGER_MIME, Reproduced, judge
from hte_utils.ledger.__main__ import main
from hte_utils.ledger.entries import is_statement
from hte_utils.ledger.notebooks import (
    Project,
    code_cells,
    located_entries,
    paper_ledger,
    read_recording,
    read_text_notebook,
    recorded_entries,
    statement_ledger,
    violations,
)
from hte_utils.ledger.report import speak_everywhere
from hte_utils.paper import statements

PROJECT = Project.find()
PYTEST = Path(sys.executable).with_name("pytest")


def read(name):
    return read_text_notebook(PROJECT.text_notebook(name)), nbformat.read(PROJECT.recording(name), as_version=4)


def test_every_text_notebook_has_a_recording_and_no_recording_is_left_over():
    assert sorted(path.stem for path in PROJECT.recording("").parent.glob("*.ipynb")) == PROJECT.notebook_names()


@pytest.mark.parametrize("name", PROJECT.notebook_names())
def test_the_recording_is_sound(name):
    assert violations(*read(name)) == []


def checked_cell(recording):
    return next(cell for cell in code_cells(recording) if "nbval-check-output" in cell.metadata.get("tags", []))


def edit_source(cell):
    cell.source += "\n1 + 1"


def forget_run(cell):
    cell.execution_count = None


def glue_a_value(cell):
    cell.source += '\nglue("n", 1)'


def drop_outputs(cell):
    cell.outputs = []


def misspell_marker(cell):
    cell.source = "# NBVAL_CHECK_OUTPUT: x\n" + cell.source


def misspell_tag(cell):
    cell.metadata["tags"] = ["nbval-check-outputs"]


@pytest.mark.parametrize(
    ("harm", "complaint"),
    [
        (edit_source, "not of this text notebook"),
        (forget_run, "no execution count"),
        (glue_a_value, "by {eval}"),
        (drop_outputs, "no recorded output"),
        (misspell_marker, "in a comment"),
        (misspell_tag, "none that nbval knows"),
    ],
)
def test_the_guard_notices_every_known_trap(harm, complaint):
    text, recording = read(PROJECT.notebook_names()[0])
    harmed = copy.deepcopy(recording)
    harm(checked_cell(harmed))
    assert any(complaint in fault for fault in violations(text, harmed))


def test_a_text_notebook_edited_after_its_recording_is_noticed():
    text, recording = read(PROJECT.notebook_names()[0])
    text.cells[-1].source += " One more sentence."
    assert violations(text, recording)


def test_a_printed_number_is_recorded_once():
    ids = [entry.id for entry in recorded_entries(PROJECT)]
    assert len(ids) == len(set(ids))


def test_every_statement_has_one_entry_with_a_verdict():
    recorded = [entry.id for entry in recorded_entries(PROJECT) if is_statement(entry)]
    assert sorted(recorded) == sorted(one.id for one in statements())
    assert [entry.id for entry in statement_ledger(PROJECT) if entry.fails] == []


def test_entries_know_their_notebook():
    located = located_entries(PROJECT)
    assert [entry for _, entry in located] == recorded_entries(PROJECT)
    assert {page for page, entry in located if entry.item == "Table 8"} == {"06-risk-stratification"}
    assert {page for page, _ in located} <= set(PROJECT.notebook_names())


@pytest.fixture
def copied_project(tmp_path):
    (tmp_path / "_toc.yml").touch()
    for folder, pattern in (("book", "*.md"), ("tests/recorded", "*.ipynb")):
        (tmp_path / folder).mkdir(parents=True)
        for path in (PROJECT.root / folder).glob(pattern):
            shutil.copy(path, tmp_path / folder)
    return Project(tmp_path)


@pytest.mark.parametrize(
    ("page", "read", "message"),
    [
        ("02-baseline-table", paper_ledger, r"table1\.n\.control is recorded twice"),
        ("07-statements", statement_ledger, r"statement\.[a-z0-9-]+ is recorded twice; a statement has one cell"),
    ],
)
def test_two_cells_that_prove_one_item_are_refused(copied_project, page, read, message):
    shutil.copy(PROJECT.text_notebook(page), copied_project.text_notebook("00-twin"))
    shutil.copy(PROJECT.recording(page), copied_project.recording("00-twin"))
    with pytest.raises(ValueError, match=message):
        read(copied_project)


def test_the_command_line_fails_when_a_recorded_value_is_out_of_tolerance(copied_project, monkeypatch, capsys):
    monkeypatch.setattr(Project, "find", lambda: copied_project)
    assert main([]) == 0
    path = copied_project.recording("02-baseline-table")
    notebook = nbformat.read(path, as_version=4)
    report = next(
        output.data[LEDGER_MIME]
        for cell in code_cells(notebook)
        for output in cell.outputs
        if LEDGER_MIME in output.get("data", {})
    )
    changed = judge(report["entries"][0]["id"], Reproduced(1017.0))
    report["entries"][0] = changed.to_json()
    path.write_text(nbformat.writes(notebook))
    assert main([]) == 1
    assert "contradicted" in capsys.readouterr().out


@pytest.mark.parametrize(("page", "lost"), [("02-baseline-table", 90), ("07-statements", len(statements()))])
def test_the_command_line_fails_when_a_value_is_lost(copied_project, monkeypatch, capsys, page, lost):
    monkeypatch.setattr(Project, "find", lambda: copied_project)
    copied_project.recording(page).unlink()
    assert main([]) == 1
    assert f"{lost} no value" in capsys.readouterr().out


def test_the_command_line_prints_the_statements_too(capsys):
    assert main(["--item", "Section 2.1"]) == 0
    printed = capsys.readouterr().out
    assert "statement.equal-probability  [holds]" in printed
    assert "table1" not in printed


def test_the_command_line_prints_the_ledger(capsys):
    assert main(["--item", "Table 1"]) == 0
    printed = capsys.readouterr().out
    assert "table1.age.mean.control" in printed
    assert "90 reproduced" in printed


def test_the_command_line_refuses_an_unknown_item(capsys):
    with pytest.raises(SystemExit):
        main(["--item", "Table 2"])
    assert "no entries under 'Table 2'" in capsys.readouterr().err


PAGE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

```{code-cell} ipython3
from hte_utils import ledger
from hte_utils.paper import entries_of
from IPython.display import display
display("WORD")
found = {e.id: float(e.printed) if e.is_number else e.printed for e in entries_of("Table 7")}
report = ledger.record("Table 7", found | {"table7.rmse": ledger.Reproduced(VALUE)})
report
```

The paper prints {eval}`f"{len(found)}"` numbers there, and {eval}`EXPRESSION` is one of them.
"""


@pytest.fixture
def small_project(tmp_path, monkeypatch):
    """One page, recorded, in a checkout of its own."""
    (tmp_path / "_toc.yml").touch()
    project = Project(tmp_path)
    project.text_notebooks.mkdir()
    monkeypatch.setattr(Project, "find", lambda: project)
    write_page(project)
    assert main(["--record"]) == 0
    return project


def write_page(project, *, value="0.529", word="largest", expression="found['table7.rmse']"):
    page = PAGE.replace("VALUE", value).replace("WORD", word).replace("EXPRESSION", expression)
    project.text_notebook("page").write_text(page)


def test_a_contradicted_value_is_not_recorded_unless_accepted(small_project, capsys):
    before = small_project.recording("page").read_bytes()
    write_page(small_project, value="0.73")
    assert main(["--record"]) == 1
    assert "NOT recorded; mend these entries, or say --accept table7.rmse" in capsys.readouterr().out
    assert small_project.recording("page").read_bytes() == before
    assert main(["--record", "--accept", "table7.rmse"]) == 0
    assert small_project.recording("page").read_bytes() != before


def test_recording_prints_what_a_reader_will_see_otherwise(small_project, capsys):
    write_page(small_project, word="smallest")
    assert main(["--record"]) == 0
    printed = capsys.readouterr().out
    assert "0 ledger entries changed\n" in printed
    assert "2 displayed lines changed\n  -'largest'\n  +'smallest'\n" in printed


def test_what_the_text_shows_is_recorded_and_compared(small_project, capsys):
    recording = read_recording(small_project.recording("page"))
    assert code_cells(recording)[-1].outputs[0].text == "'4'\n0.529\n"
    write_page(small_project, expression="f\"{found['table7.rmse']:.1f}\"")
    assert main(["--record"]) == 0
    assert "2 displayed lines changed\n  -0.529\n  +'0.5'\n" in capsys.readouterr().out


def test_a_name_that_the_text_uses_and_the_page_lacks_is_an_error(small_project):
    write_page(small_project, expression="no_such_name")
    with pytest.raises(CellExecutionError, match="no_such_name"):
        main(["--record"])


@pytest.mark.parametrize(
    ("tag", "expression", "complaint"),
    [
        ("hide-input", "f'{report.title}'", None),
        ("hide-input", "found['table7.rmse']", "the text shows 0.529: format it"),
        ("hide-input", "f'1\\xa0'", r"the text shows '1\xa0': format it"),
        ("remove-cell", "f'{report.title}'", "tag it remove-input"),
    ],
)
def test_what_the_book_would_show_otherwise_than_the_replay_is_noticed(small_project, tag, expression, complaint):
    write_page(small_project, expression=expression)
    path = small_project.text_notebook("page")
    path.write_text(path.read_text().replace("ipython3\n", f"ipython3\n:tags: [{tag}, nbval-check-output]\n"))
    assert main(["--record"]) == 0
    faults = violations(read_text_notebook(path), read_recording(small_project.recording("page")))
    assert (faults == []) if complaint is None else (complaint in faults[0])


def test_files_and_pipes_take_every_character_whatever_the_system_s_encoding():
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding="cp1252")
    speak_everywhere(stream)
    print("σ ∼ −0.1", file=stream, flush=True)
    assert written.getvalue().decode("utf-8").strip() == "σ ∼ −0.1"


def run_pytest(*arguments, cwd):
    return subprocess.run([PYTEST, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


def test_a_distribution_that_splits_notebooks_is_refused():
    run = run_pytest("-n", "2", "--dist", "load", "--collect-only", "tests/recorded", cwd=PROJECT.root)
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "use --dist loadfile" in run.stderr


def test_built_notebooks_are_not_collected(tmp_path):
    """A finished build holds executed copies of every notebook under _build; pytest must not replay those."""
    shutil.copy(PROJECT.root / "pyproject.toml", tmp_path)
    for folder in ("_build/jupyter_execute", "tests"):
        (tmp_path / folder).mkdir(parents=True)
        shutil.copy(PROJECT.recording("01-data-generation"), tmp_path / folder / "copy.ipynb")
    run = run_pytest("-n0", "--collect-only", "-q", ".", cwd=tmp_path)
    assert "tests/copy.ipynb" in run.stdout
    assert "_build" not in run.stdout
