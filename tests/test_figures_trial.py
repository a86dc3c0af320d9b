"""The figures of chapters 1 and 2 and of the front page show the right data, and leave nothing behind."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hte_utils import simulate_trial
from hte_utils.ledger.notebooks import Project, paper_ledger
from hte_utils.ledger.page import verdicts_by_item
from hte_utils.reproduction import figures_trial, table_1
from hte_utils.style import canvas
from hte_utils.trial import simulate_truth


@pytest.fixture(scope="module")
def truth():
    return simulate_truth(2000, 123)


@pytest.fixture(scope="module")
def trial():
    return simulate_trial(2000, 123)


def test_a_canvas_leaves_no_open_figure_and_no_changed_style():
    before = dict(plt.rcParams)
    with canvas(2) as drawn:
        assert len(drawn.axes) == 2
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_clamped_patients_stand_in_bars_of_their_own(truth):
    figure = figures_trial.clamped_covariates(truth.covariates)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert (truth.covariates.age == 25).sum() in heights
    assert sum(heights) == 2000


def test_the_ellipse_holds_95_percent_of_the_law():
    ellipse = figures_trial._ellipse((0, 0), np.array([[200.0, 100.0], [100.0, 100.0]]))
    points = np.random.default_rng(1).multivariate_normal((0, 0), [[200, 100], [100, 100]], 20_000)
    inside = ellipse.get_path().contains_points(ellipse.get_patch_transform().inverted().transform(points))
    assert inside.mean() == pytest.approx(0.95, abs=0.006)


def test_true_effects_say_their_direction_and_mean(truth):
    figure = figures_trial.true_effects(truth)
    for axis, values in zip(figure.axes, (truth.treatment_effect, 100 * truth.risk_difference), strict=True):
        assert "more bleeds →" in axis.get_xlabel()
        assert f"mean {values.mean():+.2f}" in axis.get_legend_handles_labels()[1]


def test_every_data_figure_has_labelled_axes(truth, trial):
    fitted = table_1.propensity(trial)
    differences = table_1.standardised_differences(table_1.table_one(trial))
    for figure in (
        figures_trial.blood_pressure(truth.covariates),
        figures_trial.event_risks(truth),
        figures_trial.propensity_by_arm(fitted),
        figures_trial.balance(differences, 1016, 984),
        figures_trial.auc_by_chance(np.array([0.52, 0.54]), fitted.auc),
    ):
        assert all(axis.get_xlabel() for axis in figure.axes)


def test_balance_draws_absolute_sizes(trial):
    differences = table_1.standardised_differences(table_1.table_one(trial))
    figure = figures_trial.balance(differences, 1016, 984)
    drawn = next(line for line in figure.axes[0].lines if line.get_marker() == "o").get_xdata()
    np.testing.assert_allclose(drawn, differences.abs())


def test_the_front_page_counts_every_number_once():
    entries = paper_ledger(Project.find())
    axis = verdicts_by_item(entries).axes[0]
    assert sum(bar.get_width() for bar in axis.patches) == len(entries)
    assert len(axis.get_legend().get_texts()) == len({entry.verdict for entry in entries})
