"""Run the notebooks and keep the run: ``python -m hte_utils.ledger --record``; notice recordings that check nothing.

nbval (0.11) is silent in several cases where a reader would expect red: a recorded cell without an execution count is
never compared, a marker that is not spelt exactly is ignored, and a recording that has drifted away from its text
notebook is replayed as if nothing had happened.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from hte_utils.ledger.displayed import changed_displays, displayed
from hte_utils.ledger.entries import LedgerEntry
from hte_utils.ledger.proof import is_proof
from hte_utils.ledger.recorded import Project, code_cells, entries_of_notebook, read_recording, read_text_notebook
from hte_utils.ledger.replay import RELATIVE_FLOAT_NOISE, ledger_entries

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
    notebook = read_text_notebook(path)
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
    return _drift(text, recording) + [
        f"cell {position}: {fault}"
        for position, cell in enumerate(code_cells(recording))
        for fault in _cell_faults(cell)
    ]


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
    if _writes_to_ledger(cell.source) != any(not is_proof(entry) for entry in ledger_entries(cell.outputs)):
        faults.append("its call of the ledger and its recorded ledger entries do not go together")
    if _writes_to_ledger(cell.source) and CHECK_TAG not in tags:
        faults.append(f"writes to the ledger without the tag {CHECK_TAG!r}")
    return faults


def _writes_to_ledger(source: str) -> bool:
    return any(f"ledger.{call}(" in source for call in ("record", "guard", "check"))
