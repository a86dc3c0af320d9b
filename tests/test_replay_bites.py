"""The replay turns red when something real changes, and stays green when nothing does.

Each case changes one line of a copy of the package and replays a recorded notebook with it, in a pytest run of its own.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hte_utils.ledger.notebooks import Project

PROJECT = Project.find()
PYTEST = Path(sys.executable).with_name("pytest")


@dataclass(frozen=True)
class Change:
    """One edit of one file of the package."""

    file: str
    old: str
    new: str

    def apply(self, package):
        path = package / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) >= 1, f"{self.old!r} is no longer in {self.file}: adapt this test"
        path.write_text(text.replace(self.old, self.new, 1), encoding="utf-8")


def replay(notebook, *, changes=(), tmp_path, threads=None):
    shutil.copytree(PROJECT.root / "hte_utils", tmp_path / "hte_utils", ignore=shutil.ignore_patterns("__pycache__"))
    # The copy finds the checkout's reference values beside itself, as the package does.
    (tmp_path / "_toc.yml").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "reference").symlink_to(PROJECT.root / "tests" / "reference")
    for change in changes:
        change.apply(tmp_path / "hte_utils")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    if threads:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return subprocess.run(
        [PYTEST, "-n0", "-q", "-p", "no:cacheprovider", str(PROJECT.recording(notebook))],
        cwd=PROJECT.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


CHANGES = {
    "a coefficient of the generator": (
        "02-baseline-table",
        Change("trial/listing_1.py", "anticoagulant: float = 0.8", "anticoagulant: float = 0.9"),
        "table1.event",
    ),
    "a label": (
        "02-baseline-table",
        Change(
            "trial/listing_1.py",
            '_factor(patients.gender, "Male", "Female")',
            '_factor(patients.gender, "Female", "Male")',
        ),
        "table1.gender.male.count.control",
    ),
    "a printed number": (
        "02-baseline-table",
        Change("paper/table_1.csv", ",55.54,", ",55.55,"),
        "the paper's number is now '55.55'",
    ),
    "a number that only the text shows": (
        "02-baseline-table",
        Change("reproduction/table_1.py", "float(fitted.llr)", "float(2 * fitted.llr)"),
        "recorded \"'10.4'\"",
    ),
    "the standardisation": (
        "03-model",
        Change("model/spec.py", "values.std(ddof=1)", "values.std(ddof=0)"),
        "scale.age.sd",
    ),
    "a number that statements rest on": (
        "07-statements",
        Change("paper/table_8.csv", ",-0.359,", ",0.359,"),
        "statement.average-and-subgroup",
    ),
    "the treatment draw that counts": (
        "02-baseline-table",
        Change("trial/listing_1.py", "second if variant is TrialVariant.AS_PRINTED else treatment", "treatment"),
        "table1.n.control",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_turns_the_replay_red(name, tmp_path):
    notebook, change, complaint = CHANGES[name]
    run = replay(notebook, changes=[change], tmp_path=tmp_path)
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout[-2000:]
    assert complaint in run.stdout


@pytest.mark.parametrize("threads", [1, 2])
def test_no_change_leaves_the_replay_green_whatever_the_threads(threads, tmp_path):
    run = replay("02-baseline-table", tmp_path=tmp_path, threads=threads)
    assert run.returncode == pytest.ExitCode.OK, run.stdout[-2000:]
