"""Folds and groups within them; nobody is predicted by a model that has seen them, or a later fold; Wager's sums."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import predictions

from hte_utils import PAPER_SPEC, simulate_trial
from hte_utils.corrected.cross_fitting import (
    IMPLIED,
    arm_balanced_folds,
    bayesian,
    combine_folds,
    cross_fit,
    group_members,
    groups_within_folds,
    predict_sequentially,
)
from hte_utils.effects.cate import EffectScale, GroupEffects, cate
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.candidates import PAPER_MODEL
from hte_utils.model.fit import IndependenceSettings, fit

TRIAL = simulate_trial(n_subjects=600, seed=123)
TREATMENT = PAPER_SPEC.design(TRIAL).treatment.astype(int)
FOLDS = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=1, max_size=6)


@given(st.integers(2, 6), st.integers(6, 30), st.integers(6, 30), st.integers(0, 2**31 - 1))
def test_folds_share_out_both_arms_evenly(n_folds: int, treated: int, control: int, seed: int) -> None:
    arm = np.repeat([1, 0], [treated, control])
    fold = arm_balanced_folds(arm, n_folds, seed)
    assert set(fold) == set(range(n_folds))
    for value in (0, 1):
        assert np.ptp(np.bincount(fold[arm == value], minlength=n_folds)) <= 1
    np.testing.assert_array_equal(fold, arm_balanced_folds(arm, n_folds, seed))


def test_seeds_deal_differently() -> None:
    arm = np.tile([0, 1], 50)
    assert (arm_balanced_folds(arm, 5, 1) != arm_balanced_folds(arm, 5, 2)).any()


@given(st.lists(st.floats(0, 1), min_size=30, max_size=60), st.integers(1, 3))
def test_every_fold_is_ranked_by_itself(risk: list[float], n_folds: int) -> None:
    fold = np.arange(len(risk)) % n_folds
    groups = groups_within_folds(risk, fold, 5)
    for number in range(n_folds):
        np.testing.assert_array_equal(groups[fold == number], quantile_groups(np.array(risk)[fold == number], 5))


def test_a_shift_of_one_fold_changes_no_group() -> None:
    # Folds have models of their own, whose predictions may lie higher or lower as a whole.
    rng = np.random.default_rng(1)
    risk, fold = rng.random(100), np.arange(100) % 4
    np.testing.assert_array_equal(groups_within_folds(risk, fold, 5), groups_within_folds(risk + 3 * fold, fold, 5))


def test_members_of_groups() -> None:
    members = group_members([2, 1, 2, 3])
    assert list(members.columns) == ["Q1", "Q2", "Q3"]
    assert members["Q2"].tolist() == [True, False, True, False]
    assert (members.sum(axis=1) == 1).all()


def _seen_by_cross_fitting(trial: pd.DataFrame) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The tables that a predictor is handed."""
    seen = []

    def predictor(earlier, following, _):
        seen.append((earlier, following))
        return {"rows": predictions(following["subject_id"].to_numpy() / 1000, np.full(len(following), 0.5))}

    found = cross_fit(trial, TREATMENT, predictor, n_folds=3, seed=5)["rows"]
    np.testing.assert_allclose(found.baseline_risk, trial["subject_id"] / 1000)  # in the order of the table
    return seen


def test_a_patient_is_predicted_without_having_been_seen() -> None:
    """Models see the other folds alone, and what a patient's row says moves the models of the others."""
    seen = _seen_by_cross_fitting(TRIAL)
    assert pd.concat([following for _, following in seen])["subject_id"].is_unique
    for earlier, following in seen:
        assert not set(earlier["subject_id"]) & set(following["subject_id"])
        assert len(earlier) + len(following) == len(TRIAL)
    changed = TRIAL.assign(event=1 - TRIAL["event"])
    for (before, _), (after, _) in zip(seen, _seen_by_cross_fitting(changed), strict=True):
        assert list(before["subject_id"]) == list(after["subject_id"])  # the outcome has no say in the folds


def test_folds_are_fitted_without_their_patients() -> None:
    """Cross-fitted predictions are those of a fit to the other folds, with standardisation learned there."""
    predictor = bayesian(PAPER_MODEL, {IMPLIED: GroupEffects.INCLUDED}, draws=2000)
    crossed = cross_fit(TRIAL, TREATMENT, predictor, n_folds=3, seed=5)[IMPLIED]
    here = arm_balanced_folds(TREATMENT, 3, 5) == 0
    others = PAPER_SPEC.design(TRIAL[~here])
    posterior = fit(others, settings=IndependenceSettings(draws=1000, chains=4, seed=99))
    expected = cate(
        posterior,
        others.apply(TRIAL[here]),
        scale=EffectScale.LOG_ODDS_RATIO,
        group_effects=GroupEffects.INCLUDED,
    )
    distance = np.abs(crossed.log_odds_ratio[here] - expected["mean"].to_numpy()) / expected["sd"].to_numpy()
    assert distance.max() < 0.1
    again = cross_fit(TRIAL, TREATMENT, predictor, n_folds=3, seed=5)[IMPLIED]
    np.testing.assert_array_equal(again.risk_difference, crossed.risk_difference)


def test_nobody_is_predicted_from_their_own_or_a_later_fold() -> None:
    rng = np.random.default_rng(1)
    table, arm = pd.DataFrame({"row": np.arange(100)}), rng.permutation(np.repeat([0, 1], 50))
    seen = []

    def predictor(earlier, following, _):
        seen.append((set(earlier["row"]), set(following["row"])))
        return {"none": predictions(np.full(len(following), 0.1), np.full(len(following), 0.2))}

    found = predict_sequentially(table, arm, predictor, n_deals=2, seed=3)["none"]
    assert [len(deal) for deal in found] == [4, 4]
    for deal in (seen[:4], seen[4:]):
        before = deal[0][0]
        for earlier, following in deal:
            assert earlier == before
            assert not earlier & following
            before = earlier | following
        assert len(before) == 100
    assert seen[0] != seen[4]  # another deal


@given(folds=FOLDS)
def test_the_ratio_is_wagers_sum(folds) -> None:
    values, errors = np.array(folds).T
    value, error, weights = combine_folds(values, errors)
    assert value / error == pytest.approx((values / errors).sum() / np.sqrt(len(folds)), abs=1e-9)
    assert values.min() - 1e-9 <= value <= values.max() + 1e-9
    assert weights @ values == pytest.approx(value)


def test_folds_without_an_estimate_are_left_out() -> None:
    """Statistics in columns: the second has no estimate in the second fold, the third has none at all."""
    values = np.array([[1.0, 1.0, np.nan], [2.0, np.nan, np.nan]])
    errors = np.array([[0.5, 0.5, np.nan], [1.0, np.nan, np.nan]])
    value, error, weights = combine_folds(values, errors)
    np.testing.assert_allclose(value, [4.0 / 3.0, 1.0, np.nan])
    np.testing.assert_allclose(error, [np.sqrt(2.0) / 3.0, 0.5, np.nan])
    np.testing.assert_allclose(weights[:, :2], [[2.0 / 3.0, 1.0], [1.0 / 3.0, 0.0]])
