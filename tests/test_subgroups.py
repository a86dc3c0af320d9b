"""Subgroups, differences between them, probabilities of harm, and comparisons without a prior."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given
from hypothesis import strategies as st
from paper_fits import paper_design
from scipy.special import expit
from scipy.stats import norm
from statsmodels.discrete.discrete_model import Logit
from statsmodels.stats._delta_method import NonlinearDeltaCov
from statsmodels.tools.tools import add_constant

from hte_utils.corrected.subgroups import (
    harm_by_probability,
    likelihood_effects,
    memberships,
    model_terms,
    neighbouring_levels,
    standardised_effects,
    subgroup_contrasts,
    unadjusted_effects,
)
from hte_utils.effects.averages import EVERYBODY, Measure, effect_measures, everybody, standardised_risks
from hte_utils.effects.logistic import fit_logistic
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial

OWN_SUBGROUPS = {"gender": (), "age": (50, 65)}
NAMES = [EVERYBODY, "gender: Male", "gender: Female", "age: 50 or less", "age: above 50 to 65", "age: above 65"]


def test_members_are_who_they_are_said_to_be() -> None:
    trial = simulate_trial(n_subjects=300, seed=123)
    members = memberships(trial, OWN_SUBGROUPS)
    assert list(members.columns) == NAMES
    assert members[EVERYBODY].all()
    np.testing.assert_array_equal(members["gender: Female"], trial["gender"] == "Female")
    np.testing.assert_array_equal(members["age: above 50 to 65"], trial["age"].between(50, 65, inclusive="right"))


@given(st.lists(st.integers(20, 90), min_size=1, max_size=50))
def test_thresholds_divide_everybody_once(ages: list[int]) -> None:
    members = memberships(pd.DataFrame({"age": ages}), {"age": (40, 65)}).drop(columns=EVERYBODY)
    assert (members.sum(axis=1) == 1).all()
    for age, (low, middle, high) in zip(ages, members.to_numpy(), strict=True):
        assert (low, middle, high) == (age <= 40, 40 < age <= 65, age > 65)


def test_the_table_may_have_any_index() -> None:
    trial = simulate_trial(n_subjects=60, seed=1)
    shuffled = trial.set_index(trial["subject_id"] * 7)
    pd.testing.assert_frame_equal(memberships(shuffled, OWN_SUBGROUPS), memberships(trial, OWN_SUBGROUPS))


def test_a_category_without_patients_is_left_out() -> None:
    trial = simulate_trial(n_subjects=60, seed=1)
    members = memberships(trial[trial["gender"] == "Male"], {"gender": ()})
    assert list(members.columns) == [EVERYBODY, "gender: Male"]


def test_levels_are_compared_with_their_neighbours_of_the_same_variable() -> None:
    members = memberships(simulate_trial(n_subjects=60, seed=1), OWN_SUBGROUPS)
    assert neighbouring_levels(members) == [(NAMES[1], NAMES[2]), (NAMES[3], NAMES[4]), (NAMES[4], NAMES[5])]


def test_a_contrast_is_the_difference_of_the_averages_draw_by_draw() -> None:
    members = memberships(simulate_trial(n_subjects=300, seed=123), OWN_SUBGROUPS)
    risks = standardised_risks(random_posterior(7), small_design(), members)
    table = subgroup_contrasts(risks, [(NAMES[1], NAMES[2]), (NAMES[2], NAMES[1])], interval=0.8)
    draws = effect_measures(risks)[Measure.RISK_DIFFERENCE.name]
    difference = (draws.sel(population=NAMES[2]) - draws.sel(population=NAMES[1])).to_numpy().ravel()
    expected = [difference.mean(), *np.quantile(difference, [0.1, 0.9])]
    assert table.loc[f"{NAMES[2]} minus {NAMES[1]}", ["mean", "lower", "upper"]].tolist() == pytest.approx(expected)
    # Turning a contrast round turns its sign.
    assert table.iloc[1].tolist() == pytest.approx([-expected[0], -expected[2], -expected[1]])


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
    table = harm_by_probability([0.0, 0.5, 1.0], [-0.1, 0.1, 0.2])
    filled = table[table["patients"] > 0]
    assert list(filled.index) == ["0 to 0.1", "0.5 to 0.75", "0.9 to 1"]
    assert filled["truly_harmed"].tolist() == [0, 1, 1]
    assert filled["true_difference"].tolist() == pytest.approx([-0.1, 0.1, 0.2])


@pytest.mark.parametrize(
    ("subgroups", "words"), [({"age": ()}, "must be categorical"), ({"gender": (1,)}, "must be numeric")]
)
def test_subgroups_that_cannot_be_made_are_refused(subgroups: dict[str, tuple[float, ...]], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        memberships(simulate_trial(n_subjects=60, seed=1), subgroups)


def test_missing_values_become_no_group() -> None:
    trial = pd.DataFrame({"age": [50.0, np.nan], "sex": pd.Categorical(["f", None])})
    for subgroups in ({"age": (60,)}, {"sex": ()}):
        with pytest.raises(ValueError, match=r"is missing \(NaN\) in 1 row"):
            memberships(trial, subgroups)


@pytest.mark.parametrize("thresholds", [(65, 50), (50, 50)])
def test_unordered_thresholds_are_refused(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="increasing order"):
        memberships(simulate_trial(n_subjects=60, seed=1), {"age": thresholds})


@pytest.mark.parametrize(("p_harm", "words"), [([50.0], "probabilities from 0 to 1"), ([np.nan], "not finite")])
def test_impossible_probabilities_are_refused(p_harm: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        harm_by_probability(p_harm, [0.1])


RD, RR, LOR = Measure.RISK_DIFFERENCE.name, Measure.RISK_RATIO.name, Measure.MARGINAL_LOG_ODDS_RATIO.name


def design_with(events: tuple[int, int], n: tuple[int, int]):
    """A trial with these events among these patients (treated, control)."""
    trial = simulate_trial(n_subjects=sum(n), seed=1)
    treated = np.arange(sum(n)) < n[0]
    event = np.zeros(sum(n), dtype=int)
    event[: events[0]] = 1
    event[n[0] : n[0] + events[1]] = 1
    arms = pd.Categorical(np.where(treated, "Treatment", "Control"), categories=["Control", "Treatment"])
    return PAPER_SPEC.design(trial.assign(treatment=arms, event=event))


def test_newcombes_published_interval() -> None:
    # Newcombe (1998), Table II, case (a), method 10: 56/70 - 48/80 = 0.2 (0.0524 to 0.3339).
    row = unadjusted_effects(design_with((56, 48), (70, 80)), everybody(150)).loc[(EVERYBODY, RD)]
    assert row["estimate"] == pytest.approx(0.2)
    assert [row["lower"], row["upper"]] == pytest.approx([0.0524, 0.3339], abs=5e-5)
    assert row[["events_treated", "n_treated", "events_control", "n_control"]].tolist() == [56, 70, 48, 80]


def test_ratios_have_their_textbook_intervals() -> None:
    table = unadjusted_effects(design_with((30, 20), (200, 180)), everybody(380), interval=0.9)
    z = norm.ppf(0.95)
    ratio, se = math.log((30 / 200) / (20 / 180)), math.sqrt(1 / 30 - 1 / 200 + 1 / 20 - 1 / 180)
    found = table.loc[(EVERYBODY, RR), ["estimate", "lower", "upper"]].tolist()
    assert found == pytest.approx([math.exp(ratio + k * z * se) for k in (0, -1, 1)])
    odds, se = math.log((30 / 170) / (20 / 160)), math.sqrt(1 / 30 + 1 / 170 + 1 / 20 + 1 / 160)
    found = table.loc[(EVERYBODY, LOR), ["estimate", "lower", "upper"]].tolist()
    assert found == pytest.approx([odds + k * z * se for k in (0, -1, 1)])


def test_without_events_there_is_a_difference_and_no_ratio() -> None:
    with pytest.warns(UserWarning, match="priors?"):
        design = design_with((5, 0), (50, 50))
    table = unadjusted_effects(design, everybody(100)).loc[EVERYBODY]
    assert table.loc[RD, "estimate"] == pytest.approx(0.1)
    assert table.loc[[RR, LOR], ["estimate", "lower", "upper"]].isna().all(axis=None)


def test_standardisation_is_statsmodels_marginal_effect_without_interactions() -> None:
    design = paper_design()
    rows = add_constant(np.column_stack([design.treatment, design.prognostic]))
    result = Logit(design.outcome, rows).fit(disp=0)
    untreated, treated = rows.copy(), rows.copy()
    untreated[:, 1], treated[:, 1] = 0.0, 1.0
    own = standardised_effects(result.params, result.cov_params(), untreated, treated, everybody(2000))
    theirs = result.get_margeff(at="overall", method="dydx", dummy=True)
    assert own.loc[(EVERYBODY, RD), "estimate"] == pytest.approx(theirs.margeff[0], rel=1e-9)
    assert own.loc[(EVERYBODY, RD), "se"] == pytest.approx(theirs.margeff_se[0], rel=1e-6)
    lower, upper = own.loc[(EVERYBODY, RD), ["lower", "upper"]]
    assert [lower, upper] == pytest.approx(list(theirs.conf_int()[0]), rel=1e-6)


def test_an_arm_alone_gives_the_crude_comparison() -> None:
    # With treatment as the only term the standardised risks are the event rates: maximum likelihood matches them.
    design = paper_design()
    rows = add_constant(design.treatment)
    result = Logit(design.outcome, rows).fit(disp=0)
    arms = np.eye(2)[[0] * 2000], np.ones((2000, 2))
    own = standardised_effects(result.params, result.cov_params(), *arms, everybody(2000))
    crude = unadjusted_effects(design, everybody(2000))
    for measure in (RD, RR, LOR):
        estimate = own.loc[(EVERYBODY, measure), "estimate"]
        assert estimate == pytest.approx(crude.loc[(EVERYBODY, measure), "estimate"], rel=1e-6)
    found = own.loc[(EVERYBODY, LOR), ["lower", "upper"]].tolist()
    assert found == pytest.approx(crude.loc[(EVERYBODY, LOR), ["lower", "upper"]].tolist(), rel=1e-4)


@pytest.mark.parametrize("measure", list(Measure))
def test_standard_errors_agree_with_numerical_differentiation(measure: Measure) -> None:
    design = paper_design()
    fitted = fit_logistic(model_terms(design, design.treatment), design.outcome)
    inside = design.group == 1
    matrices = [model_terms(design, np.full(2000, arm))[inside] for arm in (0.0, 1.0)]

    def value(coefficients: np.ndarray) -> np.ndarray:
        p0, p1 = (expit(matrix @ coefficients).mean() for matrix in matrices)
        found = {
            Measure.RISK_DIFFERENCE: p1 - p0,
            Measure.RISK_RATIO: np.log(p1 / p0),
            Measure.MARGINAL_LOG_ODDS_RATIO: np.log(p1 / (1 - p1)) - np.log(p0 / (1 - p0)),
            Measure.MEAN_LOG_ODDS_RATIO: ((matrices[1] - matrices[0]) @ coefficients).mean(),
        }
        return np.atleast_1d(found[measure])

    numerical = NonlinearDeltaCov(value, fitted.coefficients, fitted.covariance)
    row = likelihood_effects(design, pd.DataFrame({"women": inside})).loc[("women", measure.name)]
    assert row["se"] == pytest.approx(float(numerical.se_vectorized()), rel=1e-4)
    estimate = float(value(fitted.coefficients)[0])
    assert row["estimate"] == pytest.approx(math.exp(estimate) if measure is Measure.RISK_RATIO else estimate)


def test_separated_outcomes_are_refused() -> None:
    trial = simulate_trial(n_subjects=300, seed=5)
    design = PAPER_SPEC.design(trial.assign(event=(trial["anticoagulant"] == "Yes").astype(int)))
    with pytest.raises(ValueError, match="no maximum"):
        likelihood_effects(design, everybody(300))


def test_one_arm_alone_is_refused() -> None:
    design = paper_design()
    with pytest.raises(ValueError, match="'treated only' has no control patients"):
        unadjusted_effects(design, pd.DataFrame({"treated only": design.treatment == 1}))
