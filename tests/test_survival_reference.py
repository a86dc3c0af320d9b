"""ACTG 175 by R's package survival: statsmodels says the same, and the model for times lies beside it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from actg175_trials import PATH, real_posterior, real_times, real_trial
from reference_values import REFERENCE, numbers, rows, run_again

from hte_utils.effects.survival import risks_by, summarise_times
from hte_utils.model.listing_2 import listing2_draws
from hte_utils.trial.actg175 import ARMS, PUBLISHED_HAZARD_RATIOS, read_actg175

RECORDED = REFERENCE / "r_survival.csv"
DAYS = [200, 400, 600, 800, 1000]


@cache
def by_r() -> dict[tuple[str, str, int], np.ndarray]:
    return {(row["quantity"], row["population"], int(row["arm"])): numbers(row["value"]) for row in rows(RECORDED)}


@cache
def patients(population: str, *arms: int) -> pd.DataFrame:
    trial = read_actg175(PATH)
    kept = trial[trial["arm"].isin([ARMS[arm] for arm in arms])]
    return kept if population == "all" else kept[kept["prior_therapy"] == population.capitalize()]


@pytest.mark.parametrize("population", ["all", "naive", "experienced"])
@pytest.mark.parametrize("arm", range(4))
def test_kaplan_and_meier_by_statsmodels(population: str, arm: int) -> None:
    some = patients(population, arm)
    curve = sm.SurvfuncRight(some["days"], some["event"])
    place = np.searchsorted(curve.surv_times, DAYS, side="right")
    surviving, error = np.append(1.0, curve.surv_prob)[place], np.append(0.0, curve.surv_prob_se)[place]
    np.testing.assert_allclose(surviving, by_r()["survival", population, arm], rtol=1e-9)
    np.testing.assert_allclose(error, by_r()["survival.se", population, arm], rtol=1e-6)


@pytest.mark.parametrize("population", ["all", "naive", "experienced"])
@pytest.mark.parametrize("arm", range(1, 4))
@pytest.mark.parametrize("ties", ["efron", "breslow"])
def test_cox_regression_by_statsmodels(population: str, arm: int, ties: str) -> None:
    pair = patients(population, 0, arm)
    fitted = sm.PHReg(pair["days"], (pair["arm"] == ARMS[arm]).astype(float), pair["event"], ties=ties).fit()
    np.testing.assert_allclose([*fitted.params, *fitted.bse], by_r()[f"cox.{ties}", population, arm], rtol=1e-4)


def test_hazard_ratios_are_near_the_published_ones() -> None:
    """2139 of the 2467 patients: the same numbers within a standard error."""
    for arm, name in enumerate(ARMS[1:], start=1):
        log_ratio, error = by_r()["cox.efron", "all", arm]
        assert abs(log_ratio - np.log(PUBLISHED_HAZARD_RATIOS[name])) < error, name


def test_the_model_for_times_lies_beside_cox_regression() -> None:
    """Same terms: posterior means within a third of a standard error, which is what the priors and intervals do."""
    draws = listing2_draws(real_posterior())
    coefficients, errors = (by_r()[f"cox.adjusted{what}", "all", 1] for what in ("", ".se"))
    effects = ("te_prior_therapy[1]", "te_prior_therapy[2]")
    names = (*effects, "b_age", "b_cd4", "b_karnofsky", "b_symptomatic", "b_trt_age", "b_trt_cd4")
    for place, name in enumerate(names, start=1):
        assert float(draws[name].mean()) == pytest.approx(coefficients[place], abs=0.35 * errors[place]), name
        assert float(draws[name].std()) == pytest.approx(errors[place], rel=0.12), name


def test_event_free_time_lies_beside_rs_restricted_means() -> None:
    """By arm and by difference, where the effect may change: few events of the treated are early ones.

    R's are of the arms as they came out, the model's of all patients, covariates used.
    """
    risks = risks_by(real_posterior(changing_effect=True), real_times().trial, 730.0)
    for arm, name in enumerate(("untreated_time", "treated_time")):
        mean, error = by_r()["restricted.mean.730", "all", arm]
        assert abs(float(risks[name].mean()) - mean) < 1.5 * error
    lost = summarise_times(risks).loc[("all patients", "TIME_LOST")]
    (control, control_error), (treated, treated_error) = (by_r()["restricted.mean.730", "all", arm] for arm in (0, 1))
    error = np.hypot(control_error, treated_error)
    assert lost["mean"] == pytest.approx(control - treated, abs=1.5 * error)
    assert 0.7 * error < lost["sd"] < 1.2 * error
    assert len(real_trial()) == 1054


@pytest.mark.r("survival")
def test_the_script_prints_what_was_recorded(tmp_path) -> None:
    fresh = tmp_path / "values.csv"
    run_again("r_survival.R", fresh)
    for again, before in zip(rows(fresh), rows(RECORDED), strict=True):
        assert {**again, "value": ""} == {**before, "value": ""}
        np.testing.assert_allclose(numbers(again["value"]), numbers(before["value"]), rtol=1e-8)
