"""The tables behind the figures of the study, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from study_results import results

from hte_utils.paper import printed_number
from hte_utils.study import findings
from hte_utils.study.performance import fixed_rules, performance
from hte_utils.study.plan import METHOD_GROUPS, planned_replicates
from hte_utils.study.scenarios import SCENARIOS


def joined(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True).astype(dict.fromkeys(["scenario", "method", "population"], "category"))


def test_the_papers_place_among_the_trials():
    printed = printed_number("table7.correlation")
    values = [printed - 0.2, printed - 0.1, printed, printed + 0.1]
    row = findings.paper_among_trials(results(lor_correlation=values), "a").loc["correlation"]
    assert row["percentile"] == 50.0  # a trial with the paper's own value is not below it
    assert row["percentile_mcse"] == pytest.approx(25.0)
    assert row["n"] == 4
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["mcse"] == pytest.approx(np.std(values, ddof=1) / 2.0)


def test_failed_replicates_have_no_place():
    table = results(lor_correlation=[0.1, 0.9, 0.9, np.nan], error=["", "", "", "ValueError"])
    assert findings.paper_among_trials(table, "a").loc["correlation", "n"] == 3
    with pytest.raises(ValueError, match="no results of method 'b'"):
        findings.paper_among_trials(table, "b")


def test_the_better_fixed_rule_joins_the_methods():
    table = findings.with_fixed_rules(performance(results()))
    row = table.loc[("as-printed", findings.BEST_FIXED_RULE, "population", "regret")]
    assert row["mean"] == fixed_rules(["as-printed"]).loc["as-printed"].min()


def test_flags_and_failures_are_counted_once_a_replicate():
    trial = results(flags=["separation", "", "separation;not_converged", ""], error=["", "", "", "ValueError"])
    elsewhere = results(error=["", "", "", "ValueError"]).assign(population="population")
    row = findings.flagged(joined(trial, elsewhere)).loc[("as-printed", "a")]
    assert row[["replicates", "failed", "separation", "not_converged", "nuts_fallback"]].tolist() == [4, 1, 2, 1, 0]
    assert row["errors"] == "ValueError 1"


def test_runs_are_counted_beside_the_plan():
    table = joined(
        *(results(3).assign(method=name) for name in METHOD_GROUPS["ridge and lasso"]),
        *(results(2, error=["", "ValueError"]).assign(method=name) for name in METHOD_GROUPS["causal forests"]),
    )
    here = findings.runs(table).loc[SCENARIOS["as-printed"].label]
    planned = planned_replicates()
    assert here["ridge and lasso"] == f"3 / {planned['as-printed', 'interactions_lasso']}"
    assert here["causal forests"] == f"2 / {planned['as-printed', 'bcf']}, 2 failed"
    assert here["regressions"] == f"0 / {planned['as-printed', 'path']}"


def test_every_planned_method_is_in_one_group():
    grouped = [method for methods in METHOD_GROUPS.values() for method in methods]
    assert sorted(grouped) == sorted({method for _, method in planned_replicates()})


def test_intervals_of_effects_are_summed_up_by_table_6_of_morris_et_al():
    lower, upper = np.array([0.0, 0.01, 0.02, 0.03]), np.array([0.04, 0.05, 0.06, 0.07])
    table = results(ate_lower=lower, ate_estimate=(lower + upper) / 2, ate_upper=upper, ate_truth=0.015)
    row = findings.effect_intervals(table.assign(method="path"), ["path"], ["trial"]).iloc[0]
    empirical = np.std([0.02, 0.03, 0.04, 0.05], ddof=1)
    model = 0.02 / 1.959964
    assert row["bias"] == f"2.00 ± {100 * empirical / 2:.2f}"
    assert row["relative SE error"].startswith(f"{100 * (model / empirical - 1):.1f} ±")
    assert row["coverage"].startswith("50.0 ±")
    assert row["bias-eliminated"].startswith("100.0 ±")


def test_a_zip_plot_is_sorted_by_distance_in_standard_errors():
    table = results(ate_estimate=[0.0, 0.03, -0.01, 0.02], ate_truth=0.0, ate_lower=0.0, ate_upper=0.0)
    table["ate_lower"], table["ate_upper"] = table["ate_estimate"] - 0.0196, table["ate_estimate"] + 0.0196
    plot = findings.zip_plot(table, "a", "trial")
    centres = (plot.lower + plot.upper) / 2.0
    np.testing.assert_allclose(centres, [0.0, -1.0, 2.0, 3.0], atol=1e-12)
    assert plot.covers.tolist() == [True, True, False, False]
    assert plot.centile.tolist() == [12.5, 37.5, 62.5, 87.5]
    assert (plot.coverage, plot.mcse) == (50.0, 25.0)


def test_a_wide_interval_far_away_is_nearer_than_a_narrow_one():
    table = results(2, ate_estimate=[0.03, 0.01], ate_truth=0.0, ate_lower=[-0.07, 0.009], ate_upper=[0.13, 0.011])
    plot = findings.zip_plot(table, "a", "trial")
    assert plot.covers.tolist() == [True, False]


def test_a_method_without_intervals_has_no_zip_plot():
    with pytest.raises(ValueError, match="interval"):
        findings.zip_plot(results(ate_lower=np.nan, ate_upper=np.nan), "a", "trial")


def test_a_gain_is_what_the_better_rule_for_all_would_have_cost_more():
    table = results(regret=[0.001, 0.002, 0.003, 0.002]).assign(population="population")
    row = findings.gains(performance(table)).loc[("as-printed", "a", "gain")]
    best = fixed_rules(["as-printed"]).loc["as-printed"].min()
    assert row["mean"] == pytest.approx(best - 2.0)
    assert row["mcse"] == pytest.approx(np.std([1, 2, 3, 2], ddof=1) / 2.0)


def test_regrets_by_worth_are_of_the_trials_that_all_have_met():
    paths = results(3, regret=[0.001, 0.002, 0.003], regret_5=0.004).assign(method="path", population="population")
    constants = results(2, regret=0.0).assign(method="constant", population="population")
    table = findings.regret_by_worth(joined(paths, constants), ["constant", "path"])
    assert table.loc["risk model x treatment (PATH)", 0] == "1.50 (0.50)"
    assert table.loc["risk model x treatment (PATH)", 5] == "4.00 (0.00)"
    assert table.loc["treat none", 2] == f"{fixed_rules(['as-printed'], 2).loc['as-printed', 'treat none']:.2f}"


def test_interaction_tests_are_counted():
    tests = [
        results(4, interaction_p=[0.01, 0.049, 0.05, 0.9]).assign(method=name) for name in findings.INTERACTION_TESTS
    ]
    found = findings.interaction_tests(joined(*tests), ["as-printed"])
    assert found["rate"].tolist() == [50.0] * len(tests)
    assert found["mcse"].tolist() == [25.0] * len(tests)
    shown = findings.interaction_tests_table(found)
    assert shown.loc[SCENARIOS["as-printed"].label, "predicted risk"] == "50.0 ± 25.0"


def test_one_measure_by_scenario():
    table = performance(results(rd_rmse=[0.01, 0.02, 0.03, 0.02]).assign(method="path", population="population"))
    shown = findings.by_scenario(table, "rd_rmse")
    assert shown.loc["risk model x treatment (PATH)", SCENARIOS["as-printed"].label] == "2.00 (0.41)"
