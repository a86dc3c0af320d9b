"""The study's own scenarios: each changes one thing."""

from __future__ import annotations

import pickle
import re
from dataclasses import fields

import numpy as np
import pytest

from hte_utils.study.generate import population
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS, Scenario
from hte_utils.trial import BaselineCoefficients, EffectCoefficients

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
    assert {s.event_rate for s in SCENARIOS.values()} == {None, 0.02, 0.05, 0.1, 0.2}


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
    assert (design.n_patients, design.event_rate) == (2000, None)
    assert (design.baseline, design.effect) == (BaselineCoefficients(), EffectCoefficients())


def test_names_are_names_of_folders() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in SCENARIOS)


def test_a_scenario_travels_and_is_a_key() -> None:
    again = pickle.loads(pickle.dumps(PAPER))
    assert again == PAPER
    assert hash(again) == hash(PAPER)
