"""Running a study: complete, continued, disturbed for real."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest
from study_methods import METHODS, RiskByArm
from study_runs import assert_completed, comparable, files_in, start, stop, wait_until

from hte_utils.study import run
from hte_utils.study.executors import Processes, Serial
from hte_utils.study.run import StudyReport, run_study
from hte_utils.study.scenario import Scenario
from hte_utils.study.store import StoreError, StoreMismatchError, StudyStore

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
OTHER = Scenario("other", "other", n_patients=100, population_size=200)
QUICK = (METHODS["risk-by-arm"], METHODS["noisy"])


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(tmp_path / "store")


def test_a_study_is_complete_and_says_what_it_did(store: StudyStore) -> None:
    chosen = (*QUICK, METHODS["fails-sometimes"])
    report = run_study([TINY, OTHER], chosen, 11, 1, store, block_size=4)
    frame = store.read()
    assert (report.computed, report.found) == (66, 0)
    failed = frame[frame["error"] != ""].drop_duplicates(["scenario", "replicate"])
    assert report.failed == len(failed) > 0
    counts = frame.groupby(["scenario", "method", "population"], observed=True)["replicate"].agg(["size", "nunique"])
    assert (counts == 11).all(axis=None)
    assert run_study([TINY, OTHER], chosen, 11, 1, store) == StudyReport(0, 66, 0)


def test_more_of_everything_repeats_nothing_and_changes_nothing(store: StudyStore, tmp_path: Path) -> None:
    assert run_study([TINY], QUICK[:1], 5, 1, store).computed == 5
    assert run_study([TINY], QUICK, 5, 1, store) == StudyReport(5, 5, 0)
    assert run_study([OTHER, TINY], QUICK[::-1], 9, 1, store, block_size=2) == StudyReport(26, 10, 0)
    at_once = StudyStore(tmp_path / "at-once")
    run_study([TINY, OTHER], QUICK, 9, 1, at_once)
    pd.testing.assert_frame_equal(comparable(store), comparable(at_once), check_exact=True)


def test_another_seed_or_scenario_of_that_name_is_refused(store: StudyStore) -> None:
    run_study([TINY], QUICK, 2, 1, store)
    with pytest.raises(StoreMismatchError, match="seed: study 1 -> 2"):
        run_study([TINY], QUICK, 2, 2, store)
    with pytest.raises(StoreMismatchError, match="n_patients 200 -> 300"):
        run_study([replace(TINY, n_patients=300)], QUICK, 2, 1, store)
    assert len(store.read()["replicate"].unique()) == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"scenarios": []}, ValueError, "at least one of the scenarios"),
        ({"methods": []}, ValueError, "at least one of the methods"),
        ({"methods": [QUICK[0], QUICK[0]]}, ValueError, r"\['risk-by-arm'\] is there more than once"),
        ({"methods": [RiskByArm(name="../up")]}, ValueError, "names of methods become folders"),
        ({"methods": ["noisy"]}, TypeError, "methods must be records with a name"),
        ({"replicates": 0}, ValueError, "replicates must be from 1"),
        ({"replicates": 2.0}, TypeError, "replicates"),
        ({"seed": -1}, ValueError, "seed must be from 0"),
        ({"block_size": 0}, ValueError, "block_size must be from 1"),
    ],
)
def test_bad_calls_are_refused_before_any_work(
    store: StudyStore, change: dict[str, object], error: type[Exception], message: str
) -> None:
    arguments: dict[str, object] = {"scenarios": [TINY], "methods": QUICK, "replicates": 2, "seed": 1, "store": store}
    with pytest.raises(error, match=message):
        run_study(**arguments | change)  # type: ignore[arg-type]
    assert not store.folder.exists()


def test_what_cannot_travel_is_refused_before_any_work(store: StudyStore) -> None:
    class Local(RiskByArm):
        pass

    with pytest.raises((AttributeError, pickle.PicklingError)):
        pickle.dumps(Local())
    with pytest.raises(TypeError, match=r"cannot be sent to other processes.*use the executor Serial"):
        run_study([TINY], [Local()], 2, 1, store, Processes(2))
    assert run_study([TINY], [Local()], 2, 1, store, Serial()).computed == 2


def test_a_full_disk_stops_the_study_and_loses_nothing(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    flush, calls = os.fsync, []

    def full_after_a_while(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 20:
            raise OSError(28, "No space left on device")
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_after_a_while)
        with pytest.raises(StoreError, match="the disk is full"):
            run_study([TINY], QUICK, 30, 1, store, block_size=2)
    stored = sum(len(store.done(*cell)) for cell in store.cells())
    assert 0 < stored < 60
    assert run_study([TINY], QUICK, 30, 1, store) == StudyReport(60 - stored, stored, 0)


def test_progress_only_when_wanted(store: StudyStore, capfd: pytest.CaptureFixture[str]) -> None:
    run_study([TINY], QUICK, 2, 1, store)
    assert capfd.readouterr().err == ""
    run_study([TINY], QUICK, 4, 1, store, progress=True)
    assert "4/4" in capfd.readouterr().err


def test_blocks_of_all_scenarios_advance_together(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the estimate of the time left is fair, and a stopped study is balanced."""
    order = []
    compute_all = run.completed

    def spy(pool, blocks):  # type: ignore[no-untyped-def]
        order.extend((block.scenario.name, block.replicates[0]) for block in blocks)
        return compute_all(pool, blocks)

    monkeypatch.setattr(run, "completed", spy)
    run_study([TINY, OTHER], QUICK, 4, 1, store, block_size=2)
    assert order == [("tiny", 0), ("other", 0), ("tiny", 2), ("other", 2)]


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
