"""Ways in which a recorded notebook can pass the replay without being checked, and how each is noticed.

nbval (0.11) is silent in several cases where a reader would expect red: a recorded cell without an execution count is
never compared, a marker that is not spelt exactly is ignored, and a recording that has drifted away from its text
notebook is replayed as if nothing had happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hte_utils.ledger.proof import is_proof
from hte_utils.ledger.recorded import code_cells
from hte_utils.ledger.replay import ledger_entries

if TYPE_CHECKING:
    import nbformat

CHECK_TAG = "nbval-check-output"
NBVAL_TAGS = {CHECK_TAG, "raises-exception"}
"""The only tags with a meaning for nbval that the notebooks may use; comment markers are not used at all."""


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
