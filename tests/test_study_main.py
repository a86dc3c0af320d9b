"""The command line, called as a function (the disturbed runs call it as a program)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hte_utils.study.__main__ import main
from hte_utils.study.scenarios import SCENARIOS
from hte_utils.study.store import StudyStore

FROM = ("--methods-from", "study_methods:METHODS")


def run(store: Path, *more: str, replicates: int = 3) -> int:
    arguments = ("run", "--store", str(store), "--replicates", str(replicates), "--workers", "1", *more)
    return main([*arguments, *FROM])


def test_a_study_from_beginning_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("--scenarios", "patients-500", "no-effect", "--methods", "noisy", "fails-sometimes")
    assert run(tmp_path / "store", *chosen, "--block-size", "1") == 0
    assert capsys.readouterr().out.startswith("computed 12 runs (")
    assert run(tmp_path / "store", *chosen, "--compact") == 0
    assert "computed 0 runs (0 of them failed), found 12 in the store" in capsys.readouterr().out
    assert len(list(tmp_path.rglob("*.parquet"))) == 4
    assert main(["list", "--store", str(tmp_path / "store"), *FROM]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SCENARIOS)
    assert "observed difference (slow)" in listed
    assert main(["summarise", "--store", str(tmp_path / "store"), "--csv", str(tmp_path / "all.csv")]) == 0
    shown = capsys.readouterr().out
    assert "Monte Carlo standard error" in shown
    assert "ArithmeticError" in shown
    written = pd.read_csv(tmp_path / "all.csv").set_index(["scenario", "method", "population", "measure"])
    expected = StudyStore(tmp_path / "store").read(["no-effect"], ["noisy"], ["trial"])["rd_rmse"].mean()
    assert written.loc[("no-effect", "noisy", "trial", "rd_rmse"), "value"] == pytest.approx(expected)
    assert main(["verify", "--store", str(tmp_path / "store"), "--replicates", "2", "--methods", "noisy", *FROM]) == 0
    assert "Reproduced. 2 stored runs" in capsys.readouterr().out


def test_groups_of_methods(tmp_path: Path) -> None:
    assert run(tmp_path, "--scenarios", "no-effect", "--methods", "quick", replicates=1) == 0
    assert {method for _, method in StudyStore(tmp_path).cells()} == {"risk-by-arm", "noisy", "fails-sometimes"}
    assert run(tmp_path, "--scenarios", "no-effect", "--methods", "all", replicates=1) == 0
    assert len(StudyStore(tmp_path).cells()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scenarios", "nope", "--methods", "noisy"), "no scenario ['nope']; choose from"),
        (("--scenarios", "no-effect", "--methods", "nope"), "no method ['nope']; choose from"),
        (("--scenarios", "no-effect", "--methods", "noisy", "--seed", "-1"), "seed must be from 0"),
    ],
)
def test_wrong_calls_are_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(tmp_path / "store", *arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_mismatches_and_missing_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("--scenarios", "no-effect", "--methods", "noisy")
    assert run(tmp_path, *chosen, replicates=1) == 0
    assert run(tmp_path, *chosen, "--seed", "2", replicates=1) == 2
    assert "must not be mixed" in capsys.readouterr().err
    assert main(["summarise", "--store", str(tmp_path / "nothing")]) == 2
    assert "no complete results" in capsys.readouterr().err
    assert main(["summarise", "--store", str(tmp_path), "--population", "nobody"]) == 2
    assert "no population 'nobody'" in capsys.readouterr().err
    assert main(["list", "--methods-from", "no.such:thing"]) == 2
    assert "no methods at 'no.such:thing'" in capsys.readouterr().err
    scheduler = ("--scheduler", "tcp://127.0.0.1:9")
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path, *chosen, *scheduler)  # --workers and --scheduler exclude each other
    assert stopped.value.code == 2
