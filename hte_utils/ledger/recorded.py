"""Where the notebooks and their recorded runs are, and how the ledger is read from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat

from hte_utils.ledger.entries import LedgerEntry, missing
from hte_utils.ledger.replay import ledger_entries
from hte_utils.ledger.report import is_statement, missing_statement
from hte_utils.paper import paper_entries
from hte_utils.paper.statements import statements


@dataclass(frozen=True, slots=True)
class Project:
    """The folders of a checkout; `root` holds ``_toc.yml``."""

    root: Path

    @classmethod
    def find(cls) -> Project:
        """Find the checkout this package runs from."""
        for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
            if (folder / "_toc.yml").is_file():
                return cls(folder)
        raise FileNotFoundError(
            "no checkout found (a folder with _toc.yml); the recorded run is part of the repository, not of the "
            "installed package: run this from the repository's top folder"
        )

    @property
    def text_notebooks(self) -> Path:
        """Folder of the MyST-Markdown notebooks."""
        return self.root / "book"

    @property
    def recordings(self) -> Path:
        """Folder of the recorded runs."""
        return self.root / "tests" / "recorded"

    @property
    def stored_results(self) -> Path:
        """Folder of the results that take too long for a build; the chapters that read them prove them."""
        return self.text_notebooks / "data"

    def notebook_names(self) -> list[str]:
        """Names (without suffix) of the pages that hold code, in reading order."""
        return sorted(path.stem for path in self.text_notebooks.glob("*.md") if is_notebook(path))

    def text_notebook(self, name: str) -> Path:
        """Path of a text notebook."""
        return self.text_notebooks / f"{name}.md"

    def recording(self, name: str) -> Path:
        """Path of its recorded run."""
        return self.recordings / f"{name}.ipynb"


def is_notebook(path: Path) -> bool:
    """Whether a Markdown page is a Jupytext notebook (it names a kernel in its header)."""
    return "kernelspec:" in path.read_text(encoding="utf-8").partition("\n---\n")[0]


def read_text_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a MyST-Markdown notebook as a notebook without outputs."""
    notebook: nbformat.NotebookNode = jupytext.read(path, fmt="md:myst")
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@dataclass(frozen=True, slots=True)
class Located:
    """An entry, and the name of the notebook that holds its proof."""

    entry: LedgerEntry
    page: str


def located_entries(project: Project) -> list[Located]:
    """Return all entries of the recorded run with their notebooks: the paper's and our own, in reading order."""
    names = project.notebook_names()
    return [Located(entry, name) for name in names for entry in entries_in(project.recording(name))]


def recorded_entries(project: Project) -> list[LedgerEntry]:
    """Return all entries of the recorded run, of the paper and our own, in reading order."""
    return [located.entry for located in located_entries(project)]


def entries_in(recording: Path) -> list[LedgerEntry]:
    """Return the entries of one recorded notebook; none when it was never recorded."""
    return entries_of_notebook(read_recording(recording)) if recording.is_file() else []


def entries_of_notebook(notebook: nbformat.NotebookNode) -> list[LedgerEntry]:
    """Return the entries of a notebook that was run."""
    return [entry for cell in code_cells(notebook) for entry in ledger_entries(cell.outputs)]


def read_recording(recording: Path) -> nbformat.NotebookNode:
    """Read a recorded notebook."""
    notebook: nbformat.NotebookNode = nbformat.read(recording, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def paper_ledger(project: Project) -> list[LedgerEntry]:
    """Return one entry per printed number, in the paper's order; those without a value say so."""
    of_numbers = (entry for entry in recorded_entries(project) if entry.printed is not None and not is_statement(entry))
    found = _by_id(of_numbers, rule="a printed number has one cell that reproduces it")
    return [found.get(paper.id, missing(paper)) for paper in paper_entries()]


def statement_ledger(project: Project) -> list[LedgerEntry]:
    """Return one entry per statement of the paper, in its order; those without a verdict say so."""
    found = _by_id(filter(is_statement, recorded_entries(project)), rule="a statement has one cell that proves it")
    return [found.get(said.id, missing_statement(said)) for said in statements()]


def _by_id(entries: Iterable[LedgerEntry], rule: str) -> dict[str, LedgerEntry]:
    found: dict[str, LedgerEntry] = {}
    for entry in entries:
        if entry.id in found:
            raise ValueError(f"{entry.id} is recorded twice; {rule}")
        found[entry.id] = entry
    return found
