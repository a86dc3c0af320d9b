"""Normal scores against SciPy's quantiles."""

from __future__ import annotations

import numpy as np
from scipy import stats

from hte_utils.normal_score import NormalScore

LAW = stats.loggamma(2.0)
GRID = np.linspace(-14.0, 5.0, 2000)


def test_scores_are_the_quantiles_of_the_law() -> None:
    score = NormalScore.of(GRID, LAW.logpdf(GRID) + 3.0)
    at = np.linspace(-4.0, 4.0, 33)
    np.testing.assert_allclose(score(at)[0], LAW.ppf(stats.norm.cdf(at)), atol=2e-3)
    np.testing.assert_allclose(score.median, LAW.median(), atol=1e-4)


def test_slope_is_the_derivative_and_never_ends() -> None:
    score = NormalScore.of(GRID, LAW.logpdf(GRID))
    at, step = np.array([-9.0, -3.3, 0.01, 2.7, 9.0]), 1e-7
    numeric = (score(at + step)[0] - score(at - step)[0]) / (2 * step)
    np.testing.assert_allclose(np.exp(score(at)[1]), numeric, rtol=1e-5)
    assert (np.diff(score(np.linspace(-12.0, 12.0, 999))[0]) > 0).all()
