"""The plan of the book's study: complete, resumable, published small."""

from __future__ import annotations

from pathlib import Path

import pytest
from study_methods import METHODS as SMALL

from hte_utils.methods import METHODS
from hte_utils.methods.measures import MEASURES
from hte_utils.study import plan
from hte_utils.study.protocol import replicates_for_coverage
from hte_utils.study.replicate import POPULATIONS
from hte_utils.study.run import study_client
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS
from hte_utils.study.store import StudyStore, definition_of


def test_every_method_meets_the_papers_design_and_the_core_every_scenario() -> None:
    planned = plan.planned_replicates()
    assert {method for scenario, method in planned if scenario == PAPER_DESIGN} == set(METHODS)
    assert {(scenario, method) for scenario in SCENARIOS for method in plan.CORE} <= set(planned)
    assert {scenario for scenario, _ in planned} == set(SCENARIOS)


def test_coverage_in_the_papers_design_is_known_well_enough() -> None:
    planned = plan.planned_replicates()
    assert all(planned[PAPER_DESIGN, method] >= replicates_for_coverage() for method in plan.CORE)


def test_a_later_stage_adds_to_an_earlier_one() -> None:
    stages = [plan.Stage(("a",), ("x", "y"), 10), plan.Stage(("a",), ("x",), 30), plan.Stage(("a",), ("y",), 5)]
    assert plan.planned_replicates(stages) == {("a", "x"): 30, ("a", "y"): 10}


def test_what_is_published_exists() -> None:
    assert set(plan.PROFILE_MEASURES) <= set(plan.PUBLISHED_MEASURES) <= set(MEASURES)
    assert set(plan.PUBLISHED_POPULATIONS) <= set(POPULATIONS)


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
