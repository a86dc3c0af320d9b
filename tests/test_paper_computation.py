from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import evaluate_cate, point_metrics
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.reproduction.readings import (
    Margin,
    cate_from_means,
    match_margins,
    table_7_candidates,
    table_8_candidates,
)
from hte_utils.trial import simulate_trial

TABLE_4 = {"age": 0.337, "anticoag": 0.635, "diabetes": 0.255}


def test_table_4_and_the_trial_give_table_7_to_the_last_digit() -> None:
    trial = simulate_trial()
    predicted = cate_from_means(PAPER_SPEC.design(trial), -0.105, TABLE_4)
    found = point_metrics(predicted, trial["true_te"])
    assert (round(found.correlation, 3), round(found.rmse, 3), round(found.mae, 3)) == (0.784, 0.529, 0.413)


def test_with_the_group_effects_table_4_does_not_give_table_7() -> None:
    trial = simulate_trial()
    te_gender = np.where(trial["gender"] == "Male", -0.002, -0.393)
    predicted = cate_from_means(PAPER_SPEC.design(trial), 0.0, TABLE_4) + te_gender
    found = point_metrics(predicted, trial["true_te"])
    assert (round(found.correlation, 3), round(found.rmse, 3), round(found.mae, 3)) == (0.727, 0.513, 0.403)


def test_matched_margins_are_those_asked_for_and_the_rest_stays() -> None:
    posterior = random_posterior(1)
    margins = {("b_trt", None): Margin(-0.105, 0.592), ("b_interaction", "age"): Margin(0.337, 0.202)}
    matched = match_margins(posterior, margins)["posterior"].to_dataset()
    before = posterior["posterior"].to_dataset()
    for found, (mean, sd) in (
        (matched["b_trt"], (-0.105, 0.592)),
        (matched["b_interaction"].sel(modifier="age"), (0.337, 0.202)),
    ):
        assert float(found.mean()) == pytest.approx(mean)
        assert float(found.std(ddof=1)) == pytest.approx(sd)
    xr.testing.assert_identical(matched["b_prognostic"], before["b_prognostic"])
    xr.testing.assert_identical(matched["b_interaction"][..., 1:], before["b_interaction"][..., 1:])
    was, now = (
        np.corrcoef(d["b_trt"].to_numpy().ravel(), d["re"][..., 0].to_numpy().ravel()) for d in (before, matched)
    )
    np.testing.assert_allclose(now, was)


@pytest.mark.parametrize(
    ("name", "label", "sd"),
    [("b_trt", "age", 1.0), ("b_interaction", None, 1.0), ("b_interaction", "bmi", 1.0), ("b", None, 1.0),
     ("b_trt", None, 0.0)],
)  # fmt: skip
def test_margins_of_unknown_coefficients(name: str, label: str | None, sd: float) -> None:
    with pytest.raises(ValueError, match=f"'{name}'"):
        match_margins(random_posterior(1), {(name, label): Margin(0.0, sd)})


def test_unknown_interactions() -> None:
    with pytest.raises(ValueError, match="interactions must have the labels"):
        cate_from_means(small_design(), 0.1, {"age": 1.0, "bmi": 2.0, "diabetes": 0.0})


def test_candidates_contain_what_the_tables_use() -> None:
    posterior, design = random_posterior(1), small_design()
    truth = np.random.default_rng(1).normal(size=design.n_patients)
    sevens, eights = table_7_candidates(posterior, design, truth), table_8_candidates(posterior, design)
    for effects in GroupEffects:
        cate = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=effects)
        risk = baseline_risk_draws(posterior, design, group_effects=effects)
        evaluation = evaluate_cate(cate, truth).metrics()
        row = sevens.loc[effects.name, "mean", "quantiles"]
        for metric in ("correlation", "rmse", "mae", "coverage"):
            assert row[metric] == pytest.approx(evaluation[metric].value)
        strata = stratify_by_risk(risk, cate)
        for column, computation in (
            ("mean_risk", "posterior mean of the probability"),
            ("mean_te", "ranked by: posterior mean of the probability"),
            ("te_sd", "SD over patients of the posterior mean"),
            ("te_lower", "mean over patients of the quantile"),
            ("te_upper", "mean over patients of the quantile"),
        ):
            found = eights.loc[column, effects.name, effects.name, computation]
            np.testing.assert_allclose(found.iloc[:5], strata.table[column])
            # Two estimates of the same Monte Carlo error, from 20 batches and from 40.
            assert 0.4 < np.mean(found.iloc[5:] / strata.mcse[column].to_numpy()) < 2.5
        lower = eights.loc["te_lower", effects.name, effects.name, "quantile of the group's average"]
        np.testing.assert_allclose(lower.iloc[:5], strata.table["average_lower"])


def test_every_candidate_is_another_computation() -> None:
    eights = table_8_candidates(random_posterior(1), small_design())
    assert eights.index.is_unique
    assert eights.notna().all(axis=None)
    included = eights.xs(("INCLUDED", "INCLUDED"), level=("effect", "risk"))
    assert not included.round(12).duplicated().any()
