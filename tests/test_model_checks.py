"""Diagnostics of reported quantities, leave-one-out against refitting, and power-scaling where the answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from paper_fits import paper_design, paper_posterior
from scipy.special import expit, logit, logsumexp

from hte_utils.corrected.model_checks import (
    LIKELIHOOD,
    THRESHOLD,
    attainable_difference,
    comparison_table,
    diagnostics_of_quantities,
    diagnostics_of_worst_patients,
    draw_from_prior,
    elpd_error,
    event_probability_draws,
    leave_one_out,
    log_prior_draws,
    reported_quantities,
    sensitivity,
)
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.model.listing_2 import Priors, listing2_draws, listing_model
from hte_utils.model.spec import TrialDesign
from hte_utils.trial import EffectCoefficients, ListingCoefficients, simulate_trial, simulate_truth


def test_averages_by_hand() -> None:
    posterior, design = random_posterior(1), small_design()
    found = reported_quantities(posterior, design)
    included = GroupEffects.INCLUDED
    risk = baseline_risk_draws(posterior, design, group_effects=included).to_numpy()
    difference = cate_draws(posterior, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=included).to_numpy()
    np.testing.assert_allclose(found["risk untreated"], 100 * risk.mean(axis=2))
    np.testing.assert_allclose(found["risk treated"], 100 * (risk + difference).mean(axis=2))
    highest = np.argsort(risk.mean(axis=(0, 1)))[-60:]
    np.testing.assert_allclose(found["risk difference Q5"], 100 * difference[..., highest].mean(axis=2))
    quintiles = sum(found[f"risk difference Q{k}"] for k in range(1, 6)) / 5
    np.testing.assert_allclose(quintiles, found["average risk difference"])


def test_a_stuck_chain_shows_in_the_derived_quantities() -> None:
    posterior, design = random_posterior(2), small_design()
    good = diagnostics_of_quantities(reported_quantities(posterior, design))
    assert good["r_hat"].max() < 1.05
    assert list(good.columns[:2]) == ["mean", "sd"]
    posterior["posterior"]["b_trt"][1] += 3.0
    bad = diagnostics_of_quantities(reported_quantities(posterior, design))
    assert bad.loc["average log odds ratio", "r_hat"] > 1.5


def test_the_worst_patient_is_found() -> None:
    rng = np.random.default_rng(3)
    effects = xr.DataArray(
        rng.standard_normal((2, 400, 30)),
        dims=("chain", "draw", "patient"),
        coords={"chain": [0, 1], "draw": np.arange(400), "patient": np.arange(30)},
    )
    slow = effects[..., 17].to_numpy()
    for draw in range(1, 400):
        slow[:, draw] = 0.9 * slow[:, draw - 1] + np.sqrt(1 - 0.81) * slow[:, draw]
    table = diagnostics_of_worst_patients(effects, n_worst=5)
    assert table.index[0] == "17"
    assert len(table) == 5
    assert table["ess_bulk"].is_monotonic_increasing


NO_HETEROGENEITY = ListingCoefficients(effect=EffectCoefficients(0.4, 0.0, 0.0, 0.0, 0.0, 0.0))


def without(design: TrialDesign, patient: int) -> TrialDesign:
    keep = np.arange(design.n_patients) != patient
    return TrialDesign(
        design.prognostic[keep],
        design.modifiers[keep],
        design.group[keep],
        design.coding,
        design.outcome[keep],
        design.treatment[keep],
    )


def test_loo_is_what_refitting_gives() -> None:
    design = small_design()
    settings = IndependenceSettings(draws=4000, chains=4, proposals_per_draw=10)
    estimate = leave_one_out(fit(design, settings=settings), design)
    # Two who bled, and two who did not.
    chosen = [*np.flatnonzero(design.outcome)[:2], *np.flatnonzero(design.outcome == 0)[:2]]
    for patient in chosen:
        posterior = fit(without(design, patient), settings=settings)
        risk = event_probability_draws(posterior, design).isel(patient=patient).to_numpy().ravel()
        refitted = np.log(risk.mean() if design.outcome[patient] else 1 - risk.mean())
        assert float(estimate.elpd_i[patient]) == pytest.approx(refitted, abs=0.06)
    assert float(estimate.elpd) == pytest.approx(float(estimate.elpd_i.sum()))


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")  # these posteriors were not fitted
def test_table_has_the_paired_standard_errors() -> None:
    design = small_design()
    estimates = {str(seed): leave_one_out(random_posterior(seed), design) for seed in (1, 2)}
    table = comparison_table(estimates, "1")
    difference = (estimates["2"].elpd_i - estimates["1"].elpd_i).to_numpy()
    assert list(table.index) == ["1", "2"]
    assert table.loc["1", "difference"] == 0.0
    assert table.loc["2", "difference"] == pytest.approx(difference.sum())
    assert table.loc["2", "se_difference"] == pytest.approx(np.sqrt(300 * difference.var()), rel=0.01)
    assert table.loc["1", "largest_k"] == pytest.approx(float(estimates["1"].pareto_k.max()))


def test_monte_carlo_error_is_the_spread_of_runs() -> None:
    """Forty thinned stretches of a chain: their estimates scatter as each one's error says."""
    posterior, design = paper_posterior(), paper_design()
    parts = [posterior.isel(draw=slice(start, start + 100)) for start in range(0, 1000, 100)]
    errors = [elpd_error(part, design) for part in parts]

    def plain(part: xr.DataTree) -> float:
        probability = event_probability_draws(part, design).to_numpy().reshape(-1, design.n_patients)
        likelihood = np.where(design.outcome == 1, probability, 1 - probability)
        return float((np.log(len(likelihood)) - logsumexp(-np.log(likelihood), axis=0)).sum())

    spread = np.std([plain(part) for part in parts], ddof=1)
    # Ten runs know a standard deviation to about a quarter; the draws are correlated a little.
    assert 0.5 < spread / np.mean(errors) < 2.0


def test_true_effects_gain_nothing_where_all_are_equal() -> None:
    found = attainable_difference(simulate_truth(500, 3, coefficients=NO_HETEROGENEITY))
    assert found["constant"] == pytest.approx(0.4)
    assert found["expected"] == pytest.approx(0.0, abs=1e-9)
    assert found["sd"] == pytest.approx(0.0, abs=1e-6)


def test_attainable_difference_is_what_simulation_gives() -> None:
    truth = simulate_truth(2000, 123)
    found = attainable_difference(truth)
    treated = truth.treatment == 1
    true = truth.event_probability[treated]
    forecast = expit(logit(truth.baseline_risk[treated]) + found["constant"])
    rng = np.random.default_rng(1)

    def gain(outcome: Any) -> float:
        return float(np.where(outcome, np.log(true / forecast), np.log((1 - true) / (1 - forecast))).sum())

    gains = np.array([gain(rng.random(true.size) < true) for _ in range(2000)])
    assert gains.mean() == pytest.approx(found["expected"], abs=4 * found["sd"] / np.sqrt(2000))
    assert gains.std() == pytest.approx(found["sd"], rel=0.08)
    assert found["realised"] == pytest.approx(gain(truth.event[treated] == 1))
    # No other constant predicts better on average.
    for other in (found["constant"] - 0.2, found["constant"] + 0.2):
        worse = expit(logit(truth.baseline_risk[treated]) + other)
        score = true * np.log(worse) + (1 - true) * np.log(1 - worse)
        best = true * np.log(forecast) + (1 - true) * np.log(1 - forecast)
        assert score.sum() < best.sum()


def test_log_priors_are_those_of_the_pymc_model() -> None:
    design, priors = small_design(), Priors(fixed_sd=1.3, intercept_mean=-2.0, intercept_sd=0.7)
    draws = draw_from_prior(priors, design, draws=2, rng=np.random.default_rng(4))
    model = listing_model(design, priors)
    variables = {
        "intercept": ["b_intercept"],
        "treatment": ["b_trt"],
        "main effects": ["b_prognostic"],
        "interactions": ["b_interaction"],
        "precisions": ["tau_re", "tau_re_trt"],
    }
    found = log_prior_draws(draws, priors)
    assert list(found.data_vars) == list(variables)
    for component, names in variables.items():
        logp = model.compile_logp(vars=[model[name] for name in names], jacobian=False)
        one = draws["posterior"].isel(chain=0, draw=1)
        point = {}
        for name in model.initial_point():
            plain = name.removesuffix("_log__")
            point[name] = np.asarray(np.log(one[plain]) if name != plain else one[plain], dtype=np.float64)
        assert float(found[component].isel(chain=0, draw=1)) == pytest.approx(float(logp(point)), rel=1e-7), component


def test_shrinkage_is_scaled_at_its_top() -> None:
    """With a learned scale, the interactions' component is the half-normal of that scale and nothing else."""
    design = ALL_MODIFIERS_MODEL.design(simulate_trial(200, 1))
    draws = draw_from_prior(ALL_MODIFIERS_MODEL.priors, design, draws=5, rng=np.random.default_rng(4))
    scale = draws["posterior"]["sd_interaction"]
    component = log_prior_draws(draws, ALL_MODIFIERS_MODEL.priors)["interactions"]
    np.testing.assert_allclose(component - component[0, 0], -(scale**2 - scale[0, 0] ** 2) / (2 * 0.5**2), atol=1e-10)


def test_what_the_data_identify_follows_them_and_the_rest_follows_the_prior() -> None:
    posterior = paper_posterior()
    found = sensitivity(posterior, paper_design(), Priors(), listing2_draws(posterior))
    assert list(found.columns)[-2:] == ["all priors", LIKELIHOOD]
    assert found.loc["b_intercept", "intercept"] > 2 * THRESHOLD
    assert found.loc["b_intercept", LIKELIHOOD] < THRESHOLD < found.loc["te_gender[1]", LIKELIHOOD]
    # A prior has most to say about its own parameter.
    for name, component in {"b_trt": "treatment", "b_trt_anticoag": "interactions", "b_prior": "main effects"}.items():
        others = found.loc[name].drop([component, "all priors", LIKELIHOOD])
        assert found.loc[name, component] > others.max()


def test_pure_noise_is_sensitive_to_nothing() -> None:
    posterior = paper_posterior()
    noise = posterior["posterior"]["b_trt"].copy(data=np.random.default_rng(1).normal(size=(4, 1000)))
    found = sensitivity(posterior, paper_design(), Priors(), noise.to_dataset(name="noise"))
    assert found.to_numpy().max() < THRESHOLD


def test_quantities_of_other_draws_are_refused() -> None:
    posterior = paper_posterior()
    other = xr.Dataset({"x": posterior["posterior"]["b_trt"].isel(draw=slice(10))})
    with pytest.raises(ValueError, match="differ in their draw labels"):
        sensitivity(posterior, paper_design(), Priors(), other)
