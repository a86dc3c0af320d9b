"""Stored results: a round trip, and a stored number that was tampered with is found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hte_utils.corrected import stored_checks
from hte_utils.corrected.sbc import Calibration
from hte_utils.corrected.stored_checks import (
    CANDIDATES_FILE,
    EVALUATED_SEEDS,
    RANKS_FILE,
    SCENARIOS,
    prove_calibrations,
    prove_evaluation,
    provenance,
    store_calibrations,
    store_evaluation,
    stored_calibrations,
    stored_evaluation,
)
from hte_utils.model.candidates import PAPER_MODEL

BOOK_DATA = Path(__file__).parents[1] / "book" / "data"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six trials a scenario, one evaluated trial, one model."""
    monkeypatch.setattr(stored_checks, "SCENARIOS", {name: replace(s, trials=6) for name, s in SCENARIOS.items()})
    monkeypatch.setattr(stored_checks, "EVALUATED_SEEDS", (5,))
    monkeypatch.setattr(stored_checks, "CANDIDATES", (PAPER_MODEL,))


@pytest.mark.usefixtures("small")
def test_calibrations_round_trip(tmp_path: Path) -> None:
    store_calibrations(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [RANKS_FILE]
    stored = stored_calibrations(tmp_path)
    assert list(stored) == list(SCENARIOS)
    assert prove_calibrations(stored, 6, np.random.default_rng(1)).passed


def changed(stored: dict[str, Calibration], by: int) -> dict[str, Calibration]:
    ranks = stored["paper"].ranks.copy(deep=True)
    ranks["b_age"][4] += by if ranks["b_age"][4] < 50 else -by
    return stored | {"paper": Calibration(ranks, 99, stored["paper"].seed)}


@pytest.mark.usefixtures("small")
def test_a_rank_may_move_by_an_acceptance_and_not_by_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store_calibrations(tmp_path)
    stored = stored_calibrations(tmp_path)
    assert prove_calibrations(changed(stored, 2), 6, np.random.default_rng(1)).passed
    failed = prove_calibrations(changed(stored, 3), 6, np.random.default_rng(1)).failures
    assert failed[["scenario", "quantity", "trial"]].to_numpy().tolist() == [["paper", "b_age", 4]]
    # The paper's fit in place of the faulty one; and another seed.
    swapped = stored | {"fault": stored["paper"]}
    assert len(prove_calibrations(swapped, 6, np.random.default_rng(1)).failures) > 10
    monkeypatch.setattr(stored_checks, "SEED", 5)
    assert len(prove_calibrations({"paper": stored["paper"]}, 6, np.random.default_rng(1)).failures) > 20


@pytest.mark.usefixtures("small")
def test_evaluation_round_trip(tmp_path: Path) -> None:
    store_evaluation(tmp_path)
    stored = stored_evaluation(tmp_path)
    assert set(stored["seed"]) == {123, 5}
    assert set(provenance(stored)) == {"made_by", "made_on", "versions"}
    assert prove_evaluation(stored, 5, [PAPER_MODEL]).passed


def test_a_tenth_of_a_standard_deviation_is_found_in_any_measure() -> None:
    results = stored_evaluation(BOOK_DATA)
    place = (results["seed"] == 1001) & (results["model"] == "paper")
    for measure in ("correlation", "rmse", "bias", "coverage"):
        spread = results.loc[results["model"] == "paper"].groupby("scale")[measure].std()
        moved = results.copy()
        moved.loc[place, measure] += 0.1 * moved.loc[place, "scale"].map(spread)
        assert set(prove_evaluation(moved, 1001, [PAPER_MODEL]).failures["measure"]) == {measure}
    other = results.replace({"seed": {1001: 1002, 1002: 1001}})
    assert not prove_evaluation(other, 1001, [PAPER_MODEL]).passed


def test_missing_files_say_how_to_make_them(tmp_path: Path) -> None:
    for read in (stored_calibrations, stored_evaluation):
        with pytest.raises(FileNotFoundError, match=r"python benchmarks/bayesian_checks.py"):
            read(tmp_path)


def test_what_the_book_reads_is_complete_and_comes_out_again() -> None:
    assert (BOOK_DATA / CANDIDATES_FILE).exists()
    results = stored_evaluation(BOOK_DATA)
    assert set(results["seed"]) == {123, *EVALUATED_SEEDS}
    assert 123 not in EVALUATED_SEEDS
    assert prove_evaluation(results, 1001, [PAPER_MODEL]).passed
    calibrations = stored_calibrations(BOOK_DATA)
    for name, calibration in calibrations.items():
        assert calibration.ranks["trial"].to_numpy().tolist() == list(range(SCENARIOS[name].trials))
    assert prove_calibrations(calibrations, 2, np.random.default_rng(1)).passed
