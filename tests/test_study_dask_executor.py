"""The study on Dask, with workers and the scheduler killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
import pytest
from study_runs import (
    CHOSEN,
    REPLICATES,
    SCENARIO,
    SEED,
    assert_completed,
    comparable,
    files_in,
    undisturbed,
    wait_until,
)

from hte_utils.study.dask_executor import Dask
from hte_utils.study.executors import WorkersLostError
from hte_utils.study.run import StudyReport, run_study
from hte_utils.study.store import StudyStore


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=env, stderr=subprocess.DEVNULL)
    children = []
    try:
        yield process
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    finally:
        process.terminate()
        process.wait(30)
        for child in psutil.wait_procs(children, timeout=10)[1]:
            child.kill()


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    bare_worker: subprocess.Popen[bytes]
    nanny: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler, a worker without a nanny, and one with a nanny (which restarts it)."""
    folder = tmp_path_factory.mktemp("dask")
    file = folder / "scheduler.json"
    common = ("--scheduler-file", str(file), "--no-dashboard")
    worker = ("distributed.cli.dask_worker", *common, "--nthreads", "1", "--local-directory", str(folder))
    with ExitStack() as stack:
        start = ("distributed.cli.dask_scheduler", *common, "--host", "127.0.0.1", "--port", "0")
        scheduler = stack.enter_context(_process(*start))
        wait_until(file.exists)
        bare, nanny = (stack.enter_context(_process(*worker, *more)) for more in (["--no-nanny"], []))
        address = pd.read_json(file, typ="series")["address"]
        yield Cluster(address, scheduler, bare, nanny)


class _Study(threading.Thread):
    """The study on the cluster, in the background, so that it can be disturbed."""

    def __init__(self, address: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self.address, self.store = address, StudyStore(folder)
        self.report: StudyReport | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.report = run_study(
                [SCENARIO], CHOSEN, REPLICATES, SEED, self.store, Dask(self.address, patience=30.0), block_size=1
            )
        except BaseException as error:  # noqa: BLE001, RUF100 - handed to the test
            self.error = error

    def wait_for_files(self, number: int) -> None:
        wait_until(lambda: files_in(self.store.folder) >= number or not self.is_alive())
        assert self.is_alive(), self.error


def test_workers_killed_with_and_without_a_nanny(cluster: Cluster, tmp_path: Path) -> None:
    study = _Study(cluster.address, tmp_path / "store")
    study.start()
    study.wait_for_files(4)
    cluster.bare_worker.send_signal(signal.SIGKILL)
    study.wait_for_files(16)
    child = max(psutil.Process(cluster.nanny.pid).children(recursive=True), key=lambda p: p.memory_info().rss)
    child.kill()
    study.join(120)
    assert study.error is None
    assert study.report is not None
    assert (study.report.computed, study.report.found) == (REPLICATES * len(CHOSEN), 0)
    pd.testing.assert_frame_equal(comparable(study.store), undisturbed(), check_exact=True)


def test_the_scheduler_killed(cluster: Cluster, tmp_path: Path) -> None:
    """Runs after the test above, on what is left of its cluster."""
    study = _Study(cluster.address, tmp_path / "store")
    study.start()
    study.wait_for_files(6)
    cluster.scheduler.send_signal(signal.SIGKILL)
    study.join(60)
    assert isinstance(study.error, WorkersLostError)
    assert "run the same command again" in str(study.error)
    assert_completed(study.store, at_least=6)


def test_nobody_at_the_address() -> None:
    nobody = Dask("tcp://127.0.0.1:9", patience=0.2)
    with pytest.raises(WorkersLostError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"), nobody.open():
        pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers must be from 1"),
        ({"patience": 0.0}, "patience must be"),
        ({"address": "tcp://x:1", "workers": 2}, "has its own workers"),
    ],
)
def test_bad_settings_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Dask(**arguments)  # type: ignore[arg-type]


def test_a_local_cluster_is_the_default(tmp_path: Path) -> None:
    store = StudyStore(tmp_path)
    assert run_study([SCENARIO], CHOSEN, 3, SEED, store, Dask(workers=1), block_size=2).computed == 6
    expected = undisturbed()
    expected = expected[expected["replicate"] < 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(comparable(store), expected, check_exact=True)
