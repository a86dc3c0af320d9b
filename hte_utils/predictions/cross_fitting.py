"""Folds and risk groups for models that have not seen the patients they rank (cross-fitting).

Whoever ranks patients by a risk model fitted to their own outcomes uses these outcomes twice: a control patient's bleed
raises the predicted risk of patients like this one, and is then counted among the bleeds of a high-risk group. Group
effects are biased by it (endogenous stratification; Abadie, Chingos & West 2018). The remedy: cut the patients into
folds, take each fold's risks from a model fitted to the others, and rank patients *within* their fold. Given the other
folds, a fold's groups do not depend on its outcomes, so a comparison of arms within them is unbiased.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from hte_utils.monte_carlo import IntArray
from hte_utils.strata import quantile_groups

N_FOLDS = 5


def arm_balanced_folds(treatment: npt.ArrayLike, n_folds: int, seed: int) -> IntArray:
    """Deal patients at random to folds, numbered from 0, with the same share of treated (1, not 0) in each.

    The outcome has no say in it, on purpose: folds that were balanced by outcome would depend on it.
    """
    arm = np.asarray(treatment)
    fold = np.empty(arm.size, dtype=np.int64)
    splits = StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(np.zeros(arm.size), arm)
    for number, (_, held_out) in enumerate(splits):
        fold[held_out] = number
    return fold


def groups_within_folds(risk: npt.ArrayLike, fold: npt.ArrayLike, n_groups: int) -> IntArray:
    """Rank patients within their fold and cut each fold into groups of equal size, 1 = lowest risk."""
    risks, folds = np.asarray(risk, dtype=np.float64), np.asarray(fold)
    group = np.empty(risks.size, dtype=np.int64)
    for number in np.unique(folds):
        group[folds == number] = quantile_groups(risks[folds == number], n_groups)
    return group


def group_members(group: npt.ArrayLike) -> pd.DataFrame:
    """Membership table (boolean, a column per group: Q1, Q2, ...) of groups that are numbered from 1."""
    groups = np.asarray(group)
    return pd.DataFrame({f"Q{number}": groups == number for number in range(1, int(groups.max()) + 1)})
