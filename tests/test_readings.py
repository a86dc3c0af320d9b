"""The other ways in which Tables 7 and 8 could have been computed: complete, right, and told from the paper's."""

from __future__ import annotations

import numpy as np
import pytest
from hand_made_posteriors import random_posterior, small_design
from paper_fits import paper_design, paper_posterior

from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.ledger.entries import Reproduced
from hte_utils.model.fit import IndependenceSettings
from hte_utils.reproduction.readings import (
    table_7_alternatives,
    table_7_candidates,
    table_8_alternatives,
    table_8_candidates,
    table_8_rivals,
)
from hte_utils.reproduction.table_4 import at_table_4_margins
from hte_utils.reproduction.tables_7_8 import LABELS, given_table_4
from hte_utils.trial import simulate_trial

COMPUTATION = {
    "mean_risk": "posterior mean of the probability",
    "mean_te": "ranked by: posterior mean of the probability",
    "te_sd": "SD over patients of the posterior mean",
    "te_lower": "mean over patients of the quantile",
    "te_upper": "mean over patients of the quantile",
}


@pytest.fixture(scope="module")
def posterior():
    return paper_posterior(IndependenceSettings(draws=2000))


@pytest.fixture(scope="module")
def eights(posterior):
    return table_8_candidates(at_table_4_margins(posterior, paper_design()), paper_design())


@pytest.fixture(scope="module")
def truth():
    return simulate_trial()["true_te"].to_numpy()


def test_candidates_contain_what_the_tables_use() -> None:
    posterior, design = random_posterior(1), small_design()
    truth = np.random.default_rng(1).normal(size=design.n_patients)
    sevens, eights = table_7_candidates(posterior, design, truth), table_8_candidates(posterior, design)
    for effects in GroupEffects:
        cate = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=effects)
        evaluation = evaluate_cate(cate, truth).metrics()
        row = sevens.loc[LABELS[effects], "mean", "quantiles"]
        for metric in ("correlation", "rmse", "mae", "coverage"):
            assert row[metric] == pytest.approx(evaluation[metric].value)
        strata = stratify_by_risk(baseline_risk_draws(posterior, design, group_effects=effects), cate)
        for column, computation in COMPUTATION.items():
            found = eights.loc[column, effects.name, effects.name, computation]
            np.testing.assert_allclose(found, strata.table[column])
        lower = eights.loc["te_lower", effects.name, effects.name, "quantile of the group's average"]
        np.testing.assert_allclose(lower, strata.table["average_lower"])


def test_every_candidate_is_another_computation() -> None:
    eights = table_8_candidates(random_posterior(1), small_design())
    assert eights.index.is_unique
    assert eights.notna().all(axis=None)
    included = eights.xs(("INCLUDED", "INCLUDED"), level=("effect", "risk"))
    assert not included.round(12).duplicated().any()


def test_table_7_alternatives_tell_the_gender_effects_and_nothing_else(posterior, truth) -> None:
    errors = {"correlation": 0.006, "rmse": 0.017, "mae": 0.014, "coverage": 0.003}
    given = {f"table7.{name}": Reproduced(0.0, mcse=0.0, printed_mcse=error) for name, error in errors.items()}
    table = table_7_alternatives(table_7_candidates(posterior, paper_design(), truth), given)
    left_out, included = LABELS.values()
    assert list(table.index.get_level_values(0)) == [left_out] * 4 + [included] * 4
    assert table["within tolerance"].tolist() == ["4 of 4"] * 4 + ["2 of 4"] * 4


def test_table_8_alternatives_find_the_papers_computation(eights) -> None:
    table = table_8_alternatives(eights)
    nearest = table["in neither"].groupby(level="column", sort=False)
    told = ["mean_risk", "mean_te", "te_sd"]
    assert nearest.idxmin().loc[told].str[1].tolist() == [COMPUTATION[column] for column in told]
    assert list(nearest.first()) == list(nearest.min())  # the nearest stands first
    best = table.groupby(level="column").min().loc[told]
    assert (best["in neither"] < 0.015).all()
    assert (best.drop(columns="in neither").max() > 0.07).all()


def test_the_ledger_tells_risk_effect_and_spread_from_their_rivals(posterior, eights, truth) -> None:
    passing = table_8_rivals(eights, given_table_4(posterior, paper_design(), truth)["Table 8"])
    assert (passing["in neither"].loc[[*COMPUTATION.items()]] == 5).all()
    for column in ("mean_risk", "te_sd"):
        assert (passing.loc[column, "in neither"].drop(COMPUTATION[column]) < 5).all()
    assert (passing.loc[["mean_risk", "mean_te"], "in both"] < 5).all()
