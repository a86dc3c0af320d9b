"""The comparison tables of the chapter hold what they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from described_fits import paper_fit, paper_trial
from paper_fits import paper_design, paper_posterior

from hte_utils.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.described.cate import mean_effect_draws
from hte_utils.described.compared import (
    compare_effects,
    compare_with_truth,
    correlation_without_chance,
    effects_by_risk,
    effects_by_subgroup,
    listing_effects,
    stack,
)
from hte_utils.described.model import Reading
from hte_utils.evaluation import evaluate_cate
from hte_utils.spec import PAPER_SPEC
from hte_utils.strata import stratify_by_risk
from hte_utils.trial import EffectCoefficients, ListingCoefficients, simulate_truth, trial_table
from hte_utils.trial.as_described import LOG_ODDS_EFFECTS, simulate_truth_as_described

TRUTH = simulate_truth(2000, 123)


def test_subgroups_beside_the_truth():
    design, subgroups = paper_trial()
    table = effects_by_subgroup(paper_fit(Reading.CHARITABLE), design, subgroups, TRUTH.treatment_effect)
    assert table["patients"].sum() == 2000
    assert table["bleeds"].sum() == 113
    for k, label in enumerate(subgroups.labels):
        here = TRUTH.treatment_effect[subgroups.index == k]
        assert table.loc[label, "true_mean"] == pytest.approx(here.mean())
        assert table.loc[label, "true_sd"] == pytest.approx(here.std(ddof=1))
        assert table.loc[label, "lower"] < table.loc[label, "mean"] < table.loc[label, "upper"]


def test_comparison_is_evaluate_cate_s():
    design, subgroups = paper_trial()
    draws = {
        "charitable": mean_effect_draws(paper_fit(Reading.CHARITABLE), design, subgroups),
        "literal": mean_effect_draws(paper_fit(Reading.LITERAL), design, subgroups),
    }
    found = compare_with_truth(draws, TRUTH)
    expected = evaluate_cate(draws["charitable"], TRUTH.treatment_effect)
    assert found.evaluations["charitable"].rmse.value == pytest.approx(expected.rmse.value, rel=1e-9)
    assert found.spreads["literal"] == pytest.approx(0.0, abs=1e-12)
    assert found.shown().loc["literal", "correlation"] == "none"
    guarded = found.guarded("x")
    assert "x.literal.correlation" not in guarded  # undefined, and the ledger takes finite numbers only
    assert guarded["x.charitable.rmse"].value == pytest.approx(expected.rmse.value, rel=1e-9)


def test_widths_against_numpy():
    values = np.random.default_rng(1).standard_normal((2, 1001, 6))
    draws = xr.DataArray(values, dims=("chain", "draw", "patient"))
    found = compare_effects({"a": draws}, np.zeros(6)).widths["a"]
    lower, upper = np.quantile(values.reshape(-1, 6), (0.025, 0.975), axis=0)
    assert found == pytest.approx(np.mean(upper - lower), rel=0.01)


def test_listing_2_both_ways():
    found = listing_effects(paper_posterior(), paper_design())
    for label, which in zip(found, (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED), strict=True):
        scale = EffectScale.LOG_ODDS_RATIO
        expected = cate_draws(paper_posterior(), paper_design(), scale=scale, group_effects=which)
        xr.testing.assert_identical(found[label], expected)


def test_quintiles_are_those_of_strata():
    from hte_utils.cate import baseline_risk_draws

    posterior, design = paper_posterior(), paper_design()
    table = effects_by_risk(posterior, design, TRUTH)
    included = GroupEffects.INCLUDED
    strata = stratify_by_risk(
        baseline_risk_draws(posterior, design, group_effects=included),
        cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included),
        n_replicates=2,
    )
    np.testing.assert_allclose(table["predicted"], strata.table["mean_te"])
    for number, quintile in enumerate(table.index, start=1):
        here = strata.group == number
        assert table.loc[quintile, "true"] == pytest.approx(TRUTH.treatment_effect[here].mean())
        assert table.loc[quintile, "true_points"] == pytest.approx(100 * TRUTH.risk_difference[here].mean())


def test_nobody_benefits_in_the_described_trial():
    for effects in ({}, {"effects": LOG_ODDS_EFFECTS}):
        assert (simulate_truth_as_described(5000, 1, **effects).risk_difference > 0).all()
    assert (TRUTH.risk_difference < 0).mean() > 0.5


def test_without_chance_a_true_form_is_found_exactly():
    """With effects of Listing 2's own form the correlation is 1; with those of Listing 1 nearly so."""
    linear = ListingCoefficients(effect=EffectCoefficients(obese=0.0, prior_bleeding=0.0))
    exact = simulate_truth(2000, 1, coefficients=linear)
    # Not 1.0 exactly: systolic pressure is missing from the form, and ages are rounded.
    assert correlation_without_chance(PAPER_SPEC.design(trial_table(exact)), exact) > 0.999
    assert 0.95 < correlation_without_chance(paper_design(), TRUTH) < 0.99
    described = simulate_truth_as_described(2000, 123)
    assert correlation_without_chance(PAPER_SPEC.design(trial_table(described)), described) < 0.5


def test_stacked_tables_keep_their_labels():
    table = pd.DataFrame({"x": [1.0]}, index=["row"])
    assert list(stack({"a": table, "b": table}).index) == [("a", "row"), ("b", "row")]
