"""Hold the entries of a fresh run against those of the recorded run, each with its own tolerance.

nbval compares text; this is the numeric comparison that the test suite puts in its place for the cells that emit
ledger entries (see ``tests/conftest.py``). It has no knowledge of pytest or nbval.

Where the notebooks and their recorded runs are, and how the ledger is read from them.

Run the notebooks and keep the run: ``python -m hte_utils.ledger --record``; notice recordings that check nothing.

nbval (0.11) is silent in several cases where a reader would expect red: a recorded cell without an execution count is
never compared, a marker that is not spelt exactly is ignored, and a recording that has drifted away from its text
notebook is replayed as if nothing had happened.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

from hte_utils.ledger.displayed import changed_displays, displayed
from hte_utils.ledger.entries import LedgerEntry, missing, z_threshold
from hte_utils.ledger.report import LEDGER_MIME, is_proof, is_statement, missing_statement
from hte_utils.paper import paper_entries
from hte_utils.paper.statements import statements

RELATIVE_FLOAT_NOISE = 1e-9
"""Two exact computations may differ by this much (relative): other BLAS, other order of summation."""


def ledger_entries(outputs: Iterable[Mapping[str, Any]]) -> list[LedgerEntry]:
    """Collect the entries that the outputs of a notebook cell carry."""
    bundles = (output.get("data", {}).get(LEDGER_MIME) for output in outputs)
    return [LedgerEntry(**record) for bundle in bundles if bundle for record in bundle["entries"]]


def differences(fresh: Iterable[LedgerEntry], recorded: Iterable[LedgerEntry]) -> list[str]:
    """Say in words where a fresh run departs from the recorded one."""
    fresh_by_id = {entry.id: entry for entry in fresh}
    recorded_by_id = {entry.id: entry for entry in recorded}
    lost = [f"{i}: recorded, but the fresh run gives no value" for i in recorded_by_id if i not in fresh_by_id]
    new = [f"{i}: not in the recording; record the notebooks again" for i in fresh_by_id if i not in recorded_by_id]
    shared = [(fresh_by_id[i], recorded_by_id[i]) for i in recorded_by_id if i in fresh_by_id]
    return lost + new + [text for now, then in shared for text in _entry_differences(now, then)]


def _entry_differences(now: LedgerEntry, then: LedgerEntry) -> list[str]:
    if is_statement(now) and is_statement(then):
        return _statement_differences(now, then)
    found = []
    if now.printed != then.printed:
        found.append(f"{now.id}: the paper's number is now {now.printed!r}, it was recorded as {then.printed!r}")
    if now.kind != then.kind:
        found.append(f"{now.id}: compared as {now.kind!r}, it was recorded as {then.kind!r}")
    if now.fails or now.verdict != then.verdict:
        found.append(
            f"{now.id}: verdict {now.verdict!r} (reproduced {now.reproduced!r}, printed {now.printed!r}, "
            f"tolerance {now.tolerance!r}), recorded as {then.verdict!r}"
        )
    if not _same_value(now, then):
        found.append(
            f"{now.id}: reproduced {now.reproduced!r} (MCSE {now.mcse!r}), "
            f"recorded {then.reproduced!r} (MCSE {then.mcse!r})"
        )
    return found


def _statement_differences(now: LedgerEntry, then: LedgerEntry) -> list[str]:
    found = []
    if now.printed != then.printed:
        found.append(f"{now.id}: the paper's words are now {now.printed!r}, they were recorded as {then.printed!r}")
    if now.fails or (now.verdict, now.note) != (then.verdict, then.note):
        found.append(
            f"{now.id}: verdict {now.verdict!r} ({now.note}), recorded as {then.verdict!r} ({then.note}); "
            f"evidence: {now.reproduced!r}, recorded as {then.reproduced!r}"
        )
    return found


def _same_value(now: LedgerEntry, then: LedgerEntry) -> bool:
    if not isinstance(now.reproduced, float) or not isinstance(then.reproduced, (float, int)):
        return now.reproduced == then.reproduced
    if math.isclose(now.reproduced, then.reproduced, rel_tol=RELATIVE_FLOAT_NOISE, abs_tol=1e-12):
        return True
    allowed = z_threshold() * math.hypot(now.mcse or 0.0, then.mcse or 0.0)
    return abs(now.reproduced - then.reproduced) <= allowed


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
    captions = cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "")
    text = cell.source if cell.cell_type == "markdown" else captions
    return [" ".join(expression.split()) for expression in _EVAL_ROLE.findall(text)]


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """Return the code cells of a notebook, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


PROSE_VALUES = "# What {eval} shows in the text above"
_EVAL_ROLE = re.compile(r"\{eval\}`([^`]+)`")
_SHOWS_WELL = re.compile(r"-?\d+|'[^'\\]*'|\"[^\"\\]*\"")  # a count, or text whose representation needs no escapes


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


PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
"""Not kept: pictures are megabytes that change with every font, and the replay does not compare them."""

CHECK_TAG = "nbval-check-output"
NBVAL_TAGS = {CHECK_TAG, "raises-exception"}
"""The only tags with a meaning for nbval that the notebooks may use; comment markers are not used at all."""


def record_notebooks(
    names: Iterable[str], project: Project, say: Callable[[str], None], accepted: Collection[str] = ()
) -> list[str]:
    """Run text notebooks from a clean kernel and write what they printed beside the tests.

    A recording is written only after its whole notebook has run, to a temporary name which is then moved into place:
    a notebook that fails leaves the old recording as it was. So does one with an entry that is contradicted or has lost
    its value, unless that entry is accepted by name.
    """
    refused: list[str] = []
    for name in names:
        say(f"{name}: running")
        notebook = _run(project.text_notebook(name))
        for line in _changes(project.recording(name), notebook):
            say(f"  {line}")
        failing = [entry for entry in entries_of_notebook(notebook) if entry.fails and entry.id not in accepted]
        for entry in failing:
            say(f"  {entry.id}: {entry.verdict} (reproduced {entry.reproduced}, printed {entry.printed})")
        if failing:
            say(f"{name}: NOT recorded; mend these entries, or say --accept {' '.join(one.id for one in failing)}")
            refused += [entry.id for entry in failing]
        else:
            _write(notebook, project.recording(name))
            say(f"{name}: recorded")
    return refused


def _changes(recording: Path, notebook: nbformat.NotebookNode) -> list[str]:
    """Which ledger entries changed and by how much, and which lines a reader will see otherwise than before."""
    before = read_recording(recording) if recording.is_file() else nbformat.from_dict({"cells": []})  # type: ignore[no-untyped-call]
    entries = describe_changes(entries_of_notebook(before), entries_of_notebook(notebook))
    shown = changed_displays(_displayed(before), _displayed(notebook))
    return [f"{len(entries)} ledger entries changed", *entries, f"{len(shown)} displayed lines changed", *shown]


def _displayed(notebook: nbformat.NotebookNode) -> list[str]:
    return [text for cell in code_cells(notebook) for text in displayed(cell.outputs)]


def describe_changes(before: Iterable[LedgerEntry], after: Iterable[LedgerEntry]) -> list[str]:
    """Say which entries are new, gone or changed, and by how much."""
    old = {entry.id: entry for entry in before}
    new = {entry.id: entry for entry in after}
    gone = [f"{i}: gone (was {old[i].reproduced})" for i in old if i not in new]
    return gone + [line for i, entry in new.items() if (line := _change(old.get(i), entry))]


def _change(old: LedgerEntry | None, new: LedgerEntry) -> str:
    if old is None:
        return f"{new.id}: new, {new.reproduced} ({new.verdict})"
    parts = []
    if not same_value(old, new):
        parts.append(f"{old.reproduced} -> {new.reproduced}{_by_how_much(old, new)}")
    if old.verdict != new.verdict:
        parts.append(f"verdict {old.verdict!r} -> {new.verdict!r}")
    if old.printed != new.printed:
        parts.append(f"the paper's number {old.printed!r} -> {new.printed!r}")
    return f"{new.id}: {'; '.join(parts)}" if parts else ""


def same_value(old: LedgerEntry, new: LedgerEntry) -> bool:
    """Whether two runs gave the same value, up to the noise of floating-point arithmetic."""
    if isinstance(old.reproduced, float) and isinstance(new.reproduced, float):
        return math.isclose(old.reproduced, new.reproduced, rel_tol=RELATIVE_FLOAT_NOISE, abs_tol=1e-12)
    return old.reproduced == new.reproduced


def _by_how_much(old: LedgerEntry, new: LedgerEntry) -> str:
    if isinstance(old.reproduced, str) or isinstance(new.reproduced, str) or not old.reproduced or not new.reproduced:
        return ""
    return f" (by {new.reproduced - old.reproduced:+.3g})"


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
    notebook.metadata = nbformat.from_dict(  # type: ignore[no-untyped-call]
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    return notebook


def _write(notebook: nbformat.NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = nbformat.writes(notebook) + "\n"  # type: ignore[no-untyped-call]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def violations(text: nbformat.NotebookNode, recording: nbformat.NotebookNode) -> list[str]:
    """Say what is wrong with a recording."""
    return [
        *_drift(with_prose_values(text), recording),
        *_values_before_their_cell(text),
        *(
            f"cell {position}: {fault}"
            for position, cell in enumerate(code_cells(recording))
            for fault in _cell_faults(cell)
        ),
    ]


def _values_before_their_cell(text: nbformat.NotebookNode) -> list[str]:
    """Find texts that the book evaluates before a removed cell above them has run: it runs with the next one shown."""
    faults, waiting = [], False
    for cell in text.cells:
        if cell.cell_type == "code":
            waiting = "remove-cell" in cell.metadata.get("tags", [])
        elif waiting and (expressions := prose_expressions(cell)):
            faults.append(f"{expressions[0]!r} stands below a cell tagged remove-cell: tag that cell remove-input")
    return faults


def _drift(text: nbformat.NotebookNode, recording: nbformat.NotebookNode) -> list[str]:
    if [_face(cell) for cell in text.cells] == [_face(cell) for cell in recording.cells]:
        return []
    return ["the recording is not of this text notebook: record it again (python -m hte_utils.ledger --record)"]


def _face(cell: nbformat.NotebookNode) -> tuple[str, str, tuple[str, ...]]:
    return cell.cell_type, cell.source.strip(), tuple(cell.metadata.get("tags", []))


def _cell_faults(cell: nbformat.NotebookNode) -> list[str]:
    tags = cell.metadata.get("tags", [])
    faults = [f"tag {tag!r} is none that nbval knows" for tag in tags if "nbval" in tag and tag not in NBVAL_TAGS]
    if "nbval" in cell.source.lower():
        faults.append(f"speaks of nbval in a comment; use the tag {CHECK_TAG!r}, which cannot be misspelt unnoticed")
    if cell.execution_count is None:
        faults.append("was never run (no execution count), so nbval would not compare it")
    if CHECK_TAG in tags and not cell.outputs:
        faults.append("is to be checked but has no recorded output")
    if cell.source.startswith(PROSE_VALUES):
        shown = [line for output in cell.outputs for line in output.get("text", "").splitlines()]
        faults += [f"the text shows {value}: format it" for value in shown if not _SHOWS_WELL.fullmatch(value)]
    if _writes_to_ledger(cell.source) != any(not is_proof(entry) for entry in ledger_entries(cell.outputs)):
        faults.append("its call of the ledger and its recorded ledger entries do not go together")
    if _writes_to_ledger(cell.source) and CHECK_TAG not in tags:
        faults.append(f"writes to the ledger without the tag {CHECK_TAG!r}")
    return faults


def _writes_to_ledger(source: str) -> bool:
    return any(f"ledger.{call}(" in source for call in ("record", "guard", "check"))
