"""Stored results: a round trip, and a stored number that was tampered with is found out."""

from __future__ import annotations

from pathlib import Path

import pytest

from hte_utils.bayesian_checks import stored_checks
from hte_utils.bayesian_checks.sbc import Calibration
from hte_utils.bayesian_checks.stored_checks import (
    CANDIDATES_FILE,
    EVALUATED_SEEDS,
    RANKS_FILE,
    SCENARIOS,
    provenance,
    repeat_calibration,
    repeat_evaluation,
    run_calibration,
    store_calibrations,
    store_evaluation,
    stored_calibrations,
    stored_evaluation,
)
from hte_utils.candidate_models import PAPER_MODEL

BOOK_DATA = Path(__file__).parents[1] / "book" / "data"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six trials a scenario, one evaluated trial, one model."""
    monkeypatch.setattr(stored_checks, "TRIALS", 6)
    monkeypatch.setattr(stored_checks, "EVALUATED_SEEDS", (5,))
    monkeypatch.setattr(stored_checks, "CANDIDATES", (PAPER_MODEL,))


@pytest.mark.usefixtures("small")
def test_calibrations_round_trip(tmp_path: Path) -> None:
    store_calibrations(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [RANKS_FILE]
    stored = stored_calibrations(tmp_path)
    assert list(stored) == list(SCENARIOS)
    for name, calibration in stored.items():
        assert calibration.ranks.equals(run_calibration(name).ranks)
        assert repeat_calibration(calibration, name, [1, 4])
    changed = stored["paper"].ranks.copy(deep=True)
    changed["b_age"][4] += 1
    assert not repeat_calibration(Calibration(changed, 99, stored["paper"].seed), "paper", [1, 4])


@pytest.mark.usefixtures("small")
def test_evaluation_round_trip(tmp_path: Path) -> None:
    store_evaluation(tmp_path)
    stored = stored_evaluation(tmp_path)
    assert set(stored["seed"]) == {123, 5}
    assert set(provenance(stored)) == {"made_by", "made_on", "versions"}
    assert repeat_evaluation(stored, 5, [PAPER_MODEL])
    stored.loc[stored["seed"] == 5, "rmse"] += 1e-6
    assert not repeat_evaluation(stored, 5, [PAPER_MODEL])


def test_missing_files_say_how_to_make_them(tmp_path: Path) -> None:
    for read in (stored_calibrations, stored_evaluation):
        with pytest.raises(FileNotFoundError, match=r"python benchmarks/bayesian_checks.py"):
            read(tmp_path)


def test_unknown_scenario() -> None:
    with pytest.raises(ValueError, match="scenario must be one of"):
        run_calibration("other")


def test_what_the_book_reads_is_complete_and_comes_out_again() -> None:
    assert (BOOK_DATA / CANDIDATES_FILE).exists()
    results = stored_evaluation(BOOK_DATA)
    assert set(results["seed"]) == {123, *EVALUATED_SEEDS}
    assert 123 not in EVALUATED_SEEDS
    assert repeat_evaluation(results, 1001, [PAPER_MODEL])
    for name, calibration in stored_calibrations(BOOK_DATA).items():
        assert calibration.ranks.sizes["trial"] == 1000
        assert repeat_calibration(calibration, name, [0, 999])
