"""The plan of the book's study: complete, resumable, copied small; and its protocol as tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_methods import METHODS as SMALL

from hte_utils.methods import METHODS
from hte_utils.methods.measures import MEASURES
from hte_utils.study import plan
from hte_utils.study.generate import PROFILE_NAMES, simulate
from hte_utils.study.replicate import POPULATIONS
from hte_utils.study.run import study_client
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS
from hte_utils.study.store import StudyStore, definition_of


def test_every_method_meets_the_papers_design_and_the_core_every_scenario() -> None:
    planned = plan.planned_replicates()
    assert {method for scenario, method in planned if scenario == PAPER_DESIGN} == set(METHODS)
    assert {(scenario, method) for scenario in SCENARIOS for method in plan.MODELS} <= set(planned)
    assert {scenario for scenario, _ in planned} == set(SCENARIOS)


def test_coverage_in_the_papers_design_is_known_well_enough() -> None:
    planned = plan.planned_replicates()
    assert all(planned[PAPER_DESIGN, method] >= plan.replicates_for_coverage() for method in plan.MODELS)


def test_a_later_stage_adds_to_an_earlier_one() -> None:
    stages = [plan.Stage(("a",), ("x", "y"), 10), plan.Stage(("a",), ("x",), 30), plan.Stage(("a",), ("y",), 5)]
    assert plan.planned_replicates(stages) == {("a", "x"): 30, ("a", "y"): 10}


def test_what_is_kept_exists() -> None:
    assert set(plan.KEPT["of_profiles"]) <= set(plan.KEPT["measures"]) <= set(MEASURES)
    assert set(plan.KEPT["populations"]) <= set(POPULATIONS)


def test_cost_is_hours_of_what_is_planned_and_of_two_thousand_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second a run in the paper's design, two with 500 patients; elsewhere in proportion to the patients."""
    keys = [(PAPER_DESIGN, name) for name in METHODS] + [("patients-500", name) for name in METHODS]
    seconds = pd.DataFrame({"seconds": [1.0] * len(METHODS) + [2.0] * len(METHODS)}, pd.MultiIndex.from_tuples(keys))
    monkeypatch.setattr(StudyStore, "seconds", lambda _store: seconds)
    table = plan.cost(StudyStore(Path("nowhere")))
    of_size = {name: each.n_patients / 2000 for name, each in SCENARIOS.items()} | {"patients-500": 2.0}
    planned = sum(number * of_size[scenario] for (scenario, _), number in plan.planned_replicates().items())
    assert table.loc["all", "planned"] == pytest.approx(planned / 3600)
    assert table.loc["horseshoe", "2000 everywhere"] == pytest.approx(2000 * sum(of_size.values()) / 3600)
    assert table.loc["horseshoe", "a trial"] == 1.0


def test_a_plan_runs_and_runs_again_without_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = [plan.Stage(("patients-500",), ("risk-by-arm", "noisy", "absent"), 2)]
    store = StudyStore(tmp_path)
    methods = {name: SMALL[name] for name in ("risk-by-arm", "noisy")}
    with study_client(processes=False) as client:
        plan.run_plan(stages, methods, store, client)
        files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
        assert store.done(definition_of(SCENARIOS["patients-500"], SMALL["noisy"], plan.SEED)) == {0, 1}
        plan.run_plan(stages, methods, store, client)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert "2 replicates of risk-by-arm, noisy" in capsys.readouterr().err


def test_the_command_says_how_it_is_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        plan.main(["--store", "x", "--methods", "no-such-method"])
    assert stopped.value.code == 2
    assert "no-such-method" in capsys.readouterr().err


@pytest.fixture(scope="module")
def described():
    return plan.mechanisms()


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
    table = plan.profile_patients()
    assert list(table.index) == list(PROFILE_NAMES)
    assert table.loc["high-risk", "conditions"] == "hypertension, diabetes, anticoagulant, prior bleeding"
    assert table.loc["young", "conditions"] == "none"
    assert table["risk"].idxmax() == "high-risk"


def test_every_measure_has_its_monte_carlo_error():
    table = plan.performance_measures()
    assert table.index.is_unique
    assert (table["monte_carlo_se"].str.len() > 0).all()


@pytest.mark.parametrize(("mcse", "coverage", "n"), [(0.005, 0.95, 1900), (0.005, 0.5, 10_000), (0.01, 0.95, 475)])
def test_replicates_for_a_coverage(mcse, coverage, n):
    assert plan.replicates_for_coverage(mcse, coverage) == n  # Morris et al. 2019, section 5.3
