"""Table 2's laws on R's stream."""

import numpy as np
import pytest

from hte_utils.audit.experiments import against_the_trial, drawn_by_table_2
from hte_utils.trial import AGE_LIMITS, simulate_truth


@pytest.mark.parametrize("seed", [123, 1, 99])
def test_columns_with_the_listing_s_law_agree_for_every_patient(seed):
    laws = against_the_trial(simulate_truth(800, seed).covariates, seed)
    lawful = ["sbp", "dbp", "hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding"]
    assert (laws.loc[lawful, "other"] == 0).all()
    assert laws.loc["gender", "other"] > 0
    assert laws.loc["age", "other"] == laws.loc["age", "at_limit"]


def test_another_seed_gives_other_patients():
    laws = against_the_trial(simulate_truth(800, 123).covariates, seed=124)
    assert laws.loc["sbp", "same"] == 0


def test_the_laws_have_no_limits():
    age = drawn_by_table_2(20_000)["age"]
    assert age.min() < AGE_LIMITS[0]
    assert age.max() > AGE_LIMITS[1]
    assert np.unique(age).size == age.size


def test_women_have_the_probability_of_table_2():
    gender = drawn_by_table_2(100_000)["gender"]
    assert gender.mean() == pytest.approx(0.52, abs=4 * np.sqrt(0.25 / 100_000))
