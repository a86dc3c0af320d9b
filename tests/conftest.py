"""The replay: nbval runs the recorded notebooks, and ledger entries are compared as numbers, not as text."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from nbval.plugin import IPyNbCell

from hte_utils.ledger.replay import differences, ledger_entries

if TYPE_CHECKING:
    from collections.abc import Sequence

CELL_SPLITTING_DISTRIBUTIONS = {"load", "worksteal", "each"}


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a test distribution that would tear a notebook's cells apart: they share one kernel."""
    distribution = config.getoption("dist", "no")
    if distribution in CELL_SPLITTING_DISTRIBUTIONS:
        raise pytest.UsageError(
            f"--dist {distribution} sends the cells of one notebook to several workers; use --dist loadfile"
        )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give every cell that was recorded with ledger entries the numeric comparison."""
    if isinstance(item, IPyNbCell) and ledger_entries(item.cell.outputs):
        # Whatever its tags say: a cell with ledger entries is always checked.
        item.options["check"] = True
        item.compare_outputs = partial(compare_ledger, item)


def compare_ledger(cell: IPyNbCell, fresh: Sequence[Any], recorded: Sequence[Any], **_: Any) -> bool:
    """Stand in for nbval's text comparison; the cell reports what ``comparison_traceback`` holds."""
    cell.comparison_traceback = differences(ledger_entries(fresh), ledger_entries(recorded))
    return not cell.comparison_traceback


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs R where there is none."""
    if shutil.which("Rscript") is None:
        for item in items:
            if item.get_closest_marker("r"):
                item.add_marker(pytest.mark.skip(reason="Rscript is not installed"))
