"""Figures of average effects, harm and same-data groups draw the right numbers and say which direction is harm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design
from matplotlib.colors import to_hex

from hte_utils.corrected import figures_effects
from hte_utils.corrected.cross_fitting import group_members
from hte_utils.corrected.effects_report import true_effects
from hte_utils.corrected.same_data import RiskModel, same_data_study, summarise_study
from hte_utils.corrected.subgroups import unadjusted_effects
from hte_utils.effects.averages import standardised_risks, summarise_effects
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.style import BLUE, VERMILION
from hte_utils.trial import simulate_truth

MEMBERS = group_members(np.arange(300) % 3 + 1)


@pytest.fixture(scope="module")
def risks():
    return standardised_risks(random_posterior(1), small_design(), MEMBERS)


@pytest.fixture(scope="module")
def posterior(risks):
    return summarise_effects(risks)


@pytest.fixture(scope="module")
def observed():
    return unadjusted_effects(small_design(), MEMBERS)


@pytest.fixture(scope="module")
def true():
    return true_effects(simulate_truth(300, 123), MEMBERS)


def of(table: pd.DataFrame, measure: str, column: str) -> np.ndarray:
    return table.xs(measure, level="measure")[column].to_numpy()


def bars_of(axis) -> dict:
    return dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))


def test_the_forest_plot_is_in_points_and_says_the_direction(posterior, observed, true):
    [axis] = figures_effects.forest({"observed": observed, "model": posterior}, true).axes
    bars = bars_of(axis)
    np.testing.assert_allclose(bars["model"].lines[0].get_xdata(), 100 * of(posterior, "RISK_DIFFERENCE", "mean"))
    ends = [segment[:, 0] for segment in bars["observed"].lines[2][0].get_segments()]
    np.testing.assert_allclose(np.array(ends)[:, 0], 100 * of(observed, "RISK_DIFFERENCE", "lower"))
    np.testing.assert_allclose(np.array(ends)[:, 1], 100 * of(observed, "RISK_DIFFERENCE", "upper"))
    np.testing.assert_allclose(
        [segment[0][0] for segment in bars["true"].get_segments()], 100 * of(true, "RISK_DIFFERENCE", "estimate")
    )
    assert [label.get_text() for label in axis.get_yticklabels()] == ["Q1", "Q2", "Q3"]
    assert "percentage points" in axis.get_xlabel()
    assert "more bleeds →" in axis.get_xlabel()


def test_groups_show_risks_differences_and_ratios(risks, posterior, observed, true):
    figure = figures_effects.risks_and_effects_by_group(risks, posterior, observed, true)
    left, middle, right = figure.axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in left.lines}
    np.testing.assert_allclose(lines["model, treated"], 100 * risks["treated"].mean(["chain", "draw"]))
    rates = of(observed, "RISK_DIFFERENCE", "events_treated") / of(observed, "RISK_DIFFERENCE", "n_treated")
    np.testing.assert_allclose(bars_of(left)["observed, treatment arm"].lines[0].get_ydata(), 100 * rates)
    for axis, measure, factor in ((middle, "RISK_DIFFERENCE", 100), (right, "RISK_RATIO", 1)):
        model = bars_of(axis)["model, 95 % credible interval"]
        np.testing.assert_allclose(model.lines[0].get_ydata(), factor * of(posterior, measure, "mean"))
        ends = np.array([segment[:, 1] for segment in model.lines[2][0].get_segments()])
        np.testing.assert_allclose(ends[:, 0], factor * of(posterior, measure, "lower"))
        np.testing.assert_allclose(
            [segment[0][1] for segment in bars_of(axis)["true"].get_segments()], factor * of(true, measure, "estimate")
        )
    assert "more bleeds →" in middle.get_ylabel()
    assert "more bleeds" in right.get_ylabel()
    assert right.get_yscale() == "log"


def test_harmed_patients_are_counted_as_such():
    probability = np.array([0.02, 0.52, 0.53, 0.97, 0.98, 0.99])
    difference = np.array([-0.01, 0.01, -0.01, 0.02, 0.03, -0.01])
    above, below = figures_effects.probability_of_harm({"model": probability}, difference).axes
    helped, harmed = above.containers
    assert [sum(bar.get_height() for bar in bars) for bars in (helped, harmed)] == [3, 3]
    assert harmed.patches[-1].get_height() == 2
    assert to_hex(harmed.patches[0].get_facecolor()) == VERMILION
    points = {line.get_color(): np.asarray(line.get_ydata()) for line in below.lines[:2]}
    np.testing.assert_allclose(points[VERMILION], [1, 2, 3])
    np.testing.assert_allclose(points[BLUE], [-1, -1, -1])
    assert "more bleeds →" in below.get_ylabel()


def test_bias_is_drawn_with_its_monte_carlo_interval():
    summary = summarise_study(same_data_study(PAPER_SPEC, [1, 2, 3], n_folds=3, models=[RiskModel.BLINDED]))
    [axis] = figures_effects.stratification_errors(summary).axes
    bars = bars_of(axis)["ranked out of fold"]
    table = summary.loc[("BLINDED", "CROSS_FITTED")]
    np.testing.assert_allclose(np.asarray(bars.lines[0].get_ydata(), dtype=float), 100 * table["stratification"])
    ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * 196 * table["stratification_mcse"])
    assert "percentage points" in axis.get_ylabel()
    assert axis.get_title().replace("\n", " ") == RiskModel.BLINDED.value
