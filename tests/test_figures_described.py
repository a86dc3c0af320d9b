"""The figures on the described model draw the right numbers and say which direction is harm."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from described_fits import paper_fit, paper_trial
from matplotlib.colors import to_hex
from paper_fits import paper_design, paper_posterior
from scipy import integrate

from hte_utils.audit import figures
from hte_utils.audit.described_findings import (
    layouts_to_profile,
    listing_effects,
    mean_effect_draws,
    profile_likelihood,
)
from hte_utils.audit.described_model import OLDER_FROM, DescribedPriors, Reading
from hte_utils.style import BLUE
from hte_utils.trial import simulate_trial, simulate_truth


@pytest.fixture(autouse=True)
def without_a_screen():
    with mpl.rc_context({"backend": "agg"}):
        yield


def test_profile_and_densities():
    design, subgroups = paper_trial()
    profile = profile_likelihood(layouts_to_profile(design, subgroups), design.outcome, (0.0, 1.0, 3.0))
    posteriors = {str(reading): paper_fit(reading) for reading in Reading}
    figure = figures.identification(profile, posteriors, DescribedPriors())
    likelihood, density = figure.axes
    lines = {line.get_label(): line for line in likelihood.lines}
    for label in profile:
        np.testing.assert_allclose(lines[label].get_ydata(orig=False), profile[label])
    for line in density.lines:  # reflected at zero, so nothing is lost: each curve holds one
        x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
        assert integrate.trapezoid(y, x) == pytest.approx(1.0, abs=0.02)
    assert len(density.lines) == 2


def test_steps_are_the_subgroup_means():
    described = mean_effect_draws(paper_fit(Reading.CHARITABLE), paper_trial()[1])
    listing = listing_effects(paper_posterior(), paper_design())["Listing 2, gender effects in"]
    trial, actual = simulate_trial(), simulate_truth().treatment_effect
    figure = figures.effects_by_age(trial, actual, described, listing, OLDER_FROM)
    means = paper_fit(Reading.CHARITABLE)["posterior"]["sums"].mean(["chain", "draw"]).to_numpy()
    drawn = [
        line.get_ydata(orig=False)[0] for axis in figure.axes for line in axis.lines if to_hex(line.get_color()) == BLUE
    ]
    np.testing.assert_allclose(drawn, means[[0, 2, 1, 3]])  # without anticoagulant by age, then with
    assert sum(axis.lines[1].get_xdata(orig=False).size for axis in figure.axes) == 2000
    assert "more bleeds →" in figure.axes[0].get_ylabel()
