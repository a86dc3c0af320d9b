"""The study of same-data risk groups: its parts by hand, its answer by its sign."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paper_fits import paper_design

from hte_utils.corrected.cross_fitting import arm_balanced_folds, group_members, groups_within_folds
from hte_utils.corrected.same_data import (
    Ranking,
    RiskModel,
    cross_fitted_risks,
    one_trial,
    paired_differences,
    repeated_cross_fits,
    same_data_risks,
    same_data_study,
    summarise_study,
)
from hte_utils.corrected.subgroups import unadjusted_effects
from hte_utils.effects.strata import ntile
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_truth


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    return same_data_study(PAPER_SPEC, range(40), n_folds=5, models=[RiskModel.CONTROL_ARM, RiskModel.BLINDED])


def test_one_trial_by_hand() -> None:
    design, truth = paper_design(), simulate_truth(2000, 123)
    fold = arm_balanced_folds(design.treatment, 5, 1)
    found = one_trial(design, truth, RiskModel.WITH_EFFECTS, fold)
    same = same_data_risks(design, RiskModel.WITH_EFFECTS)
    crossed = cross_fitted_risks(design, RiskModel.WITH_EFFECTS, fold)
    groups = {
        Ranking.SAME_DATA: (ntile(same.untreated, 5), same),
        Ranking.CROSS_FITTED: (groups_within_folds(crossed.untreated, fold, 5), crossed),
    }
    treated = design.treatment == 1
    treated_risk = truth.baseline_risk + truth.risk_difference
    for ranking, (group, risks) in groups.items():
        observed = unadjusted_effects(design, group_members(group)).xs("RISK_DIFFERENCE", level="measure")["estimate"]
        np.testing.assert_allclose(found[ranking]["observed"], observed)
        for number in range(1, 6):
            here, row = group == number, found[ranking].loc[f"Q{number}"]
            expected = treated_risk[here & treated].mean() - truth.baseline_risk[here & ~treated].mean()
            assert row["expected"] == pytest.approx(expected)
            assert row["true"] == pytest.approx(truth.risk_difference[here].mean())
            assert row["predicted"] == pytest.approx((risks.treated - risks.untreated)[here].mean())


def test_reusing_the_control_arm_biases_its_outer_groups(study: pd.DataFrame) -> None:
    # The sign is known from theory (Abadie, Chingos & West 2018): controls of the top group bled too often.
    paired = paired_differences(study).loc["CONTROL_ARM"]
    assert paired.loc["Q5", "mean"] < -4 * paired.loc["Q5", "mcse"]
    assert paired.loc["Q1", "mean"] > 4 * paired.loc["Q1", "mcse"]


def test_blind_and_cross_fitted_ranking_are_unbiased(study: pd.DataFrame) -> None:
    summary = summarise_study(study)
    unbiased = [("CONTROL_ARM", "CROSS_FITTED"), ("BLINDED", "CROSS_FITTED"), ("BLINDED", "SAME_DATA")]
    for key in unbiased:
        z = summary.loc[key, "stratification"] / summary.loc[key, "stratification_mcse"]
        assert np.abs(z).max() < 4


def test_a_summary_is_a_mean_over_trials(study: pd.DataFrame) -> None:
    summary = summarise_study(study)
    one = study.xs(("BLINDED", "SAME_DATA", "Q2"), level=("model", "ranking", "risk_group"))
    row = summary.loc[("BLINDED", "SAME_DATA", "Q2")]
    error = one["observed"] - one["expected"]
    assert row["stratification"] == pytest.approx(error.mean())
    assert row["stratification_mcse"] == pytest.approx(error.std() / np.sqrt(40))
    assert np.isnan(row["predicted_minus_true"])  # a blinded model predicts no effect
    other = study.xs(("BLINDED", "CROSS_FITTED", "Q2"), level=("model", "ranking", "risk_group"))
    paired = paired_differences(study).loc[("BLINDED", "Q2")]
    difference = error - (other["observed"] - other["expected"])
    assert paired["mean"] == pytest.approx(difference.mean())
    assert paired["mcse"] == pytest.approx(difference.std() / np.sqrt(40))


def test_equal_seeds_give_equal_studies(study: pd.DataFrame) -> None:
    again = same_data_study(PAPER_SPEC, [3], n_folds=5, models=[RiskModel.BLINDED])
    pd.testing.assert_frame_equal(again, study.loc[[3]].loc[([3], ["BLINDED"]), :])


def test_folds_dealt_anew_change_the_groups_and_not_the_patients() -> None:
    design, truth = paper_design(), simulate_truth(2000, 123)
    repeats = repeated_cross_fits(design, truth, RiskModel.WITH_EFFECTS, range(3), n_folds=5)
    assert repeats["observed"].groupby("risk_group").std().min() > 0
    np.testing.assert_allclose(repeats["true"].groupby("fold_seed").mean(), truth.risk_difference.mean())
    fold = arm_balanced_folds(design.treatment, 5, 2)
    expected = one_trial(design, truth, RiskModel.WITH_EFFECTS, fold)[Ranking.CROSS_FITTED]
    np.testing.assert_allclose(repeats.loc[2], expected)
