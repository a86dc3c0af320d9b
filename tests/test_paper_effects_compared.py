"""Tables 7 and 8 beside the other ways in which they could have been computed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from paper_fits import paper_design, paper_posterior

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.ledger.entries import Reproduced
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.listing_2 import table4_draws
from hte_utils.paper import printed, printed_number
from hte_utils.reproduction.compared import (
    INCLUDED_LABEL,
    LEFT_OUT_LABEL,
    at_table_4_margins,
    cate_of_table_4,
    error_by_component,
    slope_within_bands,
    table_7_alternatives,
    table_7_beside_the_paper,
    table_7_from_table_4,
    table_8_alternatives,
    table_8_beside_the_paper,
)
from hte_utils.trial import simulate_trial, simulate_truth

LOG_ODDS = EffectScale.LOG_ODDS_RATIO


@pytest.fixture(scope="module")
def posterior() -> xr.DataTree:
    return paper_posterior(IndependenceSettings(draws=500))


@pytest.fixture(scope="module")
def matched(posterior: xr.DataTree) -> xr.DataTree:
    return at_table_4_margins(posterior, paper_design())


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return simulate_trial()["true_te"].to_numpy()


def test_table_4_gives_table_7_without_the_gender_effects_alone(truth: np.ndarray) -> None:
    table = table_7_from_table_4(paper_design(), truth)
    paper, left_out, included = (table.loc[row].tolist() for row in table.index)
    assert table.index[1].endswith(LEFT_OUT_LABEL)
    assert table.index[2].endswith(INCLUDED_LABEL)
    assert left_out == paper == [printed(f"table7.{name}") for name in ("correlation", "rmse", "mae")]
    assert all(ours != theirs for ours, theirs in zip(included, paper, strict=True))


def test_the_parts_of_the_error_are_those_computed_from_outside(truth: np.ndarray) -> None:
    """Correlations that were measured apart from this code, from the same printed means; the other columns by hand."""
    table = error_by_component(paper_design(), truth)
    expected = {
        "as in Table 4": 0.784,
        "with the gender effects": 0.727,
        "true slope of age": 0.890,
        "true effect of diabetes": 0.897,
        "true age and diabetes": 0.967,
    }
    for row, correlation in expected.items():
        assert table.loc[row, "correlation"] == pytest.approx(correlation, abs=0.0005), row
    error = cate_of_table_4(paper_design(), gender_effects=False) - truth
    assert table.loc["as in Table 4", "without mean error"] == pytest.approx(np.std(error))
    assert table.loc["as in Table 4", "slope"] == pytest.approx(np.polyfit(error + truth, truth, 1)[0])


def test_within_a_band_the_slope_is_the_ratio_of_the_slopes_of_age() -> None:
    design, truth = paper_design(), simulate_truth()
    ratio = 0.05 * simulate_trial()["age"].std() / printed_number("table4.b_trt_age.Mean")
    assert slope_within_bands(design, truth) == pytest.approx(ratio, abs=0.001)  # ages are rounded to tenths


def test_men_and_women_differ_by_te_gender_only_with_the_gender_effects() -> None:
    design = paper_design()
    difference = cate_of_table_4(design, gender_effects=True) - cate_of_table_4(design, gender_effects=False)
    b_trt = printed_number("table4.b_trt.Mean")
    for group, name in enumerate(("te_gender[1]", "te_gender[2]")):
        np.testing.assert_allclose(difference[design.group == group], printed_number(f"table4.{name}.Mean") - b_trt)


def test_matched_draws_have_the_margins_of_table_4(matched: xr.DataTree) -> None:
    for name, draws in table4_draws(matched).items():
        assert float(draws.mean()) == pytest.approx(printed_number(f"table4.{name}.Mean"))
        assert float(draws.std(ddof=1)) == pytest.approx(printed_number(f"table4.{name}.SD"))


def test_matching_moves_the_split_and_not_the_sums(posterior: xr.DataTree, matched: xr.DataTree) -> None:
    before, after = (tree["posterior"].to_dataset() for tree in (posterior, matched))
    xr.testing.assert_allclose(after["b_intercept"] + after["re"], before["b_intercept"] + before["re"])
    xr.testing.assert_allclose((after["b_trt"] + after["re_trt"]).transpose(..., "group"), after["te_group"])
    for name in before:
        assert after[name].dims == before[name].dims


def test_table_7_alternatives_tell_the_gender_effects_and_nothing_else(
    posterior: xr.DataTree, truth: np.ndarray
) -> None:
    errors = {"correlation": 0.006, "rmse": 0.017, "mae": 0.014, "coverage": 0.003}
    found = {f"table7.{name}": Reproduced(0.0, mcse=0.0, printed_mcse=error) for name, error in errors.items()}
    table = table_7_alternatives(posterior, paper_design(), truth, found)
    assert list(table.index.get_level_values(0)) == [LEFT_OUT_LABEL] * 4 + [INCLUDED_LABEL] * 4
    assert table["within tolerance"].tolist() == ["4 of 4"] * 4 + ["2 of 4"] * 4


def test_table_8_alternatives_find_the_papers_computation(matched: xr.DataTree) -> None:
    table = table_8_alternatives(matched, paper_design())
    nearest = table["in neither"].groupby(level="column", sort=False)
    assert nearest.idxmin().loc[["mean_risk", "mean_te", "te_sd"]].str[1].tolist() == [
        "posterior mean of the probability",
        "ranked by: posterior mean of the probability",
        "SD over patients of the posterior mean",
    ]
    assert list(nearest.first()) == list(nearest.min())  # the nearest stands first
    best = table.groupby(level="column").min().loc[["mean_risk", "mean_te", "te_sd"]]
    assert (best["in neither"] < 0.015).all()
    assert (best.drop(columns="in neither").max() > 0.07).all()


def test_what_is_shown_is_what_was_found(posterior: xr.DataTree, truth: np.ndarray) -> None:
    found = {}
    for effects in GroupEffects:
        draws = cate_draws(posterior, paper_design(), scale=LOG_ODDS, group_effects=effects)
        found[effects] = evaluate_cate(draws, truth)
    table = table_7_beside_the_paper(found[GroupEffects.LEFT_OUT], found[GroupEffects.INCLUDED])
    assert len(table) == 8
    assert table["paper"].tolist() == ["0.784", "0.529", "0.413", "0.998", "", "", "", ""]
    left_out = found[GroupEffects.LEFT_OUT]
    assert table.loc["correlation", LEFT_OUT_LABEL].startswith(f"{left_out.correlation.value:.3f} ± ")
    assert table.loc["calibration slope", INCLUDED_LABEL].startswith(
        f"{found[GroupEffects.INCLUDED].calibration_slope.value:.3f} ± "
    )


def test_table_8_is_laid_beside_the_paper(posterior: xr.DataTree) -> None:
    draws = {"posterior": posterior, "patients": paper_design(), "group_effects": GroupEffects.LEFT_OUT}
    strata = stratify_by_risk(baseline_risk_draws(**draws), cate_draws(**draws, scale=LOG_ODDS), n_replicates=2)
    table = table_8_beside_the_paper(strata)
    assert table.loc["Q1", "n"] == "400 (400)"
    assert table.loc["Q5", "te_sd"] == f"{strata.table.loc['Q5', 'te_sd']:.3f} (0.502)"
    assert isinstance(table, pd.DataFrame)
    assert table.shape == (5, 6)
