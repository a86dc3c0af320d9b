"""The quick risk model: scikit-learn and statsmodels agree with it, and held-out outcomes do not reach predictions."""

from __future__ import annotations

import numpy as np
import pytest
from paper_fits import paper_design
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from statsmodels.discrete.discrete_model import Logit

from hte_utils.corrected.cross_fitting import arm_balanced_folds
from hte_utils.corrected.same_data import (
    RiskMatrices,
    RiskModel,
    cross_fitted_risks,
    ridge_logit,
    same_data_risks,
)
from hte_utils.model.spec import TrialDesign


def flipped(design: TrialDesign, rows: np.ndarray) -> TrialDesign:
    """The same trial with the opposite outcomes of some patients."""
    outcome = np.where(rows, 1.0 - design.outcome, design.outcome)
    return TrialDesign(design.prognostic, design.modifiers, design.group, design.coding, outcome, design.treatment)


@pytest.mark.parametrize("sd", [0.3, 1.0])
def test_scikit_learn_finds_the_same_mode(sd: float) -> None:
    design = paper_design()
    rows = RiskMatrices.of(design, RiskModel.WITH_EFFECTS).rows
    theirs = LogisticRegression(C=sd**2, solver="newton-cholesky", tol=1e-10).fit(rows[:, 1:], design.outcome)
    own = ridge_logit(rows, design.outcome, sd=sd)
    np.testing.assert_allclose(own, [theirs.intercept_[0], *theirs.coef_[0]], atol=1e-7)


def test_without_penalty_it_is_maximum_likelihood() -> None:
    design = paper_design()
    rows = RiskMatrices.of(design, RiskModel.BLINDED).rows
    theirs = Logit(design.outcome, rows).fit(disp=0, tol=1e-12).params
    np.testing.assert_allclose(ridge_logit(rows, design.outcome, sd=1e4), theirs, atol=1e-6)


def test_the_start_decides_the_way_and_not_the_end() -> None:
    design = paper_design()
    rows = RiskMatrices.of(design, RiskModel.CONTROL_ARM).rows
    start = np.full(rows.shape[1], 0.3)
    np.testing.assert_allclose(ridge_logit(rows, design.outcome, start), ridge_logit(rows, design.outcome), atol=1e-9)
    np.testing.assert_array_equal(start, 0.3)


def test_predictions_are_those_of_the_coefficients() -> None:
    design = paper_design()
    matrices = RiskMatrices.of(design, RiskModel.WITH_EFFECTS)
    coefficients = ridge_logit(matrices.rows, design.outcome)
    risks = same_data_risks(design, RiskModel.WITH_EFFECTS)
    assigned = np.where(design.treatment == 1, risks.treated, risks.untreated)
    np.testing.assert_allclose(assigned, expit(matrices.rows @ coefficients))
    # The unpenalised intercept makes the mean prediction equal the event rate.
    assert assigned.mean() == pytest.approx(design.outcome.mean(), abs=1e-7)


@pytest.mark.parametrize("model", list(RiskModel))
def test_a_folds_own_outcomes_do_not_reach_its_predictions(model: RiskModel) -> None:
    design = paper_design()
    fold = arm_balanced_folds(design.treatment, 5, 1)
    held_out = fold == 0
    changed = flipped(design, held_out)
    before, after = (cross_fitted_risks(each, model, fold) for each in (design, changed))
    np.testing.assert_allclose(before.untreated[held_out], after.untreated[held_out], atol=1e-9)
    np.testing.assert_allclose(before.treated[held_out], after.treated[held_out], atol=1e-9)
    assert np.abs(before.untreated - after.untreated)[~held_out].max() > 0.01
    same, same_changed = (same_data_risks(each, model) for each in (design, changed))
    assert np.abs(same.untreated - same_changed.untreated)[held_out].max() > 0.01


def test_what_each_model_may_see() -> None:
    design = paper_design()
    treated_differ = flipped(design, design.treatment == 1)
    control = [same_data_risks(each, RiskModel.CONTROL_ARM).untreated for each in (design, treated_differ)]
    np.testing.assert_array_equal(*control)
    blinded = same_data_risks(design, RiskModel.BLINDED)
    np.testing.assert_array_equal(blinded.untreated, blinded.treated)
    full = same_data_risks(design, RiskModel.WITH_EFFECTS)
    assert np.abs(full.treated - full.untreated).max() > 0.01
