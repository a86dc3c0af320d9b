"""The replay: nbval runs the recorded notebooks, and everything they show is compared, numbers as numbers."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from nbval.plugin import IPyNbCell

from hte_utils.ledger.replay import VARIES_TAG, differences, display_differences, ledger_entries

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# How long an example takes depends on how busy the machine is, and is no property of the code. No files are written:
# the checkout may be read-only.
settings.register_profile("any machine", deadline=None, database=None)
settings.load_profile("any machine")

CELL_SPLITTING_DISTRIBUTIONS = {"load", "worksteal", "each"}


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a test distribution that would tear a notebook's cells apart: they share one kernel."""
    distribution = config.getoption("dist", "no")
    if distribution in CELL_SPLITTING_DISTRIBUTIONS:
        raise pytest.UsageError(
            f"--dist {distribution} sends the cells of one notebook to several workers; use --dist loadfile"
        )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Compare every recorded cell, whatever nbval's own options say."""
    if isinstance(item, IPyNbCell):
        item.options.update(check=True, skip=False)
        item.compare_outputs = partial(compare_outputs, item)


def compare_outputs(cell: IPyNbCell, fresh: Sequence[Any], recorded: Sequence[Any], **_: Any) -> bool:
    """Stand in for nbval's text comparison; the cell reports what ``comparison_traceback`` holds."""
    found = differences(ledger_entries(fresh), ledger_entries(recorded))
    if VARIES_TAG not in cell.cell.metadata.get("tags", []):
        found += display_differences(fresh, recorded)
    cell.comparison_traceback = found
    return not found


@pytest.fixture(scope="module", autouse=True)
def drawing_without_a_screen(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of figures draw without a screen, and leave no figure open (a notebook would show it twice)."""
    if not request.module.__name__.rpartition(".")[2].startswith("test_figures"):
        yield
        return
    import matplotlib.pyplot as plt

    before = plt.get_backend()
    plt.switch_backend("agg")
    yield
    assert plt.get_fignums() == []
    plt.switch_backend(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs R, or a package of R, where it is not installed: ``@pytest.mark.r("coda")``."""
    for item in items:
        marker = item.get_closest_marker("r")
        if marker is not None and not r_has(marker.args):
            needed = " with ".join(["Rscript", *marker.args])
            item.add_marker(pytest.mark.skip(reason=f"{needed} is not installed"))


@cache
def r_has(packages: tuple[str, ...]) -> bool:
    """Whether R and these packages are there."""
    rscript = shutil.which("Rscript")
    if rscript is None:
        return False
    calls = [f'stopifnot(requireNamespace("{package}", quietly = TRUE))' for package in packages]
    return subprocess.run([rscript, "-e", ";".join(["1", *calls])], check=False, capture_output=True).returncode == 0
