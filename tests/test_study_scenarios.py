"""The study's own scenarios: each changes one thing."""

from __future__ import annotations

import pickle
import re
from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from hte_utils.study.generate import population, simulate
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS, Scenario
from hte_utils.trial import (
    LISTING_BASELINE,
    LISTING_EFFECT,
    BaselineCoefficients,
    EffectCoefficients,
    simulate_truth,
)

PAPER = SCENARIOS[PAPER_DESIGN]


def test_each_scenario_changes_one_thing() -> None:
    for scenario in SCENARIOS.values():
        changed = {f.name for f in fields(scenario) if getattr(scenario, f.name) != getattr(PAPER, f.name)}
        assert len(changed - {"name", "label"}) == (0 if scenario is PAPER else 1), scenario


def test_they_are_keyed_by_name_and_labelled_apart() -> None:
    assert all(name == scenario.name for name, scenario in SCENARIOS.items())
    assert len({scenario.label for scenario in SCENARIOS.values()}) == len(SCENARIOS)
    with pytest.raises(TypeError):
        SCENARIOS["x"] = PAPER  # type: ignore[index]


def test_sizes_and_rates_of_the_protocol_are_there() -> None:
    assert {scenario.n_patients for scenario in SCENARIOS.values()} == {500, 1000, 2000, 5000, 20_000}
    assert {name for name in SCENARIOS if name.startswith("event-rate-")} == {f"event-rate-{p}" for p in (2, 5, 10, 20)}


def test_what_varies_between_patients() -> None:
    def effects(name: str) -> np.ndarray:
        return population(SCENARIOS[name]).truth.log_odds_ratio

    listing = effects(PAPER_DESIGN)
    assert np.ptp(effects("constant-odds-ratio")) == 0.0
    # The constant is the mean effect of Listing 1, so that heterogeneity is all that is taken away.
    assert effects("constant-odds-ratio")[0] == pytest.approx(listing.mean(), abs=3 * listing.std() / 100)
    assert not population(SCENARIOS["no-effect"]).truth.log_odds_ratio.any()
    assert not population(SCENARIOS["no-effect"]).truth.risk_difference.any()
    np.testing.assert_allclose(effects("stronger-effects") + 0.2, 2.0 * (listing + 0.2), atol=1e-12)


def test_defaults_are_the_papers_design() -> None:
    design = Scenario("x", "x")
    assert design.n_patients == 2000
    assert (design.baseline, design.effect) == (BaselineCoefficients(), EffectCoefficients())


def test_names_are_names_of_folders() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in SCENARIOS)


def test_a_scenario_travels_and_is_a_key() -> None:
    again = pickle.loads(pickle.dumps(PAPER))
    assert again == PAPER
    assert hash(again) == hash(PAPER)


def quadrature(beta: BaselineCoefficients, gamma: EffectCoefficients) -> float:
    """Listing 1's event rate by quadrature over age and SBP and by enumeration of the rest; written out on its own."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    sbp = np.sqrt(200.0) * nodes
    grid = np.linspace(25.0, 85.0, 4001)
    age_weights = norm.pdf(grid, 55.0, 12.0) * (grid[1] - grid[0])
    age_weights[[0, -1]] /= 2.0  # trapezium
    age_weights[0] += norm.cdf(25.0, 55.0, 12.0)  # clamped values sit on the limits
    age_weights[-1] += norm.sf(85.0, 55.0, 12.0)
    total = 0.0
    p_obese = norm.sf(30.0, 28.0, 5.0)
    for obese, diabetes, anticoagulant, prior in product((0, 1), repeat=4):
        p_diabetes = 0.2 + 0.2 * obese
        probability = (
            (p_obese if obese else 1 - p_obese)
            * (p_diabetes if diabetes else 1 - p_diabetes)
            * (0.3 if anticoagulant else 0.7)
            * (0.1 if prior else 0.9)
        )
        fixed = beta.intercept + beta.anticoagulant * anticoagulant + beta.prior_bleeding * prior
        untreated = fixed + beta.diabetes * diabetes + beta.age * (grid[:, None] - 55.0) + beta.sbp * sbp[None]
        effect = (
            gamma.base
            + gamma.age_per_decade * (grid[:, None] - 55.0) / 10.0
            + gamma.anticoagulant * anticoagulant
            + gamma.diabetes * diabetes
            + gamma.obese * obese
            + gamma.prior_bleeding * prior
        )
        mean_risk = (expit(untreated) + expit(untreated + effect)) / 2.0
        total += probability * float(age_weights @ mean_risk @ weights)
    return total


@pytest.mark.parametrize("percent", [2, 5, 10, 20])
def test_the_intercept_gives_the_event_rate(percent: int) -> None:
    baseline = SCENARIOS[f"event-rate-{percent}"].baseline
    assert quadrature(baseline, LISTING_EFFECT) == pytest.approx(percent / 100, rel=2e-4)
    assert replace(baseline, intercept=0.0) == replace(LISTING_BASELINE, intercept=0.0)


def test_the_quadrature_has_the_rate_of_listing_1() -> None:
    rate, n = quadrature(LISTING_BASELINE, LISTING_EFFECT), 200_000
    assert abs(simulate_truth(n, 5).event.mean() - rate) < 4.0 * np.sqrt(rate * (1 - rate) / n)


def test_the_same_difference_for_everybody() -> None:
    truth = population(SCENARIOS["constant-risk-difference"]).truth
    np.testing.assert_allclose(truth.risk_difference, 0.01, atol=1e-15)


def test_a_u_in_age_is_flat_where_a_line_would_be_steepest() -> None:
    trial = population(SCENARIOS["u-shaped"])
    age, effect = trial.table["age"].to_numpy(), trial.truth.log_odds_ratio
    np.testing.assert_allclose(effect, -0.7 + 0.35 * ((age - 55.0) / 10.0) ** 2, atol=0.02)  # ages are shown rounded
    assert abs(np.corrcoef(age, effect)[0, 1]) < 0.15
    printed = population(PAPER).truth.log_odds_ratio
    assert effect.std() == pytest.approx(printed.std(), rel=0.05)


def test_two_to_one() -> None:
    trials = [simulate(SCENARIOS["two-to-one"], np.random.default_rng(seed)).table for seed in range(5)]
    treated = np.mean([(table["treatment"] == "Treatment").mean() for table in trials])
    assert treated == pytest.approx(2 / 3, abs=4 * np.sqrt(2 / 9 / 10_000))
