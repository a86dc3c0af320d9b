from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from comparator_trials import trial_of, truth_of

from hte_utils.methods import METHODS, EffectEstimates, IntervalEstimate, MethodResult, compared
from hte_utils.methods.compared import Comparison
from hte_utils.methods.measures import PatientTruth
from hte_utils.study.generate import PROFILE_NAMES, profiles
from hte_utils.study.scenarios import SCENARIOS
from hte_utils.trial import EffectScale


def estimates(values: np.ndarray, reach: float | None = None) -> EffectEstimates:
    ends = (None, None) if reach is None else (values - reach, values + reach)
    mean = np.asarray(values.mean())
    return EffectEstimates(
        baseline_risk=None,
        log_odds_ratio=None,
        risk_difference=IntervalEstimate(values, *ends),
        average_risk_difference=IntervalEstimate(mean, *(None if end is None else end.mean() for end in ends)),
    )


def known() -> Comparison:
    """Ten patients, two of them per fifth of the baseline risk; true effects from -0.04 to 0.05."""
    true = np.arange(-4, 6) / 100
    truth = PatientTruth(np.zeros(10), np.arange(1, 11) / 20, true.copy())
    profile = PatientTruth(np.zeros(2), np.full(2, 0.1), np.array([0.01, -0.02]))
    said = {"constant": true + 0.01, "path": -true}
    results = {
        name: MethodResult((estimates(values, reach=0.02), estimates(values[:2])), {"mcse_average": 0.001})
        for name, values in said.items()
    }
    return Comparison(results, truth, profile, ("one", "two"))


def test_average_effects_are_percentage_points() -> None:
    table = compared.average_by_method(known())
    np.testing.assert_allclose(table.loc["constant"], [1.5, -0.5, 3.5])
    np.testing.assert_allclose(table.loc["path"], [-0.5, -2.5, 1.5])


def test_accuracy_by_hand() -> None:
    table = compared.accuracy(known())
    np.testing.assert_allclose(
        table.loc["constant", ["correlation", "rmse", "bias", "slope"]].astype(float), [1, 1, 1, 1]
    )
    np.testing.assert_allclose(table.loc["constant", ["coverage", "width"]].astype(float), [1, 4])
    assert table.loc["path", "correlation"] == pytest.approx(-1.0)
    assert table.loc["path", "coverage"] == pytest.approx(0.3)  # only -0.01, 0 and 0.01 lie within 0.02 of their mirror
    assert np.isnan(table.loc["constant", "lor_rmse"])


def test_profiles_and_quintiles_by_hand() -> None:
    answers = compared.profile_effects(known())
    np.testing.assert_allclose(answers.loc["truth"], [1, -2])
    np.testing.assert_allclose(answers.loc["constant"], [-3, -2])
    by_quintile = compared.quintile_effects(known())
    np.testing.assert_allclose(by_quintile.loc["truth"], [-3.5, -1.5, 0.5, 2.5, 4.5])
    np.testing.assert_allclose(by_quintile.loc["path"], [3.5, 1.5, -0.5, -2.5, -4.5])


def test_policies_by_hand() -> None:
    table = compared.treatment_rules(known())
    # The best rule treats the four with a negative effect: -0.10 over ten patients, 10 bleeds per 1000 avoided.
    np.testing.assert_allclose(table.loc["constant"], [0.3, -9, 1])
    np.testing.assert_allclose(table.loc["path"], [0.5, 15, 25])
    np.testing.assert_allclose(table.loc["treat none"], [0, 0, 10])
    np.testing.assert_allclose(table.loc["treat all"], [1, 5, 15])


def test_guarded_averages_have_their_monte_carlo_error() -> None:
    found = compared.guarded_averages(known())["comparison.constant.value"]
    assert found.value == pytest.approx(1.5)
    assert found.mcse == pytest.approx(0.1)


def test_ladder_has_every_method_and_labels_replace_names() -> None:
    ladder = compared.ladder()
    assert list(ladder.index) == [method.label for method in METHODS.values()]
    assert not (ladder == "").any().any()
    table = compared.labelled(pd.DataFrame({"x": [1, 2]}, index=["truth", "path"]))
    assert list(table.index) == ["truth", METHODS["path"].label]


class TestOnATrial:
    def compare(self, **options: object) -> Comparison:
        truth = compared.truth_of(truth_of(500))
        patients = profiles(SCENARIOS["as-printed"])
        return compared.compare_methods(trial_of(500), truth, patients.covariates, patients.truth, **options)

    def test_a_methods_random_numbers_are_its_own(self) -> None:
        alone = self.compare(seed=1, names=["interactions_ridge"])
        among = self.compare(seed=1, names=["constant", "interactions_ridge"])
        one, other = (each.of_trial("interactions_ridge").risk_difference.value for each in (alone, among))
        np.testing.assert_array_equal(one, other)

    def test_asks_every_method_of_every_profile(self) -> None:
        found = self.compare(seed=1, names=["constant", "path"])
        assert found.of_profiles("path").n_patients == len(PROFILE_NAMES)
        assert compared.profile_effects(found).shape == (3, len(PROFILE_NAMES))

    def test_unknown_method(self) -> None:
        with pytest.raises(ValueError, match="no method"):
            self.compare(seed=1, names=["oracle"])


def test_effects_on_the_risk_scale_are_refused() -> None:
    other = dataclasses.replace(truth_of(500), scale=EffectScale.RISK_DIFFERENCE)
    with pytest.raises(ValueError, match="log odds ratios"):
        compared.truth_of(other)


NAMES = ["constant", "path", "interactions_ml", "s_learner", "paper_way"]


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    truth = compared.truth_of(truth_of())
    patients = profiles(SCENARIOS["as-printed"])
    return compared.compare_methods(trial_of(), truth, patients.covariates, patients.truth, seed=1, names=NAMES)


def test_average_effects(comparison: Comparison) -> None:
    table = compared.average_by_method(comparison)
    axis = compared.average_effects(table, 1.0).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == [METHODS[name].label for name in NAMES]
    drawn = {line.get_xdata()[0] for line in axis.lines if line.get_marker() in "osD"}
    assert drawn >= set(table["value"])
    assert "more bleeds" in axis.get_xlabel()
    arrows = [line.get_marker() for line in axis.lines if line.get_marker() in "<>"]
    assert sorted(arrows) == ["<", ">"]  # the paper's way runs out on both sides, no other does


def test_individual_effects(comparison: Comparison) -> None:
    figure = compared.individual_effects(comparison)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == [METHODS[name].label for name in NAMES]
    points = shown[2].lines[-1]
    np.testing.assert_allclose(points.get_xdata(), 100 * comparison.truth.risk_difference)
    np.testing.assert_allclose(points.get_ydata(), 100 * comparison.of_trial(NAMES[2]).risk_difference.value)
    accuracy = compared.accuracy(comparison)
    assert f"RMSE {accuracy.loc[NAMES[2], 'rmse']:.1f}" in shown[2].texts[0].get_text()
