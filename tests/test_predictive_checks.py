"""Predictive checks against the binomial law and scikit-learn's isotonic regression."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from hte_utils.corrected.predictive_checks import (
    PriorPrediction,
    bands,
    calibration_curve,
    differences_by_group,
    event_probability_draws,
    posterior_predictive,
    prior_prediction,
    rates_by_group,
)
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL
from hte_utils.trial import simulate_trial


def predictive_with(probability: float, n_patients: int, n_draws: int, events: int) -> xr.DataTree:
    rng = np.random.default_rng(1)
    replicated = (rng.random((1, n_draws, n_patients)) < probability).astype(np.int8)
    observed = (np.arange(n_patients) < events).astype(np.int8)
    dims = ("chain", "draw", "patient")
    coords = {"chain": [0], "draw": np.arange(n_draws)}
    return xr.DataTree.from_dict(
        {
            "posterior_predictive": xr.Dataset({"event": (dims, replicated)}, coords=coords),
            "observed_data": xr.Dataset({"event": ("patient", observed)}),
        }
    )


def test_rates_follow_the_binomial_law() -> None:
    n, draws, events = 150, 4000, 15
    predictive = predictive_with(0.08, n, draws, events)
    row = rates_by_group(predictive, {"all": np.ones(n)}).loc["all"]
    law = stats.binom(n, 0.08)
    assert row["patients"] == n
    assert row["events"] == events
    assert row["observed"] == events / n
    assert row["expected"] == pytest.approx(0.08, abs=4 * law.std() / n / np.sqrt(draws))
    assert row["lower"] * n == pytest.approx(law.ppf(0.025), abs=1)
    assert row["upper"] * n == pytest.approx(law.ppf(0.975), abs=1)
    mid_p = law.sf(events) + 0.5 * law.pmf(events)
    assert row["p_value"] == pytest.approx(mid_p, abs=4 * np.sqrt(mid_p / draws))


def test_a_misfit_has_an_extreme_p_value() -> None:
    predictive = predictive_with(0.08, 150, 1000, events=40)
    assert rates_by_group(predictive, {"all": np.ones(150)}).loc["all", "p_value"] < 0.001


def test_differences_by_hand() -> None:
    design = small_design()
    predictive = posterior_predictive(random_posterior(1), design, np.random.default_rng(2))
    men = design.group == 0
    row = differences_by_group(predictive, design, {"men": men}).loc["men"]
    arm = design.treatment == 1
    expected = design.outcome[men & arm].mean() - design.outcome[men & ~arm].mean()
    assert row["observed"] == pytest.approx(expected)
    assert row["lower"] < row["expected"] < row["upper"]


def test_empty_groups_are_refused() -> None:
    design = small_design()
    predictive = posterior_predictive(random_posterior(1), design, np.random.default_rng(2))
    with pytest.raises(ValueError, match="'nobody' has no patients"):
        rates_by_group(predictive, {"nobody": np.zeros(300)})
    with pytest.raises(ValueError, match="'treated' has an arm without patients"):
        differences_by_group(predictive, design, {"treated": design.treatment})


def test_calibration_is_isotonic_regression() -> None:
    design = small_design()
    posterior = random_posterior(4)
    predictive = posterior_predictive(posterior, design, np.random.default_rng(2))
    mean = event_probability_draws(posterior, design).mean(["chain", "draw"]).to_numpy()
    curve = calibration_curve(mean, predictive)
    fitted = IsotonicRegression().fit(mean, design.outcome).predict(curve["predicted"])
    np.testing.assert_allclose(curve["observed"], fitted, atol=1e-12)
    assert (curve["lower"] <= curve["upper"]).all()


def test_the_band_holds_a_replicated_trial() -> None:
    """An outcome drawn from the model itself lies in the band for most of the patients; a shifted one does not."""
    design, posterior = small_design(), random_posterior(4)
    probability = event_probability_draws(posterior, design)
    predictive = posterior_predictive(posterior, design, np.random.default_rng(2))
    mean = probability.mean(["chain", "draw"]).to_numpy()
    inside = {}
    for name, risk in {"right": mean, "wrong": np.clip(3 * mean + 0.2, 0, 1)}.items():
        outcome = (np.random.default_rng(5).random(300) < risk).astype(np.int8)
        predictive["observed_data"] = xr.DataTree(xr.Dataset({"event": ("patient", outcome)}))
        curve = calibration_curve(mean, predictive)
        inside[name] = np.mean((curve["lower"] <= curve["observed"]) & (curve["observed"] <= curve["upper"]))
    assert inside["right"] > 0.85
    assert inside["wrong"] < 0.3


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_bands_are_a_partition(values: list[float]) -> None:
    found = bands(np.array(values), (45, 55, 65), "age", "years")
    assert list(found) == ["age < 45 years", "age 45–55 years", "age 55–65 years", "age ≥ 65 years"]
    np.testing.assert_array_equal(sum(found.values()), 1)


def test_prior_of_the_paper_expects_a_coin_toss() -> None:
    trial, rng = simulate_trial(300, 1), np.random.default_rng(1)
    paper, better = (
        prior_prediction(model, model.design(trial), draws=1000, rng=rng)
        for model in (PAPER_MODEL, ALL_MODIFIERS_MODEL)
    )
    # Symmetric about one half but for the covariates' positive means; the all-modifiers model's prior about 5 %.
    assert 0.4 < np.median(paper.event_rate) < 0.6
    assert 0.03 < np.median(better.event_rate) < 0.25
    assert abs(paper.risk_difference.mean()) < 4 * paper.risk_difference.std() / np.sqrt(1000)
    assert np.median(better.effect_spread) < np.median(paper.effect_spread)
    assert paper.summary().loc["event rate, median (%)", "value"] == pytest.approx(100 * np.median(paper.event_rate))


def test_the_error_of_a_prior_probability_is_the_binomial_one() -> None:
    rng = np.random.default_rng(3)
    rate, difference = rng.random(20_000) ** 2, rng.normal(0.0, 0.1, 20_000)
    found = PriorPrediction(rate, difference, rng.random(20_000)).summary()
    share = np.sqrt(0.1)
    row = found.loc["probability of an event rate below 10 % (%)"]
    # Fifty batches give an error to some 10 %; the median's is 1 / (2 density sqrt(n)), with density 1 at rate 1/4.
    assert row["mcse"] == pytest.approx(100 * np.sqrt(share * (1 - share) / 20_000), rel=0.4)
    assert abs(row["value"] - 100 * share) < 4 * row["mcse"]
    assert found.loc["event rate, median (%)", "mcse"] == pytest.approx(100 * 0.5 / np.sqrt(20_000), rel=0.4)
    sd = found.loc["average risk difference, SD (points)"]
    assert sd["mcse"] == pytest.approx(10 / np.sqrt(2 * 20_000), rel=0.4)


def test_many_prior_draws_are_made_in_blocks_of_the_same_distribution() -> None:
    design = PAPER_MODEL.design(simulate_trial(40, 1))
    found = prior_prediction(PAPER_MODEL, design, draws=1201, rng=np.random.default_rng(2))
    assert found.event_rate.shape == found.risk_difference.shape == found.effect_spread.shape == (1201,)
    parts = np.array_split(found.risk_difference, 3)
    assert min(stats.ks_2samp(parts[0], part).pvalue for part in parts[1:]) > 1e-3
