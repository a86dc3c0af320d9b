"""The command line, called as a function (the disturbed runs call it as a program)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import dask
import pytest
from distributed import Client

from hte_utils.study import __main__ as command_line
from hte_utils.study.__main__ import main
from hte_utils.study.run import study_client
from hte_utils.study.store import StudyStore

FROM = ("--methods-from", "study_methods:METHODS")
NOISY = ("--scenarios", "no-effect", "--methods", "noisy")


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster in this process, which starts at once, where one of processes is asked for; and little patience."""

    def client(workers: int | None, address: str | None) -> AbstractContextManager[Client]:
        return study_client(workers, address, processes=False)

    monkeypatch.setattr(command_line, "study_client", client)
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        yield


def run(store: Path, *more: str, replicates: int = 3) -> int:
    return main(["run", "--store", str(store), "--replicates", str(replicates), *more, *FROM])


def test_a_study_from_beginning_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = ("--scenarios", "patients-500", "no-effect", "--methods", "noisy", "fails-sometimes")
    assert run(tmp_path / "store", *chosen, "--block-size", "1") == 0
    assert capsys.readouterr().out.startswith("computed 12 runs (")
    assert run(tmp_path / "store", *chosen) == 0
    assert "computed 0 runs (0 of them failed), found 12 in the store" in capsys.readouterr().out
    assert main(["verify", "--store", str(tmp_path / "store"), "--replicates", "2", "--methods", "noisy", *FROM]) == 0
    assert "Reproduced. 2 stored runs" in capsys.readouterr().out


def test_the_book_s_copy_is_proved(capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(__file__).parents[1] / "book" / "data" / "study"
    assert main(["verify", "--store", str(copy), "--replicates", "2", "--methods", "constant", "path"]) == 0
    assert "Reproduced. 2 stored runs" in capsys.readouterr().out


def test_groups_of_methods(tmp_path: Path) -> None:
    assert run(tmp_path, "--scenarios", "no-effect", "--methods", "quick", replicates=1) == 0
    assert {method for _, method in StudyStore(tmp_path).cells()} == {"risk-by-arm", "noisy", "fails-sometimes"}
    assert run(tmp_path, "--scenarios", "no-effect", "--methods", "all", replicates=1) == 0
    assert len(StudyStore(tmp_path).cells()) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--scenarios", "nope", "--methods", "noisy"), "invalid choice: 'nope' (choose from"),
        ((*NOISY, "--seed", "-1"), "must be a whole number from 0; got -1"),
        ((*NOISY, "--workers", "0"), "must be a whole number from 1; got 0"),
        ((*NOISY, "--block-size", "1.5"), "invalid whole number value: '1.5'"),
        ((*NOISY, "--methods-from", "no.such:thing"), "there are no methods at 'no.such:thing'"),
    ],
)
def test_wrong_words_are_told_with_the_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "--store", str(tmp_path / "store"), "--replicates", "3", *FROM, *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--scenarios", "no-effect", "--methods", "nope"), 2, "no method ['nope']; choose from ['risk-by-arm'"),
        ((*NOISY, "--workers", "2", "--scheduler", "tcp://x:1"), 2, "has its own workers"),
        ((*NOISY, "--scheduler", "tcp://127.0.0.1:9"), 1, "no Dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_wrong_calls_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], status: int, message: str
) -> None:
    assert run(tmp_path / "store", *arguments) == status
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "store").exists()


def test_mismatches_and_missing_things(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, *NOISY, replicates=1) == 0
    assert run(tmp_path, *NOISY, "--seed", "2", replicates=1) == 2
    assert "must not be mixed" in capsys.readouterr().err
    assert main(["verify", "--store", str(tmp_path / "nothing"), *FROM]) == 2
    assert "has no results" in capsys.readouterr().err
