"""A small study for the tests that disturb one, and the same undisturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from study_methods import METHODS

from hte_utils.study.run import StudyReport, run_study, study_client
from hte_utils.study.scenarios import SCENARIOS, Scenario
from hte_utils.study.store import CIRCUMSTANCES, StudyStore

SCENARIO = SCENARIOS["patients-500"]
CHOSEN = (METHODS["slow-one"], METHODS["fails-sometimes"])
REPLICATES = 40
SEED = 11
ARGUMENTS = (
    *("run", "--scenarios", SCENARIO.name, "--methods", *(method.name for method in CHOSEN)),
    *("--replicates", str(REPLICATES), "--seed", str(SEED), "--block-size", "1"),
    *("--methods-from", "study_methods:METHODS"),
)


def comparable(store: StudyStore) -> pd.DataFrame:
    """Everything in a store that must be the same bit for bit."""
    return store.read().drop(columns=list(CIRCUMSTANCES))


def run_here(
    scenarios: Sequence[Scenario], methods: Sequence[Any], replicates: int, seed: int, store: StudyStore, **more: Any
) -> StudyReport:
    """Run a study on Dask in a thread of this process, which starts at once."""
    with study_client(processes=False) as client:
        return run_study(scenarios, methods, replicates, seed, store, client, **more)


@cache
def undisturbed() -> pd.DataFrame:
    """The study computed in one go, in this process."""
    with TemporaryDirectory() as folder:
        store = StudyStore(Path(folder))
        run_here([SCENARIO], CHOSEN, REPLICATES, SEED, store, block_size=7)
        return comparable(store)


def stored_runs(store: StudyStore) -> int:
    """Number of runs that a store holds."""
    return len(store.read(populations=["trial"])) if store.cells() else 0


def assert_completed(store: StudyStore, at_least: int) -> None:
    """Continue a disturbed study: nothing that was stored is repeated, and the end is the undisturbed study."""
    before = {path: path.stat().st_mtime_ns for path in store.folder.rglob("*.parquet")}
    stored = stored_runs(store)
    assert at_least <= stored < REPLICATES * len(CHOSEN), stored
    report = run_here([SCENARIO], CHOSEN, REPLICATES, SEED, store)
    assert (report.found, report.computed) == (stored, REPLICATES * len(CHOSEN) - stored)
    assert before.items() <= {path: path.stat().st_mtime_ns for path in store.folder.rglob("*.parquet")}.items()
    pd.testing.assert_frame_equal(comparable(store), undisturbed(), check_exact=True)


def start(store: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start the study as a user does, in a session of its own."""
    here = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "hte_utils.study", *ARGUMENTS, "--store", str(store), *arguments],
        env={**os.environ, "PYTHONPATH": here, "STUDY_TEST_SECONDS": "0.5"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background of a shell, Ctrl-C is ignored, and a child would inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def wait_until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for something to be so, not longer than a loaded machine needs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not happen in time"
        time.sleep(0.05)


def files_in(store: Path) -> int:
    """Number of files with results."""
    return len(list(store.rglob("*.parquet")))


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    """Send a signal to the process; returns exit status, output and errors."""
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err
