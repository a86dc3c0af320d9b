"""The report's own verification: against what R printed, and able to fail."""

from __future__ import annotations

import pandas as pd
import pytest
from reference_values import run_again
from report_trials import own_report

from hte_utils.ledger.notebooks import Project
from hte_utils.report.__main__ import main
from hte_utils.report.words import baseline, table_one


def test_verification_passes_and_says_what_it_compared(capfd) -> None:
    assert main(["--verify"]) == 0
    said = capfd.readouterr().out
    for number in ("standardised_difference", "table 1: crp: difference", "times: hazard ratio: lower"):
        assert number in said
    assert "FAIL" not in said


def test_verification_fails_when_a_number_differs(capfd, monkeypatch) -> None:
    found = pd.DataFrame({"number": ["n"], "ours": [1.0], "expected": [2.0], "witness": ["R"], "passed": [False]})
    monkeypatch.setattr("hte_utils.report.__main__.verify", lambda: found)
    assert main(["--verify"]) == 1
    assert "FAIL" in capfd.readouterr().out


@pytest.mark.r
def test_r_still_prints_the_recorded_values(tmp_path) -> None:
    run_again("r_report.R", tmp_path / "values.csv")
    recorded = Project.find().stored_results / "own-trial" / "r_values.csv"
    fresh, before = (pd.read_csv(path, comment="#", index_col="name") for path in (tmp_path / "values.csv", recorded))
    pd.testing.assert_frame_equal(fresh, before, rtol=1e-9)


def test_table_one_is_what_pandas_counts() -> None:
    trial = own_report().trial
    found = baseline(trial).set_index(["covariate", "value"])
    [age] = [each.numbers for each in trial.covariates if each.name == "age"]
    by_arm = pd.Series(age).groupby(trial.treatment).agg(["mean", "std"])
    row = found.loc[("age", "mean (SD)")]
    assert row[["control", "control_spread"]].tolist() == pytest.approx(by_arm.loc[0.0].tolist())
    assert row[["treated", "treated_spread"]].tolist() == pytest.approx(by_arm.loc[1.0].tolist())
    severity = found.loc["severity"]
    assert severity["treated"].sum() == (trial.treatment == 1.0).sum()
    assert severity["treated_spread"].sum() == pytest.approx(1.0)
    printed = table_one(own_report()).set_index(["covariate", "value"])
    assert printed.loc[("age", "mean (SD)"), "control"] == f"{row['control']:.4g} ({row['control_spread']:.3g})"
