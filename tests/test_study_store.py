"""Results on disk: nothing damaged is taken for whole, nothing different is mixed, a full disk loses nothing."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_methods import METHODS, FailsSometimes, RiskByArm
from study_runs import run_here

from hte_utils.methods import METHODS as LADDER
from hte_utils.methods.measures import MEASURES
from hte_utils.study import store as store_module
from hte_utils.study.performance import average_effect_performance, paired_differences, performance
from hte_utils.study.replicate import POPULATIONS, replicate, replicate_seed
from hte_utils.study.scenarios import SCENARIOS, Scenario
from hte_utils.study.store import (
    CIRCUMSTANCES,
    COPY,
    EXACT_BITS,
    SCHEMA,
    StoreError,
    StoreMismatchError,
    StudyStore,
    definition_of,
    method_module,
    rounded,
    this_run,
    to_table,
)

TINY = Scenario("tiny", "tiny", n_patients=100, population_size=100)
METHOD = RiskByArm()
BITS = 16
CELL = definition_of(TINY, METHOD, 1)
RUN = this_run()


def results(*numbers: int, method: RiskByArm = METHOD) -> pa.Table:
    rows = ((k, row) for k in numbers for row in replicate(TINY, [method], replicate_seed(1, "tiny", k)))
    return to_table("tiny", rows)


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return StudyStore(tmp_path / "store")


def test_what_is_written_is_read_to_the_last_bit(store: StudyStore) -> None:
    store.write(CELL, RUN, results(2, 3))
    store.write(CELL, RUN, results(0, 1))
    store.write(CELL, RUN, results(1, 2))  # twice in the store, once in what is read
    assert store.cells() == [("tiny", "risk-by-arm")]
    assert store.done(CELL) == {0, 1, 2, 3}
    frame = store.read()
    assert set(frame["scenario"]) == {"tiny"}
    expected = results(0, 1, 2, 3).to_pandas().sort_values(["replicate", "population"], ignore_index=True)
    pd.testing.assert_frame_equal(
        frame.astype(dict.fromkeys(["scenario", "method", "population"], str)).drop(columns="seconds"),
        expected.drop(columns="seconds"),
        check_exact=True,
    )


def test_a_gap_is_a_value() -> None:
    rows = replicate(TINY, [FailsSometimes(), METHOD], replicate_seed(1, "tiny", 0))
    table = to_table("tiny", ((0, row) for row in rows))
    assert table.schema == SCHEMA
    assert all(column.null_count == 0 for column in table.columns)
    assert math.isnan(table["seconds"].to_pylist()[1])
    assert {*MEASURES, *CIRCUMSTANCES} < set(SCHEMA.names)


def test_a_choice_can_be_read(store: StudyStore) -> None:
    store.write(CELL, RUN, results(0))
    other = replace(METHOD, name="other")
    store.write(definition_of(TINY, other, 1), RUN, results(0, method=other))
    assert set(store.read(methods=["other"])["method"]) == {"other"}
    assert set(store.read(populations=["trial"])["population"]) == {"trial"}
    with pytest.raises(FileNotFoundError, match=r"no results of .*nope"):
        store.read(scenarios=["nope"])


def test_any_parquet_reader_can_read_it(store: StudyStore) -> None:
    store.write(CELL, RUN, results(0, 1))
    found = pyarrow.dataset.dataset(store.folder, format="parquet").to_table()
    assert found.num_rows == 2 * len(POPULATIONS)
    assert set(found["method"].to_pylist()) == {"risk-by-arm"}


def test_damage_is_seen_and_what_a_kill_leaves_behind_is_not(store: StudyStore) -> None:
    store.write(CELL, RUN, results(0))
    (victim,) = store.folder.rglob("*.parquet")
    content = victim.read_bytes()
    (victim.parent / ".writing-abc").write_bytes(content[:1000])
    assert store.done(CELL) == set(store.read()["replicate"]) == {0}
    flipped = bytearray(content)
    flipped[200] ^= 1  # one bit of the data: the page's checksum tells
    for damaged in (content[:-1], content[: len(content) // 2], b"", bytes(flipped)):
        victim.write_bytes(damaged)
        with pytest.raises(StoreError, match="a file is damaged"):
            store.read()
    victim.write_bytes(content)
    assert store.done(CELL) == {0}


def test_whatever_decides_a_number_keeps_results_apart(store: StudyStore) -> None:
    store.write(CELL, RUN, results(0))
    same = definition_of(replace(TINY, label="other words"), RiskByArm(label="other words", slow=True), 1)
    assert store.done(same) == {0}
    effect = replace(TINY.effect, base=-0.21)  # type: ignore[type-var]
    others = {
        "scenario: n_patients 100 -> 600": definition_of(replace(TINY, n_patients=600), METHOD, 1),
        "scenario: effect": definition_of(replace(TINY, effect=effect), METHOD, 1),
        "method: noise 0.0 -> 0.1": definition_of(TINY, replace(METHOD, noise=0.1), 1),
        "seed: 1 -> 2": definition_of(TINY, METHOD, 2),
        "versions: numpy": {**CELL, "versions": {**CELL["versions"], "numpy": "0.1"}},
        "code: ": {**CELL, "code": "other code"},
    }
    for what, other in others.items():
        with pytest.raises(StoreMismatchError, match=f"must not be mixed.*{what}.*Give another store"):
            store.done(other)


def test_the_ladder_s_methods_are_defined_by_their_own_code() -> None:
    scenario = SCENARIOS["patients-500"]
    cell, other = (definition_of(scenario, LADDER[name], 1) for name in ("constant", "interactions_lasso"))
    assert cell["method"]["module"] == "hte_utils.methods.logistic"
    assert method_module(RiskByArm()) == "study_methods"
    assert "label" not in cell["method"]
    # A method of another package brings its own file.
    assert cell["code"] == other["code"] != definition_of(scenario, RiskByArm(), 1)["code"]
    assert {"python", "numpy", "pandas", "scikit-learn"} <= other["versions"].keys()


def test_every_part_says_what_made_it(store: StudyStore) -> None:
    store.write(CELL, RUN, results(0))
    (made,) = store.made()
    (run,) = made["runs"]
    assert made["definition"] == CELL
    assert run == RUN | {"seed": 1, "versions": CELL["versions"], "cells": [["tiny", "risk-by-arm"]]}
    assert run["versions"]["numpy"] == np.__version__
    assert run["began"].endswith("+00:00")
    lock = Path(store_module.__file__).parents[2] / "requirements.lock"
    assert run["lock"] == hashlib.sha256(lock.read_bytes()).hexdigest()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 kB, where this may be made."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tiny_disk: Path) -> None:
    store = StudyStore(tiny_disk / "store")
    written: list[int] = []

    def fill() -> None:
        for k in range(100):
            store.write(CELL, RUN, results(k))
            written.append(k)

    with pytest.raises(StoreError, match=r"the disk is full.*untouched.*run the same command again"):
        fill()
    assert len(written) > 1
    assert store.done(CELL) == set(written)
    assert not list(tiny_disk.rglob(".writing-*"))
    next(store.folder.rglob("replicates-000000-*")).unlink()  # room is made
    store.write(CELL, RUN, results(len(written)))
    assert store.done(CELL) == {*written[1:], len(written)}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_error_at_any_step_leaves_no_trace(store: StudyStore, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store.write(CELL, RUN, results(0))
    files = sorted(store.folder.rglob("*.*"))

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((store_module, "fsync", fails) if call == "fsync" else (Path, "replace", fails)))
    with pytest.raises(StoreError, match="the disk is full"):
        store.write(CELL, RUN, results(1))
    assert store.done(CELL) == {0}
    assert sorted(store.folder.rglob("*.*")) == files


CHOSEN = {name: METHODS[name] for name in ("noisy", "risk-by-arm", "fails-sometimes")}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    store = StudyStore(tmp_path_factory.mktemp("store"))
    run_here([replace(TINY, n_patients=200)], list(CHOSEN.values()), 6, 3, store)
    return store


def copied(study: StudyStore, folder: Path, **options: object) -> StudyStore:
    everything = {"bits": BITS, "measures": MEASURES, "of_profiles": MEASURES}
    study.copy(folder, **everything | options)
    return StudyStore(folder)


def test_the_copy_says_what_the_store_says(study: StudyStore, tmp_path: Path) -> None:
    copy = copied(study, tmp_path)
    ours, full = copy.read(), study.read()
    np.testing.assert_allclose(ours[list(MEASURES)], full[list(MEASURES)], rtol=2.0**-BITS, atol=0)
    for name in ("error", "flags"):
        assert ours[name].tolist() == full[name].tolist()
    for summary in (performance, average_effect_performance, lambda frame: paired_differences(frame, "noisy")):
        pd.testing.assert_frame_equal(summary(ours), summary(full), rtol=1e-3, atol=3e-3, check_index_type=False)
    assert copy.seeds() == study.seeds() == dict.fromkeys([("tiny", name) for name in sorted(CHOSEN)], 3)
    (run,) = copy.runs()  # one command, one state of the code
    assert run["cells"] == [("tiny", name) for name in sorted(CHOSEN)]
    assert run["began"] == min(made["runs"][0]["began"] for made in study.made())
    assert (copy.bits(), study.bits()) == (BITS, EXACT_BITS)


def test_a_part_is_smaller(study: StudyStore, tmp_path: Path) -> None:
    copied(study, tmp_path / "all")
    part = copied(study, tmp_path / "part", measures=["rd_rmse"], of_profiles=[], populations=["trial"])
    copied(study, tmp_path / "coarse", bits=10)
    sizes = [(tmp_path / name / COPY).stat().st_size for name in ("part", "all", "coarse")]
    assert sizes[2] < sizes[1]
    assert sizes[0] < 0.5 * sizes[1]
    assert set(part.read()["population"]) == {"trial"}


def test_a_copy_keeps_what_runs_took_on_average(study: StudyStore, tmp_path: Path) -> None:
    own, kept = study.seconds(), copied(study, tmp_path).seconds()
    assert list(own.index) == study.cells()
    assert (own["seconds"] > 0.0).all()
    pd.testing.assert_frame_equal(kept, own, check_index_type=False, atol=1e-4)


def test_a_copy_is_not_added_to(study: StudyStore, tmp_path: Path) -> None:
    with pytest.raises(StoreMismatchError, match=r"holds a copy.*store of your own"):
        run_here([TINY], [CHOSEN["noisy"]], 7, 3, copied(study, tmp_path))


@given(st.floats(-1e300, 1e300, allow_subnormal=False) | st.sampled_from([math.inf, -math.inf, math.nan]))
def test_rounding_keeps_so_many_bits(value: float) -> None:
    found = float(rounded(np.asarray(value), BITS))
    if math.isfinite(value):
        assert abs(found - value) <= 2.0**-BITS * abs(value)
        assert rounded(np.asarray(found), BITS) == found
    else:
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_a_damaged_copy_is_seen(study: StudyStore, tmp_path: Path) -> None:
    copy, path = copied(study, tmp_path), tmp_path / COPY
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match="a file is damaged"):
        copy.read()
    with pytest.raises(FileNotFoundError):
        StudyStore(tmp_path / "nothing").read()


def test_profiles_keep_less(study: StudyStore, tmp_path: Path) -> None:
    frame = copied(study, tmp_path, measures=["rd_rmse", "ate_truth"], of_profiles=["ate_truth"]).read()
    single = frame["population"].astype(str).str.startswith("profile-")
    assert single.any()
    assert frame.loc[single, "rd_rmse"].isna().all()
    assert frame.loc[single & (frame["error"] == ""), "ate_truth"].notna().all()
    assert frame.loc[~single & (frame["error"] == ""), "rd_rmse"].notna().all()
