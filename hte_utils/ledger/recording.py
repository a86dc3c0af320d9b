"""Run the notebooks and keep the run: ``python -m hte_utils.ledger --record``."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from hte_utils.ledger.displayed import changed_displays, displayed
from hte_utils.ledger.entries import LedgerEntry
from hte_utils.ledger.recorded import Project, code_cells, entries_of_notebook, read_recording, read_text_notebook
from hte_utils.ledger.replay import RELATIVE_FLOAT_NOISE

PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
"""Not kept: pictures are megabytes that change with every font, and the replay does not compare them."""


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
