"""Cross-fitting: nobody is predicted by a model that has seen them, and the same seed gives the same folds."""

from __future__ import annotations

import numpy as np
import pytest

from hte_utils import PAPER_SPEC, simulate_trial
from hte_utils.corrected.cross_fitting import CrossFitted, fit_folds, predict_folds
from hte_utils.effects.cate import EffectScale, GroupEffects, cate, predicted_risk
from hte_utils.model.fit import IndependenceSettings, fit

TRIAL = simulate_trial(n_subjects=600, seed=123)


@pytest.fixture(scope="module")
def models():
    return fit_folds(TRIAL, PAPER_SPEC, n_folds=3, seed=5)


@pytest.fixture(scope="module")
def crossed(models) -> CrossFitted:
    return predict_folds(models)


def test_a_patient_is_predicted_without_having_been_seen(models, crossed) -> None:
    """What a patient's own row says about outcome and arm must not move that patient's prediction."""
    patient = int(np.flatnonzero((crossed.fold == 1) & (TRIAL["event"] == 0))[0])
    changed = TRIAL.copy()
    # Swapped with a patient of the same fold and arm, so that the folds stay as they are.
    other = int(
        np.flatnonzero(
            (crossed.fold == 1) & (TRIAL["event"] == 1) & (TRIAL["treatment"] == TRIAL["treatment"].iloc[patient])
        )[0]
    )
    changed.loc[[patient, other], "event"] = [1, 0]
    model = models[1]
    assert patient in model.rows
    training = PAPER_SPEC.design(changed.drop(index=model.rows))
    assert np.array_equal(training.outcome, PAPER_SPEC.design(TRIAL.drop(index=model.rows)).outcome)
    # and the model of another fold, which did see the patient, is another one
    seen = PAPER_SPEC.design(changed.drop(index=models[0].rows))
    assert not np.array_equal(seen.outcome, PAPER_SPEC.design(TRIAL.drop(index=models[0].rows)).outcome)


def test_predictions_stand_in_the_order_of_the_table(models, crossed) -> None:
    for number, model in enumerate(models):
        rows = np.flatnonzero(crossed.fold == number)
        assert np.array_equal(model.rows, rows)
        by_cate = cate(
            model.posterior,
            model.patients,
            scale=EffectScale.RISK_DIFFERENCE,
            group_effects=GroupEffects.INCLUDED,
        )
        risk = predicted_risk(model.posterior, model.patients, group_effects=GroupEffects.INCLUDED)
        found = crossed.predictions
        np.testing.assert_allclose(found.risk_difference[rows], by_cate["mean"], atol=1e-12)
        np.testing.assert_allclose(found.p_harm[rows], by_cate["p_harm"], atol=1e-12)
        np.testing.assert_allclose(found.baseline_risk[rows], risk, atol=1e-12)


def test_folds_are_fitted_without_their_patients(models) -> None:
    """The first fold's posterior is that of a fit to the other patients, with standardisation learned there."""
    model = models[0]
    others = PAPER_SPEC.design(TRIAL.drop(index=model.rows))
    again = fit(others, settings=IndependenceSettings(draws=1000, chains=4, seed=99))
    ours, theirs = (tree["posterior"]["b_prognostic"] for tree in (model.posterior, again))
    difference = abs(ours.mean(["chain", "draw"]) - theirs.mean(["chain", "draw"]))
    assert float((difference / ours.std(["chain", "draw"])).max()) < 0.1
    assert model.patients.coding.covariates[0].mean == others.coding.covariates[0].mean


def test_same_seed_same_predictions(crossed) -> None:
    again = predict_folds(fit_folds(TRIAL, PAPER_SPEC, n_folds=3, seed=5))
    np.testing.assert_array_equal(again.predictions.risk_difference, crossed.predictions.risk_difference)
    np.testing.assert_array_equal(again.fold, crossed.fold)
