"""The algebra of the group effects against SciPy's normal distributions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hte_utils.model.listing_2 import NormalPrior, Priors, draw_split


@pytest.mark.parametrize("groups", [2, 3, 7])
@pytest.mark.parametrize(("centre", "sd", "precision"), [(0.0, 1.0, 0.7), (-2.5, 2.0, 3.0), (4.0, 0.3, 0.05)])
def test_split_has_the_conditional_law_of_the_joint_normal(
    groups: int, centre: float, sd: float, precision: float
) -> None:
    # Joint covariance of (shared, sums), then the textbook conditional normal: no formula of priors.py is used.
    covariance_sums = np.full((groups, groups), sd**2) + np.eye(groups) / precision
    with_shared = np.full(groups, sd**2)
    sums = np.linspace(-2.0, 1.0, groups)
    mean = centre + with_shared @ np.linalg.solve(covariance_sums, sums - centre)
    variance = sd**2 - with_shared @ np.linalg.solve(covariance_sums, with_shared)

    size = 20_000
    shared, deviations = draw_split(
        np.tile(sums, (size, 1)), np.full(size, precision), NormalPrior(centre, sd), np.random.default_rng(1)
    )
    assert stats.kstest(shared, stats.norm(mean, np.sqrt(variance)).cdf).pvalue > 1e-3
    np.testing.assert_allclose(shared[:, None] + deviations, np.tile(sums, (size, 1)), atol=1e-12)


def test_splitting_simulated_sums_gives_the_prior_back() -> None:
    """Forward: shared, deviations -> sums. Backward: the split. The law of both must be the same."""
    rng, size, priors = np.random.default_rng(2), 20_000, Priors()
    precision = rng.gamma(priors.precision_shape, 1 / priors.precision_rate, size)
    shared = rng.normal(-1.0, 2.0, size)
    deviations = rng.normal(0, 1 / np.sqrt(precision)[:, None], (size, 3))
    shared, deviations = draw_split(shared[:, None] + deviations, precision, NormalPrior(-1.0, 2.0), rng)
    assert stats.kstest((shared + 1.0) / 2.0, "norm").pvalue > 1e-3
    assert stats.kstest(deviations[:, 0] * np.sqrt(precision), "norm").pvalue > 1e-3
    # independent again: the correlation of `size` independent pairs has SD 1/sqrt(size)
    assert abs(np.corrcoef(shared, deviations[:, 0])[0, 1]) < 4 / np.sqrt(size)


def test_who_gets_which_normal() -> None:
    assert Priors(fixed_sd=2.0).shared_intercept == NormalPrior(0.0, 2.0)
    priors = Priors(fixed_sd=2.0, intercept_mean=-3.0, intercept_sd=1.5)
    assert priors.shared_intercept == NormalPrior(-3.0, 1.5)
    assert priors.shared_effect == NormalPrior(0.0, 2.0)


@pytest.mark.parametrize("name", ["fixed_sd", "precision_shape", "precision_rate", "intercept_sd", "interaction_scale"])
@pytest.mark.parametrize("value", [0.0, -1, float("inf"), float("nan")])
def test_bad_priors_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Priors(**{name: value})


def test_an_intercept_mean_is_finite() -> None:
    assert Priors(intercept_mean=-3.0).shared_intercept.mean == -3.0
    with pytest.raises(ValueError, match="intercept_mean must be finite"):
        Priors(intercept_mean=float("nan"))
