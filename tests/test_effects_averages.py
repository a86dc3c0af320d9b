"""Standardisation over a posterior: hand computation, closed forms, and the law of the Bayesian bootstrap."""

from __future__ import annotations

import math

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hand_made_posteriors import posterior_of, random_posterior, small_design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from hte_utils.effects import cate as module
from hte_utils.effects.averages import (
    EVERYBODY,
    Measure,
    bootstrapped_risks,
    effect_measures,
    everybody,
    standardised_risks,
    summarise_effects,
    true_risks,
)
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.trial import simulate_truth


def constant_posterior(n_draws: int = 8, **values: object) -> xr.DataTree:
    """The same coefficients in every draw; those not named are 0."""
    shapes = {"b_intercept": (), "b_trt": (), "b_prognostic": (5,), "b_interaction": (3,), "re": (2,), "re_trt": (2,)}
    return posterior_of(
        {
            name: np.broadcast_to(np.asarray(values.get(name, 0.0), dtype=float), (1, n_draws, *shape)).copy()
            for name, shape in shapes.items()
        }
    )


def halves(n: int) -> pd.DataFrame:
    return pd.DataFrame({"first": np.arange(n) < n // 2, "everybody": np.ones(n, dtype=bool)})


def test_against_a_computation_by_hand() -> None:
    design, posterior = small_design(40), random_posterior(1, n_chains=1, n_draws=6)
    draws = posterior["posterior"].to_dataset().isel(chain=0)
    risks = standardised_risks(posterior, design, halves(40))
    for draw in range(6):
        at = draws.isel(draw=draw)
        untreated, treated = [], []
        for i in range(40):
            gender = design.group[i]
            log_odds = float(at["b_intercept"]) + float(at["re"][gender])
            log_odds += sum(float(b) * x for b, x in zip(at["b_prognostic"], design.prognostic[i], strict=True))
            effect = float(at["b_trt"]) + float(at["re_trt"][gender])
            effect += sum(float(b) * z for b, z in zip(at["b_interaction"], design.modifiers[i], strict=True))
            untreated.append(1 / (1 + math.exp(-log_odds)))
            treated.append(1 / (1 + math.exp(-log_odds - effect)))
        found = risks.isel(chain=0, draw=draw).sel(population="first")
        assert float(found["untreated"]) == pytest.approx(sum(untreated[:20]) / 20)
        assert float(found["treated"]) == pytest.approx(sum(treated[:20]) / 20)
        whole = effect_measures(risks).isel(chain=0, draw=draw).sel(population="everybody")
        p0, p1 = sum(untreated) / 40, sum(treated) / 40
        assert float(whole["RISK_DIFFERENCE"]) == pytest.approx(p1 - p0)
        assert float(whole["RISK_RATIO"]) == pytest.approx(p1 / p0)
        assert float(whole["MARGINAL_LOG_ODDS_RATIO"]) == pytest.approx(math.log(p1 / (1 - p1) * (1 - p0) / p0))


def test_a_model_of_intercepts_alone_has_a_closed_form() -> None:
    posterior = constant_posterior(b_intercept=-3.0, b_trt=0.4)
    measures = effect_measures(standardised_risks(posterior, small_design(40), everybody(40)))
    np.testing.assert_allclose(measures["RISK_DIFFERENCE"], expit(-2.6) - expit(-3.0))
    np.testing.assert_allclose(measures["RISK_RATIO"], expit(-2.6) / expit(-3.0))
    np.testing.assert_allclose(measures["MARGINAL_LOG_ODDS_RATIO"], 0.4)
    np.testing.assert_allclose(measures["MEAN_LOG_ODDS_RATIO"], 0.4)


def test_averages_are_those_of_the_patients_draws() -> None:
    design, posterior = small_design(), random_posterior(2)
    for which in GroupEffects:
        risks = standardised_risks(posterior, design, everybody(300), group_effects=which)
        measures = effect_measures(risks).sel(population=EVERYBODY)
        for scale, measure in (
            (EffectScale.RISK_DIFFERENCE, Measure.RISK_DIFFERENCE),
            (EffectScale.LOG_ODDS_RATIO, Measure.MEAN_LOG_ODDS_RATIO),
        ):
            draws = cate_draws(posterior, design, scale=scale, group_effects=which)
            np.testing.assert_allclose(measures[measure.name], draws.mean("patient"), rtol=1e-9, atol=1e-12)
        baseline = baseline_risk_draws(posterior, design, group_effects=which).mean("patient")
        np.testing.assert_allclose(risks["untreated"].sel(population=EVERYBODY), baseline)


def test_blocks_are_an_implementation_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    design, posterior = small_design(), random_posterior(3)
    whole = standardised_risks(posterior, design, halves(300))
    resampled = bootstrapped_risks(posterior, design, np.random.default_rng(1))
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", 7 * 400)
    xr.testing.assert_allclose(whole, standardised_risks(posterior, design, halves(300)))
    xr.testing.assert_allclose(resampled, bootstrapped_risks(posterior, design, np.random.default_rng(1)))


@settings(max_examples=40)
@given(
    st.lists(st.floats(-6, 3), min_size=2, max_size=30),
    st.floats(-3, 3).filter(lambda effect: abs(effect) > 1e-3),
)
def test_a_marginal_odds_ratio_is_nearer_to_one_than_the_common_conditional_one(
    log_odds: list[float], effect: float
) -> None:
    untreated = expit(np.array(log_odds))
    risks = xr.Dataset(
        {
            "untreated": ("population", [untreated.mean()]),
            "treated": ("population", [expit(np.array(log_odds) + effect).mean()]),
            "mean_log_odds_ratio": ("population", [effect]),
        }
    )
    measures = effect_measures(risks)
    marginal = float(measures["MARGINAL_LOG_ODDS_RATIO"][0])
    assert abs(marginal) <= abs(effect) * (1 + 1e-9)
    assert np.sign(marginal) == np.sign(effect) == np.sign(float(measures["RISK_DIFFERENCE"][0]))


def test_the_bayesian_bootstrap_has_rubins_variance() -> None:
    # With one set of coefficients only the weights vary: Var = sum (x - mean)^2 / (n (n + 1)).
    design = small_design(60)
    posterior = constant_posterior(20_000, b_intercept=-2.0, b_trt=0.2, b_prognostic=[0.3, 0.5, 0, 0.2, 1], re=[0, 0.1])
    resampled = effect_measures(bootstrapped_risks(posterior, design, np.random.default_rng(4)))["RISK_DIFFERENCE"]
    single = cate_draws(
        posterior, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=GroupEffects.INCLUDED
    ).to_numpy()[0, 0]
    sd = math.sqrt(np.square(single - single.mean()).sum() / (60 * 61))
    assert float(resampled.std()) == pytest.approx(sd, rel=0.03)  # 20 000 draws know an SD to 0.5 %
    assert float(resampled.mean()) == pytest.approx(single.mean(), abs=5 * sd / math.sqrt(20_000))


def test_the_truth_in_the_same_form() -> None:
    truth = simulate_truth(500, 3)
    measures = effect_measures(true_risks(truth, halves(500)))
    first = measures.sel(population="first")
    treated = expit(logit(truth.baseline_risk) + truth.treatment_effect)
    assert float(first["RISK_DIFFERENCE"]) == pytest.approx(truth.risk_difference[:250].mean())
    assert float(first["RISK_RATIO"]) == pytest.approx(treated[:250].mean() / truth.baseline_risk[:250].mean())
    assert float(first["MEAN_LOG_ODDS_RATIO"]) == pytest.approx(truth.treatment_effect[:250].mean())


def test_the_summary_is_of_the_average() -> None:
    posterior, design = random_posterior(5, n_chains=4, n_draws=500), small_design()
    risks = standardised_risks(posterior, design, halves(300))
    table = summarise_effects(risks, interval=0.9)
    assert list(table.index.unique("population")) == ["first", "everybody"]
    assert list(table.loc["first"].index) == [measure.name for measure in Measure]
    measures = effect_measures(risks)
    for population, measure in table.index:
        draws = measures[measure].sel(population=population).to_numpy()
        row = table.loc[(population, measure)]
        assert row["mean"] == pytest.approx(draws.mean())
        assert row["sd"] == pytest.approx(draws.std(ddof=1))
        assert [row["lower"], row["upper"]] == pytest.approx(list(np.quantile(draws, [0.05, 0.95])))
        assert row["p_harm"] == pytest.approx(np.mean(draws > Measure[measure].no_effect))
        # Two estimators of the same Monte Carlo error from independent draws; batch means know it to a ninth.
        assert row["mcse_mean"] == pytest.approx(float(arviz_stats.mcse(draws, method="mean")), rel=0.45)


def test_harm_on_one_collapsible_scale_is_harm_on_the_other() -> None:
    table = summarise_effects(standardised_risks(random_posterior(6), small_design(), everybody(300)))
    p_harm = table.loc[EVERYBODY, "p_harm"]
    assert p_harm["RISK_DIFFERENCE"] == p_harm["RISK_RATIO"] == p_harm["MARGINAL_LOG_ODDS_RATIO"]
