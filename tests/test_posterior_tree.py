"""Points to variables and back."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from paper_fits import paper_design
from scipy import stats

from hte_utils.posterior_tree import points_of, posterior_tree, split_sums, sums_of
from hte_utils.priors import Priors
from hte_utils.sums_density import SumsDensity


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
