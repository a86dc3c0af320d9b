"""Pools of processes: the same bits, deaths survived, threads one."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import psutil
import pytest
import threadpoolctl
from study_methods import METHODS, KillsItsProcess
from study_runs import comparable

from hte_utils.study.executors import Processes, available_processors
from hte_utils.study.run import run_study
from hte_utils.study.scenario import Scenario
from hte_utils.study.store import StudyStore

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
QUICK = (METHODS["noisy"], METHODS["fails-sometimes"])


def threads() -> tuple[set[int], str]:
    import sklearn.utils  # noqa: F401 - brings an OpenMP of its own, after the worker was set up

    return {library["num_threads"] for library in threadpoolctl.threadpool_info()}, os.environ["OMP_NUM_THREADS"]


def test_processes_give_the_bits_of_one_process(tmp_path: Path) -> None:
    one, two = StudyStore(tmp_path / "one"), StudyStore(tmp_path / "two")
    run_study([TINY], QUICK, 12, 1, one, block_size=5)
    run_study([TINY], QUICK, 12, 1, two, Processes(2), block_size=1)
    pd.testing.assert_frame_equal(comparable(one), comparable(two), check_exact=True)


def test_a_worker_that_dies_once_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "deaths").mkdir()
    killer = KillsItsProcess(str(tmp_path / "deaths"), times=1)
    store = StudyStore(tmp_path / "store")
    report = run_study([TINY], [QUICK[0], killer], 6, 1, store, Processes(2), block_size=2)
    assert (report.computed, report.failed) == (12, 0)
    assert len(list((tmp_path / "deaths").iterdir())) == 1
    assert store.done("tiny", "killer") == store.done("tiny", "noisy") == set(range(6))


def test_a_method_that_always_dies_is_recorded_and_the_rest_completed(tmp_path: Path) -> None:
    (tmp_path / "deaths").mkdir()
    killer = KillsItsProcess(str(tmp_path / "deaths"), times=10**6)
    store = StudyStore(tmp_path / "store")
    report = run_study([TINY], [QUICK[0], killer], 1, 1, store, Processes(1), block_size=1)
    assert (report.computed, report.failed) == (2, 1)
    frame = store.read()
    assert set(frame.loc[frame["method"] == "killer", "error"]) == {"WorkerDiedError"}
    assert set(frame.loc[frame["method"] == "noisy", "error"]) == {""}


def test_workers_use_one_thread_and_are_gone_afterwards() -> None:
    with Processes(1).open() as pool:
        assert pool._executor.submit(threads).result() == ({1}, "1")  # type: ignore[attr-defined]
        (worker,) = pool._executor._processes  # type: ignore[attr-defined]
    assert not psutil.pid_exists(worker)


def test_the_number_of_workers_is_checked() -> None:
    with pytest.raises(ValueError, match="workers must be from 1"):
        Processes(0)
    with pytest.raises(TypeError, match="workers"):
        Processes(1.5)  # type: ignore[arg-type]
    assert 1 <= available_processors() <= (os.cpu_count() or 1)
