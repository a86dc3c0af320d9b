"""The record of a simulated trial: its baseline equation, its risk differences, its table."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from hte_utils.trial import simulate_truth
from hte_utils.trial_truth import (
    BaselineCoefficients,
    Covariates,
    EffectScale,
    TrialTruth,
    baseline_log_odds,
    trial_table,
)

TWO_PATIENTS = Covariates(
    age=np.array([55.0, 70.04]),
    gender=np.array([0, 1], dtype=np.int8),
    sbp=np.array([130.0, 150.5]),
    dbp=np.array([80.0, 81.5]),
    bmi=np.array([16.0, 30.25]),
    hypertension=np.array([0, 1], dtype=np.int8),
    diabetes=np.array([0, 1], dtype=np.int8),
    smoking=np.array([0, 0], dtype=np.int8),
    anticoagulant=np.array([0, 1], dtype=np.int8),
    prior_bleeding=np.array([0, 1], dtype=np.int8),
)
TRUTH = TrialTruth(
    covariates=TWO_PATIENTS,
    treatment=np.array([0, 1], dtype=np.int8),
    baseline_risk=np.array([0.5, 0.2]),
    treatment_effect=np.array([0.0, np.log(2.0)]),
    scale=EffectScale.LOG_ODDS,
    event_probability=np.array([0.5, 1 / 3]),
    event=np.array([1, 0], dtype=np.int8),
)


def test_equation_1_by_hand():
    assert baseline_log_odds(TWO_PATIENTS) == pytest.approx([-3.5, -3.5 + 0.02 * 15.04 + 0.8 + 1.2 + 0.3 + 0.01 * 20.5])
    beta = BaselineCoefficients(intercept=1, age=2, anticoagulant=3, prior_bleeding=4, diabetes=5, sbp=6)
    assert baseline_log_odds(TWO_PATIENTS, beta) == pytest.approx([1, 1 + 2 * 15.04 + 3 + 4 + 5 + 6 * 20.5])


def test_risk_difference_by_hand():
    # Odds of 1/4 doubled are 1/2, a risk of 1/3.
    assert TRUTH.risk_difference == pytest.approx([0.0, 1 / 3 - 0.2])
    on_the_risk_scale = replace(TRUTH, scale=EffectScale.RISK_DIFFERENCE)
    assert on_the_risk_scale.risk_difference == pytest.approx(TRUTH.treatment_effect)


def test_table_by_hand():
    table = trial_table(TRUTH)
    assert table.astype(object).to_numpy().tolist() == [
        [1, 55.0, "Male", 16.0, 130.0, 80.0, "No", "No", "No", "No", "No", "Control", 1, 0.0],
        # R rounds 150.5 and 81.5 to the even neighbour, and 30.25 to the even tenth.
        [2, 70.0, "Female", 30.2, 150.0, 82.0, "Yes", "Yes", "No", "Yes", "Yes", "Treatment", 0, np.log(2.0)],
    ]
    assert table.attrs == {"true_te_scale": "log-odds"}


def test_the_table_may_be_changed_and_the_truth_stays():
    truth = simulate_truth(20, 1)
    before = truth.treatment_effect.copy()
    table = trial_table(truth)
    table["true_te"] = 0.0
    table.loc[0, "age"] = 0.0
    assert np.array_equal(truth.treatment_effect, before)


def test_records_are_frozen():
    with pytest.raises(FrozenInstanceError):
        TRUTH.scale = EffectScale.RISK_DIFFERENCE
