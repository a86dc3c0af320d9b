"""Figures of the chapter on Bayesian checks show the numbers they were given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hte_utils.corrected import figures_checks
from hte_utils.corrected.sbc import Calibration
from hte_utils.corrected.stored_checks import MEASURES

LABELS = ("first", "second")


def test_prior_predictions_mark_the_observed_rate() -> None:
    rng = np.random.default_rng(1)
    columns = {"event_rate": rng.random(50), "risk_difference": rng.normal(size=50) / 10}
    predictions = dict.fromkeys(LABELS, pd.DataFrame(columns))
    figure = figures_checks.prior_predictions(predictions, 0.0565)
    assert figure.axes[0].lines[0].get_xdata()[0] == pytest.approx(5.65)


def test_replicated_rates_show_the_observed_in_per_cent() -> None:
    index = pd.Index(["men", "women"], name="group")
    table = pd.DataFrame(
        {"observed": [0.05, 0.06], "expected": [0.04, 0.07], "lower": [0.02, 0.05], "upper": [0.07, 0.1]}, index
    )
    figure = figures_checks.replicated_rates(dict.fromkeys(LABELS, table), dict.fromkeys(LABELS, table))
    observed = next(line for line in figure.axes[0].lines if line.get_label() == "observed")
    np.testing.assert_allclose(observed.get_xdata(), [5, 6])
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["men", "women"]


def test_calibration_curves_draw_one_panel_a_model() -> None:
    predicted = np.linspace(0.01, 0.3, 20)
    curve = pd.DataFrame(
        {"predicted": predicted, "observed": predicted, "lower": predicted / 2, "upper": 2 * predicted}
    )
    figure = figures_checks.calibration_curves(dict.fromkeys(LABELS, curve))
    assert [axis.get_title() for axis in figure.axes] == list(LABELS)
    np.testing.assert_allclose(figure.axes[1].lines[0].get_ydata(), 100 * predicted)


def test_predictive_differences_leave_the_reference_out() -> None:
    table = pd.DataFrame({"difference": [0.0, 1.5, -2.0], "se_difference": [0.0, 1.0, 2.0]}, ["a", "b", "c"])
    figure = figures_checks.predictive_differences(table, "a", 10.0)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["b", "c"]
    assert any(line.get_xdata()[0] == 10.0 for line in figure.axes[0].lines)


def test_errors_over_trials_show_means_and_the_papers_trial() -> None:
    rows = [
        {"seed": seed, "model": model, "scale": "points"} | dict.fromkeys(MEASURES, float(seed))
        for seed in (1, 2, 3)
        for model in ("a", "b")
    ]
    results = pd.DataFrame(rows)
    figure = figures_checks.errors_over_trials(results, "points", {"a": "A", "b": "B"}, results[results["seed"] == 3])
    assert len(figure.axes) == 4
    drawn = [float(line.get_xdata()[0]) for line in figure.axes[1].lines if len(line.get_xdata()) == 1]
    assert drawn.count(2.0) == 2
    assert drawn.count(3.0) == 2


def test_calibration_curves_leave_the_envelope_where_ranks_are_not_uniform() -> None:
    rng = np.random.default_rng(1)
    ranks = xr.Dataset({"good": ("trial", rng.integers(0, 100, 500)), "bad": ("trial", rng.integers(0, 60, 500))})
    figure = figures_checks.ecdf_differences({"model": Calibration(ranks, 99, 1)}, {"model": ["bad"]})
    axis = figure.axes[0]
    lines = {str(line.get_label()): line for line in axis.lines}
    band = axis.collections[0].get_paths()[0].vertices
    assert np.abs(lines["bad"].get_ydata()).max() > 0.3 > 2 * np.abs(band[:, 1]).max()
    good = [line for line in axis.lines if line.get_linewidth() == 0.6 and len(line.get_xdata()) > 2]
    assert np.abs(good[0].get_ydata()).max() < np.abs(band[:, 1]).max()
    # A Kolmogorov-Smirnov band has 1.36 / sqrt(n); the simultaneous envelope is near it in the middle.
    assert np.abs(band[:, 1]).max() == pytest.approx(1.36 / np.sqrt(500), rel=0.15)
