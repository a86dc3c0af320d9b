"""Running a study on Dask: complete, continued, the same with any number of workers, disturbed for real."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
import threadpoolctl
from study_methods import METHODS, KillsItsProcess, RiskByArm
from study_runs import (
    CHOSEN,
    REPLICATES,
    SCENARIO,
    SEED,
    assert_completed,
    comparable,
    files_in,
    run_here,
    start,
    stop,
    stored_runs,
    undisturbed,
    wait_until,
)

from hte_utils.study.run import (
    Block,
    OtherCodeError,
    StudyReport,
    WorkersLostError,
    compute,
    run_study,
    study_client,
)
from hte_utils.study.scenarios import Scenario
from hte_utils.study.store import StoreError, StoreMismatchError, StudyStore

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
OTHER = Scenario("other", "other", n_patients=100, population_size=200)
QUICK = (METHODS["risk-by-arm"], METHODS["noisy"])


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(tmp_path / "store")


def test_a_study_is_complete_and_says_what_it_did(store: StudyStore) -> None:
    chosen = (*QUICK, METHODS["fails-sometimes"])
    report = run_here([TINY, OTHER], chosen, 11, 1, store, block_size=4)
    frame = store.read()
    assert (report.computed, report.found) == (66, 0)
    failed = frame[frame["error"] != ""].drop_duplicates(["scenario", "replicate"])
    assert report.failed == len(failed) > 0
    assert failed["seed"].nunique() == len(failed)
    counts = frame.groupby(["scenario", "method", "population"], observed=True)["replicate"].agg(["size", "nunique"])
    assert (counts == 11).all(axis=None)
    assert run_here([TINY, OTHER], chosen, 11, 1, store) == StudyReport(0, 66, 0)


def test_more_of_everything_repeats_nothing_and_changes_nothing(store: StudyStore, tmp_path: Path) -> None:
    assert run_here([TINY], QUICK[:1], 5, 1, store).computed == 5
    assert run_here([TINY], QUICK, 5, 1, store) == StudyReport(5, 5, 0)
    assert run_here([OTHER, TINY], QUICK[::-1], 9, 1, store, block_size=2) == StudyReport(26, 10, 0)
    at_once = StudyStore(tmp_path / "at-once")
    run_here([TINY, OTHER], QUICK, 9, 1, at_once)
    pd.testing.assert_frame_equal(comparable(store), comparable(at_once), check_exact=True)


def test_two_workers_give_the_bits_of_one(store: StudyStore) -> None:
    with study_client(2) as client:
        assert run_study([SCENARIO], CHOSEN, REPLICATES, SEED, store, client, block_size=3).found == 0
    pd.testing.assert_frame_equal(comparable(store), undisturbed(), check_exact=True)


def test_another_seed_or_scenario_of_that_name_is_refused(store: StudyStore) -> None:
    run_here([TINY], QUICK, 2, 1, store)
    with pytest.raises(StoreMismatchError, match="seed: 1 -> 2"):
        run_here([TINY], QUICK, 2, 2, store)
    with pytest.raises(StoreMismatchError, match="n_patients 200 -> 300"):
        run_here([replace(TINY, n_patients=300)], QUICK, 2, 1, store)
    with pytest.raises(ValueError, match="different names"):
        run_here([TINY], [QUICK[0], QUICK[0]], 2, 1, store)
    assert len(store.read()["replicate"].unique()) == 2


def test_workers_with_other_code_are_refused() -> None:
    block = Block(TINY, QUICK[0], 1, (0, 1))
    with pytest.raises(OtherCodeError, match=r"'risk-by-arm'.*same version on every worker"):
        compute(pickle.loads(pickle.dumps(block)), "other code")


def test_a_full_disk_stops_the_study_and_loses_nothing(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    flush, calls = os.fsync, []

    def full_after_a_while(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 10:
            raise OSError(28, "No space left on device")
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr("hte_utils.study.store.fsync", full_after_a_while)
        with pytest.raises(StoreError, match="the disk is full"):
            run_here([TINY], QUICK, 30, 1, store, block_size=2)
    assert stored_runs(store) == 20
    assert run_here([TINY], QUICK, 30, 1, store) == StudyReport(40, 20, 0)


def test_progress_only_when_wanted(store: StudyStore, capfd: pytest.CaptureFixture[str]) -> None:
    run_here([TINY], QUICK, 2, 1, store)
    assert capfd.readouterr().err == ""
    run_here([TINY], QUICK, 4, 1, store, progress=True)
    assert "4/4" in capfd.readouterr().err


def surroundings() -> tuple[set[int], dict[str, str]]:
    import sklearn.utils  # noqa: F401 - brings an OpenMP of its own

    return {library["num_threads"] for library in threadpoolctl.threadpool_info()}, dict(os.environ)


@pytest.mark.slow
def test_a_worker_that_dies_costs_nothing_and_a_method_that_always_kills_it_is_recorded(
    tmp_path: Path, store: StudyStore
) -> None:
    for name in ("once", "always"):
        (tmp_path / name).mkdir()
    once = KillsItsProcess(str(tmp_path / "once"), times=1, name="once")
    always = KillsItsProcess(str(tmp_path / "always"), times=10**6, name="always", only_odd=True)
    with study_client(2) as client:
        # one thread, and memory that is kept: what `study_client` is for
        threads, environment = client.submit(surroundings).result()
        report = run_study([TINY], [QUICK[0], once, always], 2, 1, store, client, block_size=2)
        workers = [process.pid for process in psutil.Process().children(recursive=True)]
    assert threads == {1}
    assert environment["MALLOC_TRIM_THRESHOLD_"] == environment["MALLOC_MMAP_THRESHOLD_"] == str(2**30)
    assert not [pid for pid in workers if psutil.pid_exists(pid) and "spawn_main" in str(psutil.Process(pid).cmdline())]
    frame = store.read(populations=["trial"]).set_index(["method", "replicate"])
    assert len(list((tmp_path / "once").iterdir())) == 1
    odd = [number for number in range(2) if frame.loc[("once", number), "notes"] == '{"events_odd": 1.0}']
    assert report == StudyReport(6, 0, len(odd))
    assert len(odd) == 1
    for number in range(2):
        row = frame.loc[("always", number)]
        assert row["error"] == ("WorkerDiedError" if number in odd else "")
        assert row["seed"] == frame.loc[("risk-by-arm", number), "seed"]
    assert set(frame.loc[["risk-by-arm", "once"], "error"]) == {""}


def test_kill_9_of_the_whole_process(tmp_path: Path) -> None:
    process = start(tmp_path, "--workers", "2")
    wait_until(lambda: files_in(tmp_path) >= 6 or process.poll() is not None)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    status, out, _ = stop(process, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert out == ""
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive  # workers without a study end themselves
    assert_completed(StudyStore(tmp_path), at_least=6)


def test_ctrl_c(tmp_path: Path) -> None:
    """As a terminal does it: the signal goes to every process of the group."""
    process = start(tmp_path, "--workers", "2")
    wait_until(lambda: files_in(tmp_path) >= 6 or process.poll() is not None)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert (
        err == "python -m hte_utils.study: stopped. What was finished is stored; the same command completes the rest\n"
    )
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert_completed(StudyStore(tmp_path), at_least=6)


@contextmanager
def _process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


class _Study(threading.Thread):
    """The study on a cluster, in the background, so that it can be disturbed."""

    def __init__(self, address: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self.address, self.store = address, StudyStore(folder)
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with study_client(address=self.address) as client:
                run_study([SCENARIO], CHOSEN, REPLICATES, SEED, self.store, client, block_size=1)
        except BaseException as error:  # noqa: BLE001, RUF100 - handed to the test
            self.error = error

    def wait_for_files(self, number: int) -> None:
        wait_until(lambda: files_in(self.store.folder) >= number or not self.is_alive())
        assert self.is_alive(), self.error


@pytest.mark.slow
def test_a_cluster_whose_worker_and_then_whose_scheduler_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    common = ("--scheduler-file", str(file), "--no-dashboard")
    worker = ("distributed.cli.dask_worker", *common, "--nthreads", "1", "--local-directory", str(tmp_path))
    with ExitStack() as stack:
        start = ("distributed.cli.dask_scheduler", *common, "--host", "127.0.0.1", "--port", "0")
        scheduler = stack.enter_context(_process(*start))
        wait_until(file.exists)
        victim, _ = (stack.enter_context(_process(*worker, "--no-nanny")) for _ in range(2))
        address = pd.read_json(file, typ="series")["address"]
        study = _Study(address, tmp_path / "one")
        study.start()
        study.wait_for_files(4)
        victim.send_signal(signal.SIGKILL)
        study.join(120)
        assert study.error is None
        pd.testing.assert_frame_equal(comparable(study.store), undisturbed(), check_exact=True)
        study = _Study(address, tmp_path / "other")
        study.start()
        study.wait_for_files(6)
        scheduler.send_signal(signal.SIGKILL)
        study.join(100)
        assert isinstance(study.error, WorkersLostError)
        assert "run the same command" in str(study.error)
    assert_completed(study.store, at_least=6)


def test_two_studies_at_once() -> None:
    with study_client(processes=False) as one, study_client(processes=False) as other:
        assert one.submit(int, 1).result() == other.submit(int, 1).result() == 1


def test_a_method_of_a_notebook_s_cell_works_in_a_thread_of_this_process(store: StudyStore) -> None:
    class Local(RiskByArm):
        pass

    assert run_here([TINY], [Local()], 2, 1, store).computed == 2
