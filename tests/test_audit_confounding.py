"""What randomisation does to confounding, and what a propensity score sees of it."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from hte_utils import simulate_trial
from hte_utils.audit.experiments import (
    by_hidden_factor,
    by_risk,
    chance_of_imbalance,
    error_of_the_difference,
    imbalance,
    is_balanced,
    joint_test,
    randomised,
)
from hte_utils.reproduction.table_1 import COVARIATES, propensity
from hte_utils.trial import simulate_truth


@pytest.fixture(scope="module")
def found():
    trial, truth, rng = simulate_trial(), simulate_truth(), np.random.default_rng(3)
    return {way.__name__: way(trial, truth, 8, rng) for way in (randomised, by_risk, by_hidden_factor)}


def test_a_coin_leaves_no_confounding(found):
    coin = found["randomised"]
    assert abs(coin.confounding) < 4 * coin.spread / np.sqrt(coin.trials)


def test_the_spread_of_a_coin_is_that_of_a_difference_of_means(found):
    sd = 100 * simulate_truth().baseline_risk.std() * np.sqrt(4 / 2000)
    assert found["randomised"].spread == pytest.approx(sd, rel=0.8)


def test_choice_by_risk_confounds_by_the_closed_form(found):
    """Treated with probability q above the median and 1 - q below, the arms mix the two halves q to 1 - q."""
    risk, q = simulate_truth().baseline_risk, expit(1.0)
    high = risk > np.median(risk)
    expected = 100 * (2 * q - 1) * (risk[high].mean() - risk[~high].mean())
    assert found["by_risk"].confounding == pytest.approx(expected, abs=0.3)
    assert found["by_risk"].found == 1


def test_a_hidden_factor_confounds_unseen(found):
    hidden = found["by_hidden_factor"]
    assert hidden.confounding > 20 * hidden.spread / np.sqrt(hidden.trials)
    assert hidden.found < 0.5


def test_the_joint_test_is_that_of_the_propensity_score():
    trial = simulate_trial()
    covariates = pd.get_dummies(trial[list(COVARIATES)], drop_first=True, dtype=float)
    treated = (trial["treatment"] == "Treatment").to_numpy()
    assert joint_test(covariates, treated) == pytest.approx(propensity(trial).p_value, rel=1e-6)


def test_sound_randomisations_fail_the_balance_as_seldom_as_said():
    """A fair coin, 20 000 times: the claim on balance fails in half a per cent, as the evidence says."""
    risk, rng = simulate_truth().baseline_risk, np.random.default_rng(11)
    failed = np.mean([not is_balanced(risk, rng.random(risk.size) < 0.5) for _ in range(20_000)])
    said = chance_of_imbalance(risk)
    assert said < 0.01
    assert failed == pytest.approx(said, abs=4 * np.sqrt(said / 20_000))


def test_the_error_of_the_difference_is_that_of_two_proportions():
    risk, treated = np.full(8, 0.25), np.arange(8) < 4
    assert error_of_the_difference(risk, treated) == pytest.approx(100 * np.sqrt(0.25 * 0.75 / 2))
    assert imbalance(np.where(treated, 0.3, 0.1), treated) == pytest.approx(20)
