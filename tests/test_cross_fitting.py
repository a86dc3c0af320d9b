"""Folds and risk groups within them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.cross_fitting import arm_balanced_folds, group_members, groups_within_folds
from hte_utils.effects.strata import quantile_groups


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
