"""Candidate models' errors by hand; stored results make a round trip, and a tampered number is found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design

from hte_utils.corrected import sbc, stored_checks
from hte_utils.corrected.sbc import SCENARIOS, Calibration
from hte_utils.corrected.stored_checks import (
    CANDIDATES_FILE,
    EVALUATED_SEEDS,
    MEASURES,
    RANKS_FILE,
    SCALES,
    differences_from,
    effect_errors,
    evaluate_candidates,
    mean_over_trials,
    prove_calibrations,
    prove_evaluation,
    store_calibrations,
    store_evaluation,
    stored_calibrations,
    stored_evaluation,
)
from hte_utils.effects.cate import GroupEffects, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.truth import true_cate
from hte_utils.model.candidates import CONSTANT_MODEL, PAPER_MODEL
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.trial import simulate_truth


@pytest.mark.parametrize("scale", list(SCALES))
def test_same_as_the_evaluation_of_table_7(scale: str) -> None:
    posterior, design, truth = random_posterior(1), small_design(), simulate_truth(300, 123)
    found = effect_errors(posterior, design, truth, scale)
    kind, factor = SCALES[scale]
    draws = factor * cate_draws(posterior, design, scale=kind, group_effects=GroupEffects.INCLUDED)
    expected = evaluate_cate(draws, factor * true_cate(truth, kind)).metrics()
    for name in ("correlation", "rmse", "mae", "bias", "calibration_slope", "coverage"):
        assert found[name] == pytest.approx(expected[name].value)
    average = draws.mean("patient").to_numpy().ravel()
    lower, upper = np.quantile(average, (0.025, 0.975))
    assert found["average_covered"] == float(lower <= factor * true_cate(truth, kind).mean() <= upper)


def hand_made() -> pd.DataFrame:
    rows = []
    for seed, (first, second) in {1: (1.0, 2.0), 2: (3.0, 5.0), 3: (5.0, 5.0)}.items():
        for model, value in {"a": first, "b": second}.items():
            rows.append({"seed": seed, "model": model, "scale": "points"} | dict.fromkeys(MEASURES, value))
    return pd.DataFrame(rows)


def test_means_and_differences_from_by_hand() -> None:
    means = mean_over_trials(hand_made(), "points")
    assert list(means.index) == ["a", "b"]
    assert means.loc["a", ("rmse", "mean")] == 3.0
    assert means.loc["a", ("rmse", "mcse")] == pytest.approx(2.0 / np.sqrt(3))
    paired = differences_from("a", hand_made(), "points")
    assert list(paired.index) == ["b"]
    assert paired.loc["b", ("bias", "mean")] == 1.0
    assert paired.loc["b", ("bias", "mcse")] == pytest.approx(1.0 / np.sqrt(3))


def test_one_trial_end_to_end() -> None:
    settings = IndependenceSettings(draws=200, chains=2, proposals_per_draw=5)
    found = evaluate_candidates([CONSTANT_MODEL, PAPER_MODEL], [7], settings=settings)
    assert found["model"].tolist() == ["constant", "constant", "paper", "paper"]
    constant, paper = (
        found[(found["model"] == name) & (found["scale"] == "log odds ratio")] for name in ("constant", "paper")
    )
    assert constant["correlation"].isna().all()
    assert paper["correlation"].item() > 0.5
    assert paper["rmse"].item() < constant["rmse"].item()
    assert found["passed"].dtype == bool


def test_every_trial_has_random_numbers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    # With common ones the draws' errors are the same in all trials, and a mean over trials hides them.
    seen: list[int] = []

    def fit_and_note(design, *, priors, settings):
        seen.append(settings.seed)
        return fit(design, priors=priors, settings=settings)

    monkeypatch.setattr(stored_checks, "fit", fit_and_note)
    settings = IndependenceSettings(draws=100, chains=2, proposals_per_draw=1)
    evaluate_candidates([PAPER_MODEL], [7, 8], settings=settings)
    assert len(set(seen)) == 2


BOOK_DATA = Path(__file__).parents[1] / "book" / "data"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six trials a scenario, one evaluated trial, one model."""
    monkeypatch.setattr(sbc, "SCENARIOS", {name: replace(s, trials=6) for name, s in SCENARIOS.items()})
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
    monkeypatch.setattr(sbc, "SEED", 5)
    assert len(prove_calibrations({"paper": stored["paper"]}, 6, np.random.default_rng(1)).failures) > 20


@pytest.mark.usefixtures("small")
def test_evaluation_round_trip(tmp_path: Path) -> None:
    store_evaluation(tmp_path)
    stored = stored_evaluation(tmp_path)
    assert set(stored["seed"]) == {123, 5}
    assert set(stored.attrs) == {"made_by", "made_on", "versions"}
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
