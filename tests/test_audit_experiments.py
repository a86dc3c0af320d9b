"""Trials by the readings of Listing 1, laws on R's stream, ways of allotting treatment, and bleeds by rule."""

import numpy as np
import pandas as pd
import pytest
from audit_worlds import paper_case
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from hte_utils import simulate_trial
from hte_utils.audit.case import rows
from hte_utils.audit.experiments import (
    BY_COIN,
    BY_HIDDEN_FACTOR,
    BY_RISK,
    BY_SIGN,
    CONFOUNDING,
    HIGH_QUINTILES,
    ORACLE,
    SEEN,
    SPREAD,
    TABLE_1,
    TABLE_3,
    TABLE_4,
    TREAT_ALL,
    chance_of_imbalance,
    confounding_by_allocation,
    described_beside_run,
    drawn_by_table_2,
    error_of_the_difference,
    expected_bleeds,
    imbalance,
    is_balanced,
    joint_tests,
    laws_of_table_2,
)
from hte_utils.reproduction.table_1 import COVARIATES, propensity
from hte_utils.trial import AGE_LIMITS, TrialVariant, simulate_truth

TRIALS = 8
SMALL = simulate_truth(40, 5)


def test_the_listing_as_printed_gives_tables_1_and_4_and_nothing_else_does():
    table = paper_case().variants
    assert table.loc[TrialVariant.AS_PRINTED].to_dict() == {TABLE_1: 90, TABLE_3: 57, TABLE_4: 12}
    others = table.drop(index=TrialVariant.AS_PRINTED)
    assert (others[TABLE_1] < 10).all()
    assert (others[TABLE_4] < 12).all()
    assert (others[TABLE_3] == 60).all()


@pytest.mark.parametrize("seed", [123, 1, 99])
def test_columns_with_the_listing_s_law_agree_for_every_patient(seed):
    laws = laws_of_table_2(simulate_truth(800, seed).covariates, seed)
    lawful = ["sbp", "dbp", "hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding"]
    assert (laws.loc[lawful, "other"] == 0).all()
    assert laws.loc["gender", "other"] > 0
    assert laws.loc["age", "other"] == laws.loc["age", "at_limit"]


def test_another_seed_gives_other_patients():
    laws = laws_of_table_2(simulate_truth(800, 123).covariates, seed=124)
    assert laws.loc["sbp", "same"] == 0


def test_the_laws_have_no_limits():
    age = drawn_by_table_2(20_000)["age"]
    assert age.min() < AGE_LIMITS[0]
    assert age.max() > AGE_LIMITS[1]
    assert np.unique(age).size == age.size


def test_women_have_the_probability_of_table_2():
    gender = drawn_by_table_2(100_000)["gender"]
    assert gender.mean() == pytest.approx(0.52, abs=4 * np.sqrt(0.25 / 100_000))


def test_the_described_trial_has_no_lumps_and_harms_everybody():
    table = described_beside_run()
    assert table.loc["patients exactly on a limit of age or BMI"].tolist() == [0, 39]
    assert table.loc["patients whose risk treatment raises (%)", "as described"] == 100
    above, below = table.loc["the same, BMI above 30"], table.loc["the same, BMI up to 30"]
    assert above["as described"] > below["as described"]
    assert above["as run"] < below["as run"]


@pytest.fixture(scope="module")
def found():
    return rows(confounding_by_allocation(simulate_trial(), simulate_truth(), trials=TRIALS, seed=3))


def test_a_coin_leaves_no_confounding(found):
    coin = found[BY_COIN]
    assert abs(coin[CONFOUNDING]) < 4 * coin[SPREAD] / np.sqrt(TRIALS)


def test_the_spread_of_a_coin_is_that_of_a_difference_of_means(found):
    sd = 100 * simulate_truth().baseline_risk.std() * np.sqrt(4 / 2000)
    assert found[BY_COIN][SPREAD] == pytest.approx(sd, rel=0.8)


def test_choice_by_risk_confounds_by_the_closed_form(found):
    """Treated with probability q above the median and 1 - q below, the arms mix the two halves q to 1 - q."""
    risk, q = simulate_truth().baseline_risk, expit(1.0)
    high = risk > np.median(risk)
    expected = 100 * (2 * q - 1) * (risk[high].mean() - risk[~high].mean())
    assert found[BY_RISK][CONFOUNDING] == pytest.approx(expected, abs=0.3)
    assert found[BY_RISK][SEEN] == 100


def test_a_hidden_factor_confounds_unseen(found):
    hidden = found[BY_HIDDEN_FACTOR]
    assert hidden[CONFOUNDING] > 20 * hidden[SPREAD] / np.sqrt(TRIALS)
    assert hidden[SEEN] < 50


def test_the_joint_test_is_that_of_the_propensity_score():
    trial = simulate_trial()
    covariates = pd.get_dummies(trial[list(COVARIATES)], drop_first=True, dtype=float)
    treated = (trial["treatment"] == "Treatment").to_numpy()
    assert joint_tests(covariates, treated[None])[0] == pytest.approx(propensity(trial).p_value, rel=1e-6)


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


def test_the_trial_s_own_allotment_gives_the_sum_of_its_event_probabilities():
    assert expected_bleeds(SMALL, SMALL.treatment == 1) == pytest.approx(SMALL.event_probability.sum())


@given(st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_rule_beats_the_oracle(treated):
    assert expected_bleeds(SMALL, np.array(treated)) >= expected_bleeds(SMALL, SMALL.risk_difference < 0) - 1e-12


def test_rules_are_counted_and_ordered():
    table = paper_case().bleeds
    assert table.loc[TREAT_ALL, "treated"] == 2000
    assert table.loc[HIGH_QUINTILES, "treated"] == 800
    assert table["bleeds"].idxmin() == ORACLE
    assert table.loc[BY_SIGN, "bleeds"] < table.loc[HIGH_QUINTILES, "bleeds"]
