"""What the data say about sigma_eta: flat where nothing can be learned, and not flat where something can."""

from __future__ import annotations

import numpy as np
import pytest
from described_fits import paper_fit, paper_trial
from scipy import optimize, stats

from hte_utils.described.density import DescribedDensity
from hte_utils.described.identification import (
    OWN_SLOPES,
    attenuation,
    layouts_to_profile,
    prior_and_posterior,
    profile_likelihood,
    slopes_by_sigma,
)
from hte_utils.described.model import DescribedPriors, Reading


@pytest.fixture(scope="module")
def profile():
    design, subgroups = paper_trial()
    return profile_likelihood(layouts_to_profile(design, subgroups), design.outcome, (0.0, 1.0, 2.0, 3.0))


def test_one_outcome_a_patient_says_nothing_about_the_literal_sigma_eta(profile):
    assert (profile.loc[0.0] == 0).all()
    assert profile["literal"].abs().max() < 0.1
    assert profile[OWN_SLOPES].abs().max() < 0.2


def test_equal_slopes_in_both_arms_say_something_about_the_charitable_one(profile):
    charitable = profile["charitable"]
    assert (np.diff(charitable) < 0).all()
    assert -charitable.loc[3.0] > stats.chi2.ppf(0.95, 1) / 2


def test_the_profile_against_a_general_optimiser(profile):
    design, subgroups = paper_trial()
    layout = layouts_to_profile(design, subgroups)[Reading.CHARITABLE]
    density = DescribedDensity.of(layout, design.outcome, DescribedPriors())

    def largest(sigma: float) -> float:
        return -optimize.minimize(
            lambda b: -density.log_likelihood(b[None], np.array([sigma]))[0], np.zeros(10), method="BFGS"
        ).fun

    assert largest(2.0) - largest(0.0) == pytest.approx(profile.loc[2.0, "charitable"], abs=1e-4)


def test_slopes_grow_by_the_known_factor():
    design, subgroups = paper_trial()
    table = slopes_by_sigma(layouts_to_profile(design, subgroups)["literal"], design.outcome, (0.0, 1.0, 2.0))
    np.testing.assert_allclose(table.loc[0.0], 1.0)
    for label in ("age", "anticoag", "prior"):  # those that the trial knows well
        np.testing.assert_allclose(table[label], table["sqrt(1 + c²σ²)"], rtol=0.12)


def test_attenuation_is_zeger_liang_and_albert_s():
    assert attenuation(0.0) == 1.0
    assert attenuation(1.0) == pytest.approx(np.sqrt(1.346), abs=1e-3)  # their c² = 0.346


def test_the_own_slopes_leave_out_what_is_constant_in_subgroups():
    design, subgroups = paper_trial()
    layouts = layouts_to_profile(design, subgroups)
    more = layouts[OWN_SLOPES].rows.shape[1] - layouts[Reading.CHARITABLE].rows.shape[1]
    assert more == len(design.prognostic_labels) - 1  # all but the anticoagulant
    assert np.linalg.matrix_rank(layouts[OWN_SLOPES].rows) == layouts[OWN_SLOPES].rows.shape[1]


def test_prior_and_posterior_quantiles():
    table = prior_and_posterior({"a": (DescribedPriors(individual_scale=2.0), paper_fit(Reading.LITERAL))})
    assert table.loc[("a", "prior"), "50 %"] == pytest.approx(2 * stats.halfnorm.ppf(0.5))
    draws = paper_fit(Reading.LITERAL)["posterior"]["sigma_eta"].to_numpy()
    assert table.loc[("a", "posterior"), "95 %"] == pytest.approx(np.quantile(draws, 0.95))


def test_the_literal_posterior_repeats_its_prior():
    draws = paper_fit(Reading.LITERAL)["posterior"]["sigma_eta"].to_numpy()
    assert draws.mean() == pytest.approx(stats.halfnorm.mean(), abs=0.12)
    assert np.median(draws) == pytest.approx(stats.halfnorm.median(), abs=0.1)
