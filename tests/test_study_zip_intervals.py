"""Intervals sorted by their distance from the truth, against orders worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from study_results import results

from hte_utils.study.zip_intervals import zip_plot


def test_a_zip_plot_is_sorted_by_distance_in_standard_errors():
    table = results(ate_estimate=[0.0, 0.03, -0.01, 0.02], ate_truth=0.0, ate_lower=0.0, ate_upper=0.0)
    table["ate_lower"], table["ate_upper"] = table["ate_estimate"] - 0.0196, table["ate_estimate"] + 0.0196
    plot = zip_plot(table, "a", "trial")
    centres = (plot.lower + plot.upper) / 2.0
    np.testing.assert_allclose(centres, [0.0, -1.0, 2.0, 3.0], atol=1e-12)
    assert plot.covers.tolist() == [True, True, False, False]
    assert plot.centile.tolist() == [12.5, 37.5, 62.5, 87.5]
    assert (plot.coverage, plot.mcse) == (50.0, 25.0)


def test_a_wide_interval_far_away_is_nearer_than_a_narrow_one():
    table = results(2, ate_estimate=[0.03, 0.01], ate_truth=0.0, ate_lower=[-0.07, 0.009], ate_upper=[0.13, 0.011])
    plot = zip_plot(table, "a", "trial")
    assert plot.covers.tolist() == [True, False]


def test_a_method_without_intervals_has_no_zip_plot():
    with pytest.raises(ValueError, match="interval"):
        zip_plot(results(ate_lower=np.nan, ate_upper=np.nan), "a", "trial")
