"""Bleeds under rules of treatment."""

import numpy as np
import pytest
from audit_cases import paper_case
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.audit.experiments import (
    BY_SIGN,
    HIGH_QUINTILES,
    ORACLE,
    TREAT_ALL,
    bleeds_by_rule,
    expected_bleeds,
)
from hte_utils.trial import simulate_truth

TRUTH = simulate_truth(40, 5)


def test_the_trial_s_own_allotment_gives_the_sum_of_its_event_probabilities():
    assert expected_bleeds(TRUTH, TRUTH.treatment == 1) == pytest.approx(TRUTH.event_probability.sum())


@given(st.lists(st.booleans(), min_size=40, max_size=40))
def test_no_rule_beats_the_oracle(treated):
    assert expected_bleeds(TRUTH, np.array(treated)) >= expected_bleeds(TRUTH, TRUTH.risk_difference < 0) - 1e-12


def test_rules_are_counted_and_ordered():
    table = bleeds_by_rule(paper_case())
    assert table.loc[TREAT_ALL, "treated"] == 2000
    assert table.loc[HIGH_QUINTILES, "treated"] == 800
    assert table["bleeds"].idxmin() == ORACLE
    assert table.loc[BY_SIGN, "bleeds"] < table.loc[HIGH_QUINTILES, "bleeds"]
