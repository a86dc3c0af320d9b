"""Published results are run again in canonical arithmetic: what must be equal, what may differ, what fails."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from hte_utils.study.published import PROVENANCE_FILE, RESULTS_FILE, publish, published_provenance, read_published
from hte_utils.study.recheck import TOLERANCE, NotReproducedError, Recheck, recheck
from hte_utils.study.store import StudyStore

METHODS = ["constant", "path"]
X86 = platform.machine().lower() in {"x86_64", "amd64"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study by the command line, which makes itself canonical, and its copy."""
    folder = tmp_path_factory.mktemp("study")
    words = ["run", "--store", str(folder / "store"), "--scenarios", "patients-500", "--methods", *METHODS]
    subprocess.run(
        [sys.executable, "-m", "hte_utils.study", *words, "--replicates", "3", "--workers", "1"],
        check=True,
        capture_output=True,
    )
    publish(StudyStore(folder / "store"), folder / "copy", bits=12)
    return folder / "copy"


@pytest.fixture
def copy(published: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(published, tmp_path / "copy"))


def forge(copy: Path, change: Callable[[pd.DataFrame], object], arithmetic: dict[str, object] | None = None) -> None:
    """Change results and what is said about their arithmetic, and make the two files fit again."""
    frame = pd.read_parquet(copy / RESULTS_FILE)
    change(frame)
    frame.to_parquet(copy / RESULTS_FILE)
    record = json.loads((copy / PROVENANCE_FILE).read_text())
    record["sha256"] = hashlib.sha256((copy / RESULTS_FILE).read_bytes()).hexdigest()
    for cell in record["cells"]:
        cell["arithmetic"] |= arithmetic or {}
    (copy / PROVENANCE_FILE).write_text(json.dumps(record))


def other_digests(frame: pd.DataFrame) -> None:
    frame.loc[frame["digest"] != 0, "digest"] += 1


def other_digests_and_values(frame: pd.DataFrame) -> None:
    other_digests(frame)
    frame["rd_rmse"] *= 2.0


def test_what_is_stored_comes_out_again_bit_for_bit(published: Path) -> None:
    found = recheck(published, METHODS, replicates=6, seed=1)
    assert found.identical
    assert found.conditions == ()
    assert found.passed
    assert {*zip(found.checked["method"], found.checked["replicate"], strict=True)} <= {
        (name, number) for name in METHODS for number in range(3)
    }
    assert "the same bit for bit" in found.require()
    if X86:
        assert all(made.arithmetic["canonical"] for made in published_provenance(published).values())


def test_another_last_bit_fails_where_arithmetic_and_versions_are_the_same(copy: Path) -> None:
    forge(copy, other_digests)
    found = recheck(copy, METHODS, replicates=2, seed=2)
    assert not found.passed
    with pytest.raises(NotReproducedError, match=r"2 of 2 stored replicates .* same arithmetic and versions"):
        found.require()


def test_another_last_bit_is_said_and_forgiven_where_the_c_library_is_another(copy: Path) -> None:
    forge(copy, other_digests, {"c_library": "glibc 1.0"})
    found = recheck(copy, METHODS, replicates=2, seed=3)
    assert (found.identical, found.passed) == (False, True)
    assert "glibc 1.0" in found.require()


def test_another_value_is_never_forgiven(copy: Path) -> None:
    forge(copy, other_digests_and_values, {"c_library": "glibc 1.0"})
    found = recheck(copy, METHODS, replicates=2, seed=4)
    assert not found.passed
    worst = found.deviations.sort_values("in_sd").iloc[-1]
    assert (worst["column"], worst["in_sd"] > TOLERANCE) == ("rd_rmse", True)
    frame = read_published(copy)
    cell = (frame["method"] == worst["method"]) & (frame["population"] == worst["population"])
    expected = abs(worst["stored"] - worst["again"]) / frame.loc[cell, "rd_rmse"].std()
    assert worst["in_sd"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("identical", "conditions", "in_sd", "passed"),
    [
        (True, (), [], True),
        (True, ("versions: numpy",), [], True),
        (False, (), [0.0], False),
        (False, ("versions: numpy",), [TOLERANCE], True),
        (False, ("versions: numpy",), [0.0, 1.01 * TOLERANCE], False),
        (False, ("versions: numpy",), [float("inf")], False),
        (False, ("versions: numpy",), [float("nan")], False),
    ],
)
def test_when_it_passes(identical: bool, conditions: tuple[str, ...], in_sd: list[float], passed: bool) -> None:
    checked = pd.DataFrame({"identical": [True, identical]})
    assert Recheck(checked, 1, 10, conditions, pd.DataFrame({"in_sd": in_sd})).passed is passed
