"""The notebooks and their recorded runs: where they are, the ledger that is read from them, how a run is recorded.

:func:`violations` notices recordings that check nothing. nbval (0.11) is silent where a reader would expect red: a
recorded cell without an execution count is never compared, a misspelt marker is ignored, and a recording that has
drifted away from its text notebook is replayed as if nothing had happened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from hte_utils.ledger.entries import LedgerEntry, missing
from hte_utils.ledger.replay import changed_displays, describe_changes, displayed, ledger_entries
from hte_utils.ledger.report import PROOF_PREFIX
from hte_utils.paper import PaperEntry, Statement, paper_entries, statements

PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
"""Not kept: pictures are megabytes that change with every font, and the replay does not compare them."""

CHECK_TAG = "nbval-check-output"
NBVAL_TAGS = {CHECK_TAG, "raises-exception"}
"""The only tags with a meaning for nbval that the notebooks may use; comment markers are not used at all."""

PROSE_VALUES = "# What {eval} shows in the text above"
_EVAL_ROLE = re.compile(r"\{eval\}`([^`]+)`")
_SHOWS_WELL = re.compile(r"-?\d+|'[^'\\]*'|\"[^\"\\]*\"")  # a count, or text whose representation needs no escapes


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
    def stored_results(self) -> Path:
        """Folder of the results that take too long for a build; the chapters that read them prove them."""
        return self.text_notebooks / "data"

    def notebook_names(self) -> list[str]:
        """Names (without suffix) of the pages that hold code (their header names a kernel), in reading order."""
        pages = self.text_notebooks.glob("*.md")
        return sorted(p.stem for p in pages if "kernelspec:" in p.read_text("utf-8").partition("\n---\n")[0])

    def text_notebook(self, name: str) -> Path:
        """Path of a text notebook."""
        return self.text_notebooks / f"{name}.md"

    def recording(self, name: str) -> Path:
        """Path of its recorded run."""
        return self.root / "tests" / "recorded" / f"{name}.ipynb"


def read_text_notebook(path: Path) -> nbformat.NotebookNode:
    """Read a MyST-Markdown notebook as a notebook without outputs."""
    notebook: nbformat.NotebookNode = jupytext.read(path, fmt="md:myst")
    return notebook


def read_recording(recording: Path) -> nbformat.NotebookNode:
    """Read a recorded notebook; one without cells when it was never recorded."""
    notebook: nbformat.NotebookNode = (
        nbformat.read(recording, as_version=4) if recording.is_file() else nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    )
    return notebook


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def with_prose_values(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Add, below each text with ``{eval}`` roles, a cell that prints what they show: so the replay holds them too.

    The page shows the representation of a value, without the quotes of a string; here it is printed as it is.
    """
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if expressions := prose_expressions(cell):
            lines = [PROSE_VALUES, *(f"print(repr({expression}))" for expression in expressions)]
            cells.append(nbformat.v4.new_code_cell("\n".join(lines)))  # type: ignore[no-untyped-call]
    return nbformat.from_dict(notebook | {"cells": cells})  # type: ignore[no-untyped-call, no-any-return]


def prose_expressions(cell: nbformat.NotebookNode) -> list[str]:
    """List the expressions that a text, or the caption of a cell's output, shows by the role ``{eval}``."""
    caption = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
    text = cell.source if cell.cell_type == "markdown" else caption
    return [" ".join(expression.split()) for expression in _EVAL_ROLE.findall(text)]


def entries_of_notebook(notebook: nbformat.NotebookNode) -> list[LedgerEntry]:
    """Return the entries of a notebook that was run."""
    return [entry for cell in code_cells(notebook) for entry in ledger_entries(cell.outputs)]


def located_entries(project: Project) -> list[tuple[str, LedgerEntry]]:
    """Return all entries of the recorded run, of the paper and our own, each after its notebook, in reading order."""
    names = project.notebook_names()
    return [(name, entry) for name in names for entry in entries_of_notebook(read_recording(project.recording(name)))]


def recorded_entries(project: Project) -> list[LedgerEntry]:
    """Return the entries of `located_entries` without their notebooks."""
    return [entry for _, entry in located_entries(project)]


def paper_ledger(project: Project) -> list[LedgerEntry]:
    """Return one entry per printed number, in the paper's order; those without a value say so."""
    return _ledger(project, paper_entries(), rule="a printed number has one cell that reproduces it")


def statement_ledger(project: Project) -> list[LedgerEntry]:
    """Return one entry per statement of the paper, in its order; those without a verdict say so."""
    return _ledger(project, statements(), rule="a statement has one cell that proves it")


def _ledger(project: Project, wanted: Sequence[PaperEntry | Statement], rule: str) -> list[LedgerEntry]:
    found = {one.id: missing(one) for one in wanted}
    for entry in recorded_entries(project):
        if entry.id in found:
            if found[entry.id].reproduced is not None:
                raise ValueError(f"{entry.id} is recorded twice; {rule}")
            found[entry.id] = entry
    return list(found.values())


def record_notebooks(
    names: Iterable[str], project: Project, say: Callable[[str], None], accepted: Collection[str] = ()
) -> list[str]:
    """Run text notebooks from a clean kernel and write what they printed beside the tests.

    A notebook that fails leaves the old recording as it was. So does one with an entry that is contradicted or has lost
    its value, unless that entry is accepted by name.
    """
    refused: list[str] = []
    for name in names:
        say(f"{name}: running")
        notebook = _run(project.text_notebook(name))
        for line in _changes(read_recording(project.recording(name)), notebook):
            say(f"  {line}")
        failing = [entry for entry in entries_of_notebook(notebook) if entry.fails and entry.id not in accepted]
        for entry in failing:
            say(f"  {entry.id}: {entry.verdict} (reproduced {entry.reproduced}, printed {entry.printed})")
        if failing:
            say(f"{name}: NOT recorded; mend these entries, or say --accept {' '.join(one.id for one in failing)}")
            refused += [entry.id for entry in failing]
        else:
            write_whole(project.recording(name), nbformat.writes(notebook) + "\n")  # type: ignore[no-untyped-call]
            say(f"{name}: recorded")
    return refused


def _changes(before: nbformat.NotebookNode, after: nbformat.NotebookNode) -> list[str]:
    """Which ledger entries changed and by how much, and which lines a reader will see otherwise than before."""
    entries = describe_changes(entries_of_notebook(before), entries_of_notebook(after))
    old, new = ([text for cell in code_cells(run) for text in displayed(cell.outputs)] for run in (before, after))
    shown = changed_displays(old, new)
    return [f"{len(entries)} ledger entries changed", *entries, f"{len(shown)} displayed lines changed", *shown]


def _run(path: Path) -> nbformat.NotebookNode:
    notebook = with_prose_values(read_text_notebook(path))
    # The kernel starts where nbval starts it, so that a relative path would fail in both or in neither.
    where = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, timeout=1200, kernel_name="python3", record_timing=False, resources=where)
    client.execute()
    return _without_noise(notebook)


def _without_noise(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drop what differs between two identical runs or two machines: pictures, random ids, the kernel's details."""
    for position, cell in enumerate(notebook.cells):
        cell.id = f"cell-{position:03d}"
        for output in cell.get("outputs", []):
            for picture in PICTURES:
                output.get("data", {}).pop(picture, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.output_type != "display_data" or output.data]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = nbformat.from_dict({"kernelspec": kernel, "language_info": {"name": "python"}})  # type: ignore[no-untyped-call]
    return notebook


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name and move it into place, so that nobody reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}")  # a name may be as long as a file system allows
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def violations(text: nbformat.NotebookNode, recording: nbformat.NotebookNode) -> list[str]:
    """Say what is wrong with a recording, and with a text whose values the book would show otherwise."""
    faults = []
    if [_face(cell) for cell in with_prose_values(text).cells] != [_face(cell) for cell in recording.cells]:
        faults.append(
            "the recording is not of this text notebook: record it again (python -m hte_utils.ledger --record)"
        )
    for above, cell in zip(text.cells, text.cells[1:], strict=False):
        # The book runs a removed cell with the next one that is shown, and so after the text between the two.
        if "remove-cell" in above.metadata.get("tags", []) and cell.cell_type == "markdown" and prose_expressions(cell):
            faults.append(f"{prose_expressions(cell)[0]!r} stands below a cell tagged remove-cell: tag it remove-input")
    cells = enumerate(code_cells(recording))
    return faults + [f"cell {position}: {fault}" for position, cell in cells for fault in _cell_faults(cell)]


def _face(cell: nbformat.NotebookNode) -> tuple[str, str, tuple[str, ...]]:
    return cell.cell_type, cell.source.strip(), tuple(cell.metadata.get("tags", []))


def _cell_faults(cell: nbformat.NotebookNode) -> list[str]:
    tags = cell.metadata.get("tags", [])
    faults = [f"tag {tag!r} is none that nbval knows" for tag in tags if "nbval" in tag and tag not in NBVAL_TAGS]
    if "nbval" in cell.source.lower():
        faults.append(f"speaks of nbval in a comment; use the tag {CHECK_TAG!r}, which cannot be misspelt unnoticed")
    if "glue(" in cell.source:
        faults.append("glues a value, which nothing compares; show it in the text by {eval}")
    if cell.execution_count is None:
        faults.append("was never run (no execution count), so nbval would not compare it")
    if CHECK_TAG in tags and not cell.outputs:
        faults.append("is to be checked but has no recorded output")
    if cell.source.startswith(PROSE_VALUES):
        shown = [line for output in cell.outputs for line in output.get("text", "").splitlines()]
        faults += [f"the text shows {value}: format it" for value in shown if not _SHOWS_WELL.fullmatch(value)]
    writes = any(f"ledger.{call}(" in cell.source for call in ("record", "guard", "check"))
    if writes != any(not entry.id.startswith(PROOF_PREFIX) for entry in ledger_entries(cell.outputs)):
        faults.append("its call of the ledger and its recorded ledger entries do not go together")
    if writes and CHECK_TAG not in tags:
        faults.append(f"writes to the ledger without the tag {CHECK_TAG!r}")
    return faults
