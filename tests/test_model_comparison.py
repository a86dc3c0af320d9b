"""Leave-one-out against refitting without the patient, and the attainable difference against simulation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from paper_fits import paper_design, paper_posterior
from scipy.special import expit, logit, logsumexp

from hte_utils.corrected.model_checks import attainable_difference, comparison_table, elpd_error, leave_one_out
from hte_utils.corrected.predictive_checks import event_probability_draws
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.model.spec import TrialDesign
from hte_utils.trial import EffectCoefficients, ListingCoefficients, simulate_truth

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
    settings = IndependenceSettings(draws=1000, chains=4, proposals_per_draw=10)
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
    assert found.constant == pytest.approx(0.4)
    assert found.expected == pytest.approx(0.0, abs=1e-9)
    assert found.sd == pytest.approx(0.0, abs=1e-6)


def test_attainable_difference_is_what_simulation_gives() -> None:
    truth = simulate_truth(2000, 123)
    found = attainable_difference(truth)
    treated = truth.treatment == 1
    true = truth.event_probability[treated]
    forecast = expit(logit(truth.baseline_risk[treated]) + found.constant)
    rng = np.random.default_rng(1)

    def gain(outcome: Any) -> float:
        return float(np.where(outcome, np.log(true / forecast), np.log((1 - true) / (1 - forecast))).sum())

    gains = np.array([gain(rng.random(true.size) < true) for _ in range(2000)])
    assert gains.mean() == pytest.approx(found.expected, abs=4 * found.sd / np.sqrt(2000))
    assert gains.std() == pytest.approx(found.sd, rel=0.08)
    assert found.realised == pytest.approx(gain(truth.event[treated] == 1))
    # No other constant predicts better on average.
    for other in (found.constant - 0.2, found.constant + 0.2):
        worse = expit(logit(truth.baseline_risk[treated]) + other)
        score = true * np.log(worse) + (1 - true) * np.log(1 - worse)
        best = true * np.log(forecast) + (1 - true) * np.log(1 - forecast)
        assert score.sum() < best.sum()
    assert replace(found, expected=0.0) != found
