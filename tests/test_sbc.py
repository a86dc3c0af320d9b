"""Simulation-based calibration: right where the model is right, red where a fault is built in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import small_design
from scipy import stats

from hte_utils.corrected.sbc import (
    AVERAGE_LOG_ODDS_RATIO,
    AVERAGE_RISK_DIFFERENCE,
    FIRST_GROUP,
    GROUP_LEFT_OUT,
    LOG_LIKELIHOOD,
    Calibration,
    Scenario,
    arms_without_event,
    calibrate,
    simulated,
)
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.listing_2 import Priors

TRIALS, PATIENTS = 200, 80


@cache
def run(model: CandidateModel, fitted: Priors | None = None) -> Calibration:
    return calibrate(scenario(model, fitted), draws=49, seed=2)


def scenario(model: CandidateModel, fitted: Priors | None = None) -> Scenario:
    return Scenario("small", model, fitted, trials=TRIALS, patients=PATIENTS)


@pytest.mark.parametrize("model", [PAPER_MODEL, ALL_MODIFIERS_MODEL], ids=lambda model: model.name)
def test_the_model_as_coded_is_calibrated(model: CandidateModel) -> None:
    p_values = run(model).table()["p_value"].drop(index=GROUP_LEFT_OUT)
    # Some thirty quantities with a fixed seed.
    assert p_values.min() > 1e-3 / len(p_values), p_values.nsmallest(3)


def test_every_quantity_is_there() -> None:
    names = set(run(PAPER_MODEL).ranks.data_vars)
    derived = {LOG_LIKELIHOOD, AVERAGE_LOG_ODDS_RATIO, AVERAGE_RISK_DIFFERENCE, FIRST_GROUP, GROUP_LEFT_OUT}
    assert derived <= names
    assert len(names - derived) == 18
    assert "sd_interaction" in run(ALL_MODIFIERS_MODEL).ranks


def test_a_rate_taken_for_a_scale_is_seen() -> None:
    p_values = run(PAPER_MODEL, Priors(precision_rate=0.5)).table()["p_value"]
    assert p_values[["tau_re", "tau_re_trt"]].max() < 1e-8


def test_a_wrong_prior_mean_is_seen() -> None:
    table = run(PAPER_MODEL, Priors(intercept_mean=1.0)).table()
    assert table.loc["b_intercept", "p_value"] < 1e-4
    assert table.loc["b_intercept", "mean"] < 0.4


def test_the_papers_formula_is_seen() -> None:
    table = run(PAPER_MODEL).table()
    assert table.loc[GROUP_LEFT_OUT, "p_value"] < 3e-3
    assert table.loc[FIRST_GROUP, "p_value"] > 0.05
    assert table.loc[GROUP_LEFT_OUT, "inside 90 %"] < table.loc[FIRST_GROUP, "inside 90 %"]


def test_some_trials_have_the_ranks_they_have_among_all() -> None:
    whole = run(PAPER_MODEL)
    some = calibrate(scenario(PAPER_MODEL), draws=49, seed=2, workers=1, only=[41, 7])
    assert some.ranks["trial"].values.tolist() == [41, 7]
    assert some.ranks.equals(whole.ranks.sel(trial=[41, 7]))


def test_the_quick_engine_is_calibrated_where_arms_have_no_event() -> None:
    rare = replace(PAPER_MODEL, priors=Priors(intercept_mean=-4.0))
    few_events = Scenario("small", rare, quick=True, trials=300, patients=PATIENTS)
    calibration = calibrate(few_events, draws=49, seed=3)
    empty = arms_without_event(few_events.design(), simulated(few_events, 3)[1])
    assert empty.sum() > 150
    assert not calibration.ranks["by_nuts"].any()
    p_values = calibration.of(empty).table()["p_value"].drop(index=GROUP_LEFT_OUT)
    assert p_values.min() > 1e-3 / len(p_values), p_values.nsmallest(3)


def test_arms_without_event_by_hand() -> None:
    design = small_design()
    everybody = np.ones((1, design.n_patients))
    first = (design.group == 0) & (design.treatment == 0.0)
    outcomes = np.concatenate([everybody, everybody * ~first, 0.0 * everybody])
    assert arms_without_event(design, outcomes).tolist() == [False, True, True]


def test_table_of_known_ranks() -> None:
    trials, draws = 2000, 99
    rng = np.random.default_rng(1)
    ranks = xr.Dataset(
        {
            "uniform": ("trial", rng.integers(0, draws + 1, trials)),
            "narrow": ("trial", np.where(rng.random(trials) < 0.5, 0, draws)),
        }
    )
    calibration = Calibration(ranks, draws, seed=3)
    pit = calibration.pit()
    assert stats.kstest(pit["uniform"], "uniform").pvalue > 0.001
    table = calibration.table()
    assert table.loc["uniform", "p_value"] > 0.001
    assert table.loc["uniform", "inside 90 %"] == pytest.approx(0.9, abs=0.03)
    assert table.loc["narrow", "inside 90 %"] == 0.0
    assert table.loc["narrow", "p_value"] < 1e-12
    assert table.loc["narrow", "mean"] == pytest.approx(0.5, abs=0.05)
