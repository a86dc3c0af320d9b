"""Points to variables and back."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from paper_fits import paper_design

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
