"""Same-data risk groups: the risk model against scikit-learn, the study's parts by hand, its answer by its sign."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paper_fits import paper_design
from sklearn.linear_model import LogisticRegression

from hte_utils.corrected.cross_fitting import arm_balanced_folds, group_members, groups_within_folds
from hte_utils.corrected.same_data import (
    RiskModel,
    group_errors,
    paired_bias,
    predicted_risks,
    repeated_cross_fits,
    same_data_study,
    summarise_study,
)
from hte_utils.corrected.subgroups import unadjusted_effects
from hte_utils.effects.strata import ntile
from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import simulate_truth


def flipped(design: TrialDesign, rows: np.ndarray) -> TrialDesign:
    """The same trial with the opposite outcomes of some patients."""
    outcome = np.where(rows, 1.0 - design.outcome, design.outcome)
    return TrialDesign(design.prognostic, design.modifiers, design.group, design.coding, outcome, design.treatment)


@pytest.mark.parametrize("model", list(RiskModel))
def test_predictions_are_those_of_scikit_learns_ridge(model: RiskModel) -> None:
    design = paper_design()
    fold = arm_balanced_folds(design.treatment, 5, 1)
    women = design.group[:, None] == 1
    everybody = np.hstack([design.prognostic, women])
    modifying = np.hstack([np.ones_like(women), design.modifiers, women])

    def terms(arm: np.ndarray) -> np.ndarray:
        return np.hstack([everybody, arm[:, None] * modifying]) if model is RiskModel.WITH_EFFECTS else everybody

    def theirs(used: np.ndarray) -> list[np.ndarray]:
        if model is RiskModel.CONTROL_ARM:
            used = used & (design.treatment == 0)
        fitted = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10)
        fitted.fit(terms(design.treatment)[used], design.outcome[used])
        return [fitted.predict_proba(terms(np.full(2000, arm)))[:, 1] for arm in (0.0, 1.0)]

    same = predicted_risks(design, model)
    np.testing.assert_allclose(same, theirs(np.ones(2000, dtype=bool)), atol=1e-7)
    if model is RiskModel.WITH_EFFECTS:
        # The unpenalised intercept makes the mean prediction equal the event rate.
        assigned = np.where(design.treatment == 1, same.treated, same.untreated)
        assert assigned.mean() == pytest.approx(design.outcome.mean(), abs=1e-7)
    crossed, held_out = predicted_risks(design, model, fold), fold == 3
    np.testing.assert_allclose(np.array(crossed)[:, held_out], np.array(theirs(~held_out))[:, held_out], atol=1e-7)


@pytest.mark.parametrize("model", list(RiskModel))
def test_a_folds_own_outcomes_do_not_reach_its_predictions(model: RiskModel) -> None:
    design = paper_design()
    fold = arm_balanced_folds(design.treatment, 5, 1)
    held_out = fold == 0
    changed = flipped(design, held_out)
    before, after = (predicted_risks(each, model, fold) for each in (design, changed))
    np.testing.assert_allclose(before.untreated[held_out], after.untreated[held_out], atol=1e-9)
    np.testing.assert_allclose(before.treated[held_out], after.treated[held_out], atol=1e-9)
    assert np.abs(before.untreated - after.untreated)[~held_out].max() > 0.01
    same, same_changed = (predicted_risks(each, model) for each in (design, changed))
    assert np.abs(same.untreated - same_changed.untreated)[held_out].max() > 0.01


def test_what_each_model_may_see() -> None:
    design = paper_design()
    treated_differ = flipped(design, design.treatment == 1)
    control = [predicted_risks(each, RiskModel.CONTROL_ARM).untreated for each in (design, treated_differ)]
    np.testing.assert_array_equal(*control)
    blinded = predicted_risks(design, RiskModel.BLINDED)
    np.testing.assert_array_equal(blinded.untreated, blinded.treated)
    full = predicted_risks(design, RiskModel.WITH_EFFECTS)
    assert np.abs(full.treated - full.untreated).max() > 0.01


@pytest.fixture(scope="module")
def study() -> pd.DataFrame:
    return same_data_study(PAPER_SPEC, range(40), n_folds=5, models=[RiskModel.CONTROL_ARM, RiskModel.BLINDED])


def test_one_trial_by_hand() -> None:
    design, truth = paper_design(), simulate_truth(2000, 123)
    fold = arm_balanced_folds(design.treatment, 5, 1)
    same = predicted_risks(design, RiskModel.WITH_EFFECTS)
    crossed = predicted_risks(design, RiskModel.WITH_EFFECTS, fold)
    rankings = [
        (None, ntile(same.untreated, 5), same),
        (fold, groups_within_folds(crossed.untreated, fold, 5), crossed),
    ]
    treated = design.treatment == 1
    treated_risk = truth.baseline_risk + truth.risk_difference
    for folds, group, risks in rankings:
        found = group_errors(design, truth, RiskModel.WITH_EFFECTS, folds)
        observed = unadjusted_effects(design, group_members(group)).xs("RISK_DIFFERENCE", level="measure")["estimate"]
        np.testing.assert_allclose(found["observed"], observed)
        for number in range(1, 6):
            here, row = group == number, found.loc[f"Q{number}"]
            expected = treated_risk[here & treated].mean() - truth.baseline_risk[here & ~treated].mean()
            assert row["expected"] == pytest.approx(expected)
            assert row["true"] == pytest.approx(truth.risk_difference[here].mean())
            assert row["predicted"] == pytest.approx((risks.treated - risks.untreated)[here].mean())


def test_reusing_the_control_arm_biases_its_outer_groups(study: pd.DataFrame) -> None:
    # The sign is known from theory (Abadie, Chingos & West 2018): controls of the top group bled too often.
    paired = paired_bias(study).loc["CONTROL_ARM"]
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
    paired = paired_bias(study).loc[("BLINDED", "Q2")]
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
    expected = group_errors(design, truth, RiskModel.WITH_EFFECTS, fold)
    np.testing.assert_allclose(repeats.loc[2], expected)
