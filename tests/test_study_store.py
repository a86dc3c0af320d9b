"""Results on disk: nothing torn is taken for whole, nothing different is mixed, a full disk loses nothing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pytest
from hte_utils.study.cell import CellDefinition
from hte_utils.study.scenario import Scenario
from hte_utils.study.seeds import replicate_seed
from hte_utils.study.table import to_table
from study_methods import RiskByArm

from hte_utils.study.replicate import POPULATIONS, replicate
from hte_utils.study.store import CELL_FILE, StoreError, StoreMismatchError, StudyStore

TINY = Scenario("tiny", "tiny", n_patients=100, population_size=100)
METHOD = RiskByArm()
CELL = CellDefinition.of(TINY, METHOD, 1)


def results(*numbers: int) -> pa.Table:
    return to_table((k, row) for k in numbers for row in replicate(TINY, [METHOD], replicate_seed(1, "tiny", k)))


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    store = StudyStore(tmp_path / "store")
    store.begin(CELL)
    return store


def test_what_is_written_is_read(store: StudyStore) -> None:
    store.write(CELL, results(2, 3))
    store.write(CELL, results(0, 1))
    assert store.cells() == [("tiny", "risk-by-arm")]
    assert store.done("tiny", "risk-by-arm") == {0, 1, 2, 3}
    frame = store.read()
    assert frame["replicate"].tolist() == [k for k in range(4) for _ in POPULATIONS]
    assert set(frame["scenario"]) == {"tiny"}
    expected = results(0, 1, 2, 3).to_pandas().sort_values(["replicate", "population"], ignore_index=True)
    pd.testing.assert_frame_equal(
        frame[expected.columns].astype({"population": str}).drop(columns="seconds"),
        expected.astype({"population": str}).drop(columns="seconds"),
        check_exact=True,
    )


def test_a_choice_can_be_read(store: StudyStore) -> None:
    store.write(CELL, results(0))
    other = CellDefinition.of(TINY, replace(METHOD, name="other"), 1)
    store.begin(other)
    store.write(other, results(0))
    assert set(store.read(methods=["other"])["method"]) == {"other"}
    assert set(store.read(populations=["trial"])["population"]) == {"trial"}
    with pytest.raises(FileNotFoundError, match=r"no complete results for scenarios .*nope"):
        store.read(scenarios=["nope"])


def test_any_parquet_reader_can_read_it(store: StudyStore) -> None:
    store.write(CELL, results(0, 1))
    found = pyarrow.dataset.dataset(store.folder, partitioning="hive").to_table()
    assert found.num_rows == 2 * len(POPULATIONS)
    assert set(found["method"].to_pylist()) == {"risk-by-arm"}


def test_nothing_torn_or_damaged_is_taken_for_whole(store: StudyStore) -> None:
    store.write(CELL, results(0))
    victim = store.write(CELL, results(1))
    content = victim.read_bytes()
    for damaged in (content[:-1], content[: len(content) // 2], b"", content[:100] + b"\0" + content[101:]):
        victim.write_bytes(damaged)
        assert store.done("tiny", "risk-by-arm") == {0}
        assert set(store.read()["replicate"]) == {0}
    (victim.parent / ".writing-abc").write_bytes(content)  # what a kill leaves behind
    assert store.done("tiny", "risk-by-arm") == {0}
    victim.write_bytes(content)
    assert store.done("tiny", "risk-by-arm") == {0, 1}


def test_replicates_stored_twice_are_there_once(store: StudyStore) -> None:
    store.write(CELL, results(0, 1))
    store.write(CELL, results(1, 2))
    assert store.read()["replicate"].tolist() == [k for k in range(3) for _ in POPULATIONS]


def test_results_of_other_code_are_never_mixed_in(store: StudyStore) -> None:
    store.write(CELL, results(0))
    changed = replace(CELL, sources={**CELL.sources, "hte_utils.trial": "0" * 16})
    with pytest.raises(StoreMismatchError, match=r"must not be mixed.*hte_utils\.trial.*Give another store"):
        store.begin(changed)
    store.write(changed, results(1))  # even past that check it is not read as the cell's own
    assert store.done("tiny", "risk-by-arm") == {0}
    store.begin(CELL)


def test_a_damaged_record_is_one_clear_error(store: StudyStore) -> None:
    store.write(CELL, results(0))
    record = next(store.folder.rglob(CELL_FILE))
    record.write_text(record.read_text()[:-10])
    with pytest.raises(ValueError, match=r"_cell\.json is damaged"):
        store.read()


def test_compaction_keeps_every_bit_and_can_be_interrupted(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(4):
        store.write(CELL, results(k))
    before = store.read()

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.compact()
    pd.testing.assert_frame_equal(store.read(), before, check_exact=True)
    assert store.compact() == 4  # the four old ones; the merged one is there already
    assert store.compact() == 0
    assert len(list(store.folder.rglob("*.parquet"))) == 1
    pd.testing.assert_frame_equal(store.read(), before, check_exact=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB, where this may be made."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if not made or made.returncode:
        pytest.skip("this user may not mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_one_clear_error_and_loses_nothing(tiny_disk: Path) -> None:
    store = StudyStore(tiny_disk / "store")
    store.begin(CELL)
    written: list[int] = []

    def fill() -> None:
        for k in range(100):
            store.write(CELL, results(k))
            written.append(k)

    with pytest.raises(StoreError, match=r"the disk is full.*untouched.*run the same command again") as caught:
        fill()
    assert caught.value.errno == errno.ENOSPC
    assert len(written) > 1
    assert store.done("tiny", "risk-by-arm") == set(written)
    assert not list(tiny_disk.rglob(".writing-*"))
    next(store.folder.rglob("replicates-000000-*")).unlink()  # room is made
    store.write(CELL, results(len(written)))
    assert store.done("tiny", "risk-by-arm") == {*written[1:], len(written)}


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_an_error_at_any_step_leaves_no_trace(store: StudyStore, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store.write(CELL, results(0))

    def fails(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync", fails) if call == "fsync" else (Path, "replace", fails)))
    with pytest.raises(StoreError, match="the disk is full"):
        store.write(CELL, results(1))
    assert store.done("tiny", "risk-by-arm") == {0}
    assert {path.name for path in store.folder.rglob("*.*")} == {
        CELL_FILE, next(store.folder.rglob("*.parquet")).name,
    }  # fmt: skip


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="must be a folder"):
        StudyStore(tmp_path / "file")
    with pytest.raises(FileNotFoundError, match="has no results of 'm' under 's'"):
        StudyStore(tmp_path / "nothing").provenance("s", "m")
