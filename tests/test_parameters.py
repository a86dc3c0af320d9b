"""The paper's names against the labelled variables."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from paper_fits import paper_design, paper_posterior
from quick_trials import points_of
from scipy import stats

from hte_utils.model.density import SumsDensity
from hte_utils.model.listing_2 import (
    Priors,
    listing2_draws,
    posterior_tree,
    split_sums,
    sums_of,
    table4_draws,
)

# The rows of Table 4, in its order.
TABLE_4 = [
    *("b_age", "b_anticoag", "b_bmi", "b_diabetes", "b_intercept", "b_prior", "b_trt"),
    *("b_trt_age", "b_trt_anticoag", "b_trt_diabetes", "te_gender[1]", "te_gender[2]"),
]


def test_names_are_those_of_listing_2_and_table_4() -> None:
    assert list(table4_draws(paper_posterior()).data_vars) == TABLE_4
    others = {"re[1]", "re[2]", "re_trt[1]", "re_trt[2]", "tau_re", "tau_re_trt"}
    assert set(listing2_draws(paper_posterior()).data_vars) == {*TABLE_4, *others}


def test_each_name_points_at_its_label() -> None:
    draws, posterior = listing2_draws(paper_posterior()), paper_posterior()["posterior"]
    for name, variable, selection in (
        ("b_age", "b_prognostic", {"prognostic": "age"}),
        ("b_trt_diabetes", "b_interaction", {"modifier": "diabetes"}),
        ("re[1]", "re", {"group": "Male"}),
        ("re_trt[2]", "re_trt", {"group": "Female"}),
        ("te_gender[1]", "te_group", {"group": "Male"}),
        ("tau_re", "tau_re", {}),
    ):
        np.testing.assert_array_equal(draws[name], posterior[variable].sel(selection))
        assert draws[name].dims == ("chain", "draw")


def test_te_gender_is_the_sum_of_lines_47_to_50() -> None:
    draws = listing2_draws(paper_posterior())
    for group in (1, 2):
        np.testing.assert_allclose(draws[f"te_gender[{group}]"], draws["b_trt"] + draws[f"re_trt[{group}]"], atol=1e-12)


@pytest.mark.parametrize("priors", [Priors(), Priors(interaction_scale=0.5)])
def test_there_and_back(priors: Priors) -> None:
    at = SumsDensity.of(paper_design(), priors).at
    points = np.random.default_rng(1).normal(size=(2, 30, at.size))
    draws = split_sums(sums_of(points, at), priors, np.random.default_rng(2))
    np.testing.assert_allclose(points_of(draws, at), points, atol=1e-12)
    tree = posterior_tree(draws, xr.Dataset(), paper_design())
    assert ("sd_interaction" in tree["posterior"]) == at.has_scale
    assert tree["posterior"]["re"].dims == ("chain", "draw", "group")


def test_each_split_has_its_own_prior() -> None:
    """Over the prior, the shared parts that are drawn back have the law of those that were summed."""
    priors, n, rng = Priors(fixed_sd=0.7, intercept_mean=-2.0, intercept_sd=0.3), 20_000, np.random.default_rng(1)
    names = {"alpha": ("tau_re", priors.shared_intercept), "delta": ("tau_re_trt", priors.shared_effect)}
    sums = {"b_prognostic": np.zeros((n, 1)), "b_interaction": np.zeros((n, 1))}
    for name, (precision, prior) in names.items():
        tau = sums[precision] = rng.gamma(2.0, 0.5, n)
        sums[name] = rng.normal(prior.mean, prior.sd, (n, 1)) + rng.normal(size=(n, 2)) / np.sqrt(tau)[:, None]
    split = split_sums(sums, priors, rng)
    assert stats.kstest(split["b_intercept"], stats.norm(-2.0, 0.3).cdf).pvalue > 1e-3
    assert stats.kstest(split["b_trt"], stats.norm(0.0, 0.7).cdf).pvalue > 1e-3
