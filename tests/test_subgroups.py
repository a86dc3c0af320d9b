"""Subgroups, differences between them, and probabilities of harm against the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.subgroups import (
    ByCategory,
    ByThresholds,
    harm_by_probability,
    memberships,
    subgroup_contrasts,
)
from hte_utils.effects.averages import EVERYBODY, Measure, effect_measures, standardised_risks
from hte_utils.trial import simulate_trial

SUBGROUPS = [ByCategory("gender", "gender"), ByThresholds("age", "age", (50, 65))]
NAMES = [EVERYBODY, "gender: Male", "gender: Female", "age: 50 or less", "age: above 50 to 65", "age: above 65"]


def test_members_are_who_they_are_said_to_be() -> None:
    trial = simulate_trial(n_subjects=300, seed=123)
    members = memberships(trial, SUBGROUPS)
    assert list(members.columns) == NAMES
    assert members[EVERYBODY].all()
    np.testing.assert_array_equal(members["gender: Female"], trial["gender"] == "Female")
    np.testing.assert_array_equal(members["age: above 50 to 65"], trial["age"].between(50, 65, inclusive="right"))


@given(st.lists(st.integers(20, 90), min_size=1, max_size=50))
def test_thresholds_divide_everybody_once(ages: list[int]) -> None:
    members = ByThresholds("age", "age", (40, 65)).members(pd.DataFrame({"age": ages}))
    assert (members.sum(axis=1) == 1).all()
    for age, (low, middle, high) in zip(ages, members.to_numpy(), strict=True):
        assert (low, middle, high) == (age <= 40, 40 < age <= 65, age > 65)


def test_the_table_may_have_any_index() -> None:
    trial = simulate_trial(n_subjects=60, seed=1)
    shuffled = trial.set_index(trial["subject_id"] * 7)
    pd.testing.assert_frame_equal(memberships(shuffled, SUBGROUPS), memberships(trial, SUBGROUPS))


def test_a_category_without_patients_is_left_out() -> None:
    trial = simulate_trial(n_subjects=60, seed=1)
    assert list(ByCategory("gender", "sex").members(trial[trial["gender"] == "Male"]).columns) == ["sex: Male"]


def test_a_contrast_is_the_difference_of_the_averages_draw_by_draw() -> None:
    members = memberships(simulate_trial(n_subjects=300, seed=123), SUBGROUPS)
    risks = standardised_risks(random_posterior(7), small_design(), members)
    table = subgroup_contrasts(risks, [(NAMES[1], NAMES[2])], interval=0.8)
    measures = effect_measures(risks)
    for measure in Measure:
        draws = measures[measure.name]
        draws = np.log(draws) if measure is Measure.RISK_RATIO else draws
        difference = (draws.sel(population=NAMES[2]) - draws.sel(population=NAMES[1])).to_numpy().ravel()
        expected = [difference.mean(), *np.quantile(difference, [0.1, 0.9])]
        expected = np.exp(expected) if measure is Measure.RISK_RATIO else expected
        row = table.loc[(f"{NAMES[2]} minus {NAMES[1]}", measure.name)]
        assert row[["mean", "lower", "upper"]].tolist() == pytest.approx(list(expected))
        assert row["p_more_harm"] == pytest.approx(np.mean(difference > 0))
        assert 0 < row["mcse_mean"] < difference.std()


def test_turning_a_contrast_round_turns_its_sign() -> None:
    members = memberships(simulate_trial(n_subjects=300, seed=123), SUBGROUPS)
    risks = standardised_risks(random_posterior(7), small_design(), members)
    pairs = [(NAMES[1], NAMES[2]), (NAMES[2], NAMES[1])]
    means = subgroup_contrasts(risks, pairs).xs("RISK_DIFFERENCE", level="measure")["mean"]
    assert means.iloc[0] == pytest.approx(-means.iloc[1])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-0.5, 0.5)), min_size=1, max_size=60))
def test_classes_of_harm_add_up(patients: list[tuple[float, float]]) -> None:
    probability, difference = np.array(patients).T
    table = harm_by_probability(probability, difference)
    assert table["patients"].sum() == len(patients)
    filled = table[table["patients"] > 0]
    for column, values in (
        ("expected_harmed", probability),
        ("truly_harmed", difference > 0),
        ("true_difference", difference),
    ):
        assert np.average(filled[column], weights=filled["patients"]) == pytest.approx(np.mean(values), abs=1e-12)
    assert table.loc[table["patients"] == 0].drop(columns="patients").isna().all(axis=None)


def test_a_probability_on_a_bound_belongs_above_it() -> None:
    table = harm_by_probability([0.0, 0.5, 1.0], [-0.1, 0.1, 0.2], edges=(0, 0.5, 1))
    assert table["patients"].tolist() == [1, 2]
    assert table["truly_harmed"].tolist() == [0, 1]
    assert table["true_difference"].tolist() == pytest.approx([-0.1, 0.15])


@pytest.mark.parametrize(
    ("subgroups", "words"),
    [
        (ByCategory("age", "age"), "must be categorical"),
        (ByThresholds("gender", "gender", (1,)), "must be numeric"),
    ],
)
def test_subgroups_that_cannot_be_made_are_refused(subgroups: ByCategory | ByThresholds, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        memberships(simulate_trial(n_subjects=60, seed=1), [subgroups])


def test_missing_values_become_no_group() -> None:
    trial = pd.DataFrame({"age": [50.0, np.nan], "sex": pd.Categorical(["f", None])})
    for subgroups in (ByThresholds("age", "age", (60,)), ByCategory("sex", "sex")):
        with pytest.raises(ValueError, match=r"is missing \(NaN\) in 1 row"):
            memberships(trial, [subgroups])


@pytest.mark.parametrize("thresholds", [(), (65, 50), (50, 50)])
def test_unordered_thresholds_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="increasing order"):
        ByThresholds("age", "age", thresholds)


@pytest.mark.parametrize(("p_harm", "words"), [([50.0], "probabilities from 0 to 1"), ([np.nan], "not finite")])
def test_impossible_probabilities_are_refused(p_harm: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        harm_by_probability(p_harm, [0.1])
