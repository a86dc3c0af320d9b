"""The prior given its scales against the density it belongs to."""

from __future__ import annotations

import numpy as np
import pytest
from paper_fits import paper_design
from scipy import stats

from hte_utils.priors import Priors
from hte_utils.scale_prior import ScalePrior
from hte_utils.sums_density import SumsDensity

PRIORS = [Priors(1.3, 2.5, 0.8), Priors(0.7, 3.0, 2.0, intercept_mean=-2.0, intercept_sd=0.5, interaction_scale=0.4)]


@pytest.mark.parametrize("priors", PRIORS)
def test_it_is_the_prior_of_the_density(priors: Priors) -> None:
    at = SumsDensity.of(paper_design(), priors).at
    prior = ScalePrior(priors, at)
    rng = np.random.default_rng(1)
    points = rng.normal(0.0, 0.7, (5, at.size))
    points[:, at.prognostic] = 0.0
    expected = np.zeros(5)
    SumsDensity.of(paper_design(), priors).add_log_prior(expected, points)
    scales, governed = points[:, at.linear.stop :], points[:, prior.governed]
    precision = prior.precision(scales)
    quadratic = np.einsum("ni,ijn,nj->n", governed, precision, governed)
    linear = np.einsum("ni,ijn,j->n", governed, precision, prior.mean)
    ours = prior.log_density_at_zero(scales) - 0.5 * quadratic + linear
    np.testing.assert_allclose(np.diff(ours), np.diff(expected), rtol=1e-9)


@pytest.mark.parametrize("priors", [*PRIORS, Priors(), Priors(precision_shape=0.5, precision_rate=0.1)])
def test_grids_hold_nearly_all_of_the_prior(priors: Priors) -> None:
    at = SumsDensity.of(paper_design(), priors).at
    precision, *_, last = ScalePrior(priors, at).grids()
    law = stats.gamma(priors.precision_shape, scale=1.0 / priors.precision_rate)
    low, high = np.exp(precision[[0, -1]])
    assert law.cdf(low) < 1e-6
    assert law.sf(high) < 1e-6
    if priors.interaction_scale is not None:
        low, high = np.exp(last[[0, -1]]) / priors.interaction_scale
        assert stats.halfnorm.cdf(low) < 1e-5
        assert stats.halfnorm.sf(high) < 1e-6
