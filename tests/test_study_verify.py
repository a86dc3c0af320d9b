"""Stored runs are proved by running some again: what is close enough, and what is found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_methods import METHODS
from study_runs import run_here

from hte_utils.methods.measures import MEASURES
from hte_utils.study.scenarios import Scenario
from hte_utils.study.store import StudyStore
from hte_utils.study.verify import Verification, verify

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
SCENARIOS = {"tiny": TINY}
EXACT = replace(METHODS["risk-by-arm"], exact=True)
CHOSEN = {"noisy": METHODS["noisy"], "risk-by-arm": EXACT, "fails-sometimes": METHODS["fails-sometimes"]}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    store = StudyStore(tmp_path_factory.mktemp("store"))
    run_here([TINY], list(CHOSEN.values()), 12, 3, store)
    return store


@pytest.fixture(scope="module")
def results(store: StudyStore) -> pd.DataFrame:
    return store.read()


def check(store: StudyStore, results: pd.DataFrame, method: str, **more: object) -> Verification:
    options = {"replicates": 100, "results": results} | more
    return verify(store, SCENARIOS, {method: CHOSEN[method]}, **options)


def moved(results: pd.DataFrame, method: str, column: str, by: float, population: str = "trial") -> pd.DataFrame:
    """Move one value of replicate 7, by so many standard deviations over replicates."""
    changed = results.copy()
    cell = (changed["method"] == method) & (changed["population"] == population)
    changed.loc[cell & (changed["replicate"] == 7), column] += by * changed.loc[cell, column].std()
    return changed


def test_what_was_stored_comes_out_again(store: StudyStore, results: pd.DataFrame) -> None:
    for method in CHOSEN:
        found = check(store, results, method)
        assert found.passed
        assert len(found.checked) == 12  # everything there is
        assert (found.checked["values"] > 50).all()
        assert f"{len(found.checked)} stored runs" in found.proof().to_text()


def test_equal_bits_are_reported_and_not_required(store: StudyStore, results: pd.DataFrame) -> None:
    place = (results["method"] == "risk-by-arm") & (results["replicate"] == 7) & (results["population"] == "trial")
    changed = results.copy()
    changed.loc[place, "rd_rmse"] = np.nextafter(changed.loc[place, "rd_rmse"], 1.0)
    found = check(store, changed, "risk-by-arm")
    assert found.passed
    row = found.checked.set_index("replicate").loc[7]
    assert row["equal"] == row["values"] - 1
    assert 0 < row["largest"] < 1e-6


@pytest.mark.parametrize("column", ["rd_rmse", "rd_bias", "ate_estimate", "regret", "risk_rmse"])
@pytest.mark.parametrize("method", ["noisy", "risk-by-arm"])
def test_a_tenth_of_a_standard_deviation_is_found(
    store: StudyStore, results: pd.DataFrame, method: str, column: str
) -> None:
    found = check(store, moved(results, method, column, 0.1), method)
    assert found.failures[["replicate", "population", "column"]].to_numpy().tolist() == [[7, "trial", column]]
    assert not found.proof().passed


def test_what_is_computed_directly_must_agree_to_a_millionth(store: StudyStore, results: pd.DataFrame) -> None:
    changed = moved(results, "risk-by-arm", "rd_rmse", 1e-4)
    assert not check(store, changed, "risk-by-arm").passed
    assert check(store, moved(results, "noisy", "rd_rmse", 1e-4), "noisy").passed


def test_a_share_may_move_by_one_patient(store: StudyStore, results: pd.DataFrame) -> None:
    place = (results["method"] == "risk-by-arm") & (results["replicate"] == 7) & (results["population"] == "trial")
    for patients, passed in ((1, True), (2, False)):
        changed = results.copy()
        changed.loc[place, "rd_coverage"] += patients / 200
        assert check(store, changed, "risk-by-arm").passed is passed


@pytest.mark.parametrize(("column", "value"), [("error", "OtherError"), ("lor_rmse", 0.5), ("rd_rmse", np.nan)])
def test_errors_and_gaps_count_too(store: StudyStore, results: pd.DataFrame, column: str, value: object) -> None:
    place = (results["method"] == "noisy") & (results["replicate"] == 7) & (results["population"] == "trial")
    changed = results.copy()
    changed.loc[place, column] = value
    assert check(store, changed, "noisy").failures["column"].tolist() == [column]


def test_another_seed_and_a_swapped_method_are_found(store: StudyStore, results: pd.DataFrame) -> None:
    shifted = results.assign(replicate=(results["replicate"] + 1) % 12)
    assert len(check(store, shifted, "noisy").failures) > 100
    names = {"noisy": "risk-by-arm", "risk-by-arm": "noisy"}
    swapped = results.assign(method=results["method"].astype(str).replace(names))
    assert len(check(store, swapped, "noisy").failures) > 100


def test_a_copy_is_proved_to_its_bits(store: StudyStore, tmp_path: Path) -> None:
    store.copy(tmp_path, bits=12, measures=MEASURES, of_profiles=MEASURES)
    copy = StudyStore(tmp_path)
    found = verify(copy, SCENARIOS, CHOSEN, replicates=100)
    assert found.passed
    assert (found.checked["equal"] == found.checked["values"]).all()
    changed = moved(copy.read(), "risk-by-arm", "rd_rmse", 0.1)
    assert not verify(copy, SCENARIOS, CHOSEN, replicates=100, results=changed).passed


def test_chains_are_not_chosen(store: StudyStore, results: pd.DataFrame) -> None:
    fallen_back = results.assign(flags=np.where(results["replicate"] > 2, "nuts_fallback", results["flags"]))
    assert set(check(store, fallen_back, "risk-by-arm").checked["replicate"]) == {0, 1, 2}


def test_the_choice_is_fresh_unless_seeded(store: StudyStore, results: pd.DataFrame) -> None:
    def chosen(seed: int | None) -> tuple[int, ...]:
        return tuple(check(store, results, "noisy", replicates=3, seed=seed).checked["replicate"])

    assert chosen(1) == chosen(1)
    assert len({chosen(None) for _ in range(6)}) > 1


def test_another_setting_and_another_study_s_seed_are_found(
    store: StudyStore, results: pd.DataFrame, tmp_path: Path
) -> None:
    louder = {"noisy": replace(METHODS["noisy"], noise=0.03)}
    assert not verify(store, SCENARIOS, louder, replicates=2, results=results).passed
    other = StudyStore(tmp_path)
    run_here([TINY], [CHOSEN["noisy"]], 1, 4, other)
    assert not verify(other, SCENARIOS, {"noisy": CHOSEN["noisy"]}, replicates=2, results=results).passed


def test_nothing_to_check_is_an_error(store: StudyStore) -> None:
    with pytest.raises(ValueError, match="no results of these scenarios and methods"):
        verify(store, {}, CHOSEN)
