from __future__ import annotations

import numpy as np
import pytest
from comparator_trials import trial_of, truth_of

from hte_utils.methods import METHODS, compared, figures
from hte_utils.study.generate import profiles
from hte_utils.study.scenarios import SCENARIOS

NAMES = ["constant", "path", "interactions_ml", "s_learner", "paper_way"]


@pytest.fixture(scope="module")
def comparison() -> compared.Comparison:
    truth = compared.truth_of(truth_of())
    patients = profiles(SCENARIOS["as-printed"])
    return compared.compare_methods(trial_of(), truth, patients.covariates, patients.truth, seed=1, names=NAMES)


def test_average_effects(comparison: compared.Comparison) -> None:
    table = compared.average_by_method(comparison)
    axis = figures.average_effects(table, 1.0).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == [METHODS[name].label for name in NAMES]
    drawn = {line.get_xdata()[0] for line in axis.lines if line.get_marker() in "osD"}
    assert drawn >= set(table["value"])
    assert "more bleeds" in axis.get_xlabel()
    arrows = [line.get_marker() for line in axis.lines if line.get_marker() in "<>"]
    assert sorted(arrows) == ["<", ">"]  # the paper's way runs out on both sides, no other does


def test_individual_effects(comparison: compared.Comparison) -> None:
    figure = figures.individual_effects(comparison)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == [METHODS[name].label for name in NAMES]
    points = shown[2].lines[-1]
    np.testing.assert_allclose(points.get_xdata(), 100 * comparison.truth.risk_difference)
    np.testing.assert_allclose(points.get_ydata(), 100 * comparison.of_trial(NAMES[2]).risk_difference.value)
    accuracy = compared.accuracy(comparison)
    assert f"RMSE {accuracy.loc[NAMES[2], 'rmse']:.1f}" in shown[2].texts[0].get_text()
