"""Simulated trials: Listing 1's mechanism on NumPy's random numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from hte_utils.model.spec import PAPER_SPEC
from hte_utils.study.generate import (
    PROFILE_NAMES,
    NumPyStream,
    SimulatedTrial,
    _with_outcomes,
    expected_events,
    population,
    profiles,
    simulate,
)
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS, Scenario
from hte_utils.trial import (
    baseline_log_odds,
    draw_covariates,
    simulate_trial,
    simulate_truth,
    treatment_effect,
)
from hte_utils.trial.as_described import (
    described_effect,
    draw_described_covariates,
    simulate_trial_as_described,
)

PAPER = SCENARIOS[PAPER_DESIGN]
LARGE = Scenario("large", "large", n_patients=100_000)


@pytest.fixture(scope="module")
def large() -> SimulatedTrial:
    return simulate(LARGE, np.random.default_rng(3))


def _means(table) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    numbers = table.drop(columns="subject_id").apply(
        lambda column: column.cat.codes if column.dtype == "category" else column
    )
    return numbers.mean().to_numpy(), numbers.std().to_numpy() / np.sqrt(len(numbers))


def test_distributions_are_those_of_rs_stream(large: SimulatedTrial) -> None:
    """Every column's mean, and those of squares and products, agree with Listing 1 on R's stream."""
    reference = simulate_trial(100_000, 11)
    assert list(large.table.columns) == list(reference.columns)
    assert (large.table.dtypes == reference.dtypes).all()
    for ours, theirs in ((large.table, reference),):
        mean, error = _means(ours)
        expected, its_error = _means(theirs)
        z = (mean - expected) / np.hypot(error, its_error)
        assert np.abs(z).max() < 4.0, dict(zip(ours.columns[1:], z.round(1), strict=True))
    for first, second in (("age", "age"), ("sbp", "dbp"), ("sbp", "sbp"), ("bmi", "bmi"), ("true_te", "true_te")):
        ours = large.table[first] * large.table[second]
        theirs = reference[first] * reference[second]
        assert abs(ours.mean() - theirs.mean()) < 4.0 * np.hypot(ours.std(), theirs.std()) / np.sqrt(100_000)


def test_the_described_mechanism_is_that_of_its_own_module() -> None:
    scenario = SCENARIOS["as-described"]
    ours = population(scenario)
    expected, its_error = _means(simulate_trial_as_described(100_000, 11))
    mean, error = _means(ours.table)
    assert (np.abs(mean - expected) / np.maximum(np.hypot(error, its_error), 1e-12)).max() < 4.0
    patients = draw_described_covariates(np.random.default_rng(8), 2000)
    again = simulate(scenario, np.random.default_rng(8)).truth
    effect = described_effect(patients, scenario.effect)  # type: ignore[arg-type]
    np.testing.assert_allclose(again.risk_difference, effect, atol=1e-15)
    treated = again.baseline_risk + effect
    np.testing.assert_allclose(again.log_odds_ratio, logit(treated) - logit(again.baseline_risk), atol=1e-12)


@pytest.mark.parametrize("name", [PAPER_DESIGN, "stronger-effects", "event-rate-20"])
def test_the_mechanism_is_listing_1s(name: str) -> None:
    scenario = SCENARIOS[name]
    patients = draw_covariates(NumPyStream(np.random.default_rng(8)), 2000)  # type: ignore[arg-type]
    truth = simulate(scenario, np.random.default_rng(8)).truth
    effect = treatment_effect(patients, scenario.effect)  # type: ignore[arg-type]
    untreated = baseline_log_odds(patients, scenario.baseline)
    np.testing.assert_array_equal(truth.log_odds_ratio, effect)
    np.testing.assert_array_equal(truth.baseline_risk, expit(untreated))
    np.testing.assert_allclose(truth.risk_difference, expit(untreated + effect) - expit(untreated), atol=1e-14)


def test_the_papers_own_patients_get_the_papers_risks() -> None:
    paper = simulate_truth(2000, 123)
    ours = _with_outcomes(PAPER, paper.covariates, paper.treatment, None).truth
    np.testing.assert_array_equal(ours.baseline_risk, paper.baseline_risk)
    np.testing.assert_array_equal(ours.log_odds_ratio, paper.treatment_effect)
    np.testing.assert_allclose(ours.risk_difference, paper.risk_difference, atol=1e-15)


def test_events_follow_the_risks(large: SimulatedTrial) -> None:
    treated = (large.table["treatment"] == "Treatment").to_numpy()
    risk = large.truth.baseline_risk + treated * large.truth.risk_difference
    event = large.table["event"].to_numpy()
    for group in (treated, ~treated, risk > 0.1, large.truth.log_odds_ratio > 0.5):
        error = np.sqrt((risk * (1 - risk))[group].sum())
        assert abs(event[group].sum() - risk[group].sum()) < 4.0 * error
    assert abs(treated.mean() - 0.5) < 4.0 * 0.5 / np.sqrt(treated.size)


def test_a_trial_depends_on_the_generator_alone() -> None:
    first, again = (simulate(PAPER, np.random.default_rng(1)) for _ in range(2))
    other = simulate(PAPER, np.random.default_rng(2))
    assert first.table.equals(again.table)
    assert not first.table["age"].equals(other.table["age"])


def test_analysts_see_no_truth() -> None:
    trial = simulate(PAPER, np.random.default_rng(1))
    assert "true_te" not in trial.analysts_table
    assert not {"true_te", "event", "treatment"} & set(trial.covariates)
    design = PAPER_SPEC.design(trial.analysts_table)
    assert design.n_patients == 2000
    assert design.apply(population(PAPER).covariates).n_patients == PAPER.population_size
    with pytest.raises(ValueError, match="read-only"):
        trial.truth.baseline_risk[0] = 0.5


def test_populations_are_fixed_and_shared_by_a_mechanism() -> None:
    first, again = population(PAPER), population(Scenario("other-name", "x"))
    assert first is population(PAPER)
    assert first.table["age"].equals(again.table["age"])
    assert len(first.table) == PAPER.population_size
    assert not first.table["age"].iloc[:50].equals(simulate(PAPER, np.random.default_rng(0)).table["age"].iloc[:50])


def test_profiles_are_the_same_people_everywhere() -> None:
    one, other = profiles(PAPER), profiles(SCENARIOS["as-described"])
    assert tuple(one.table.index) == PROFILE_NAMES
    assert len(set(PROFILE_NAMES)) == len(PROFILE_NAMES)
    assert one.covariates.equals(other.covariates)
    assert not one.table["event"].any()
    typical = PROFILE_NAMES.index("typical")
    assert one.truth.log_odds_ratio[typical] == pytest.approx(-0.2)  # a woman of 55 without any risk factor
    assert one.truth.baseline_risk[typical] == pytest.approx(1 / (1 + np.exp(3.5)))


@pytest.mark.parametrize("name", [PAPER_DESIGN, "two-to-one", "event-rate-2"])
def test_expected_events_are_those_of_many_trials(name: str) -> None:
    trials = [simulate(SCENARIOS[name], np.random.default_rng(seed)).table["event"].sum() for seed in range(60)]
    # The population that stands for all has an error of its own, as large as that of one trial's risks.
    assert expected_events(SCENARIOS[name]) == pytest.approx(np.mean(trials), abs=4 * np.std(trials) / np.sqrt(10))
