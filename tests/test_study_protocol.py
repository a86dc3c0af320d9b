"""The protocol's tables say what the records say."""

from __future__ import annotations

import numpy as np
import pytest

from hte_utils.study import protocol
from hte_utils.study.generate import PROFILE_NAMES, simulate
from hte_utils.study.scenarios import SCENARIOS


@pytest.fixture(scope="module")
def described():
    return protocol.mechanisms()


def test_a_row_for_each_scenario(described):
    assert list(described.index) == [scenario.label for scenario in SCENARIOS.values()]
    assert described["patients"].tolist() == [scenario.n_patients for scenario in SCENARIOS.values()]


@pytest.mark.parametrize("percent", [2, 5, 10, 20])
def test_event_rates_are_those_asked_for(described, percent):
    assert described.loc[f"event rate {percent} %", "event_rate"] == pytest.approx(percent, rel=0.05)


def test_effects_vary_as_the_names_say(described):
    assert described.loc["no effect", ["ate", "sd_rd", "sd_lor", "helped"]].tolist() == [0.0] * 4
    assert described.loc["constant odds ratio", "sd_lor"] == pytest.approx(0.0, abs=1e-12)
    assert described.loc["constant odds ratio", "helped"] == 100.0
    doubled, printed = (described.loc[name, "sd_lor"] for name in ("heterogeneity doubled", "as printed (Listing 1)"))
    assert doubled == pytest.approx(2.0 * printed, rel=1e-9)


def test_the_event_rate_is_that_of_simulated_trials(described):
    rng = np.random.default_rng(5)
    trials = [simulate(SCENARIOS["as-printed"], rng).table["event"].mean() for _ in range(30)]
    error = np.std(trials, ddof=1) / np.sqrt(len(trials))
    assert abs(100.0 * np.mean(trials) - described.loc["as printed (Listing 1)", "event_rate"]) < 4.0 * 100.0 * error


def test_profiles_are_described():
    table = protocol.profile_patients()
    assert list(table.index) == list(PROFILE_NAMES)
    assert table.loc["high-risk", "conditions"] == "hypertension, diabetes, anticoagulant, prior bleeding"
    assert table.loc["young", "conditions"] == "none"
    assert table["risk"].idxmax() == "high-risk"


def test_every_measure_has_its_monte_carlo_error():
    table = protocol.performance_measures()
    assert table.index.is_unique
    assert (table["monte_carlo_se"].str.len() > 0).all()


@pytest.mark.parametrize(("mcse", "coverage", "n"), [(0.005, 0.95, 1900), (0.005, 0.5, 10_000), (0.01, 0.95, 475)])
def test_replicates_for_a_coverage(mcse, coverage, n):
    assert protocol.replicates_for_coverage(mcse, coverage) == n  # Morris et al. 2019, section 5.3
