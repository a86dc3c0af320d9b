"""The chart of a hierarchy: its Jacobian, what it makes normal, and calibration over the prior with a sampled scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paper_fits import paper_design
from scipy import special, stats
from sklearn.linear_model import LogisticRegression

from hte_utils.model.chart import (
    HierarchicalChart,
    NormalScore,
    ScalePrior,
    _cholesky,
    _log_determinant,
    _solve_lower,
    _solve_upper,
    expand_at_mode,
)
from hte_utils.model.density import Coordinates, SumsDensity
from hte_utils.model.listing_2 import Priors
from hte_utils.model.sampler import metropolis_chain, proposal_for_chains
from hte_utils.model.spec import Covariate, TrialDesign, TrialSpec

SHRUNK = Priors(intercept_mean=-2.0, interaction_scale=0.5)


def laid_out(priors: Priors) -> tuple[SumsDensity, HierarchicalChart]:
    density = SumsDensity.of(paper_design(), priors)
    return density, HierarchicalChart(density)


@pytest.mark.parametrize("priors", [Priors(), SHRUNK])
def test_jacobian_equals_differences(priors: Priors) -> None:
    density, chart = laid_out(priors)
    assert chart.size == density.at.size
    inner = np.random.default_rng(1).normal(0.0, 1.0, (3, chart.size))
    step = 1e-6 * np.eye(chart.size)
    numeric = [
        np.linalg.slogdet((chart.points(row + step)[0] - chart.points(row - step)[0]) / 2e-6).logabsdet for row in inner
    ]
    # A constant may be left out, so differences are compared.
    np.testing.assert_allclose(np.diff(chart.points(inner)[1]), np.diff(numeric), atol=1e-5)


def test_a_point_does_not_depend_on_its_neighbours() -> None:
    _, chart = laid_out(SHRUNK)
    inner = np.random.default_rng(1).normal(0.0, 1.0, (300, chart.size))  # more than a block
    points, log_jacobian = chart.points(inner)
    for row in (0, 255, 256, 299):
        alone, alone_jacobian = chart.points(inner[row : row + 1])
        np.testing.assert_allclose(points[row], alone[0], rtol=1e-10)
        np.testing.assert_allclose(log_jacobian[row], alone_jacobian[0], rtol=1e-10)


@pytest.mark.parametrize("priors", [Priors(), SHRUNK])
def test_given_any_scales_the_posterior_is_nearly_standard_normal(priors: Priors) -> None:
    """The funnel is gone: curvature and mode are those of a standard normal, over a wide range of scales."""
    density, chart = laid_out(priors)
    n_coefficients, step = density.at.linear.stop, 0.05

    def log_density(inner: np.ndarray) -> np.ndarray:
        points, log_jacobian = chart.points(inner)
        return np.asarray(density(points) + log_jacobian)

    for score in (-1.5, 0.0, 1.5):
        centre = np.full(chart.size, score)
        centre[:n_coefficients] = 0.0
        moves = step * np.eye(chart.size)[:n_coefficients]
        up, here, down = log_density(centre + moves), log_density(centre[None, :]), log_density(centre - moves)
        assert np.abs((up - down) / (2 * step)).max() < 0.3  # a gradient in posterior SDs
        np.testing.assert_allclose((up - 2 * here + down) / step**2, -1.0, atol=0.35)


@pytest.mark.parametrize("priors", [Priors(), SHRUNK])
def test_standard_normal_coordinates_are_good_proposals_over_all_scales(priors: Priors) -> None:
    density, chart = laid_out(priors)
    inner = np.random.default_rng(2).normal(0.0, 1.0, (4000, chart.size))
    points, log_jacobian = chart.points(inner)
    log_weights = density(points) + log_jacobian + 0.5 * np.square(inner).sum(axis=1)
    weights = np.exp(log_weights - log_weights.max())
    assert weights.sum() ** 2 / np.square(weights).sum() > 1600  # of 4000, before any refinement
    last = np.sort(points[:, -1])
    assert last[-40] - last[40] > 2.0  # a log scale


def trial_from_prior(rng: np.random.Generator) -> tuple[TrialDesign, np.ndarray]:
    """Parameters from the prior, in the density's coordinates, and a trial of 150 patients from them."""
    tau = rng.gamma(2.0, 1 / 2.0, 2)
    alpha = rng.normal(-1.0, 0.5) + rng.normal(size=2) / np.sqrt(tau[0])
    delta = rng.normal() + rng.normal(size=2) / np.sqrt(tau[1])
    omega = abs(rng.normal(0.0, 0.8))
    main, interaction = rng.normal(size=3), omega * rng.normal(size=3)
    n = 150
    frame = pd.DataFrame(rng.normal(size=(n, 3)), columns=["a", "b", "c"])
    frame["g"], frame["t"] = rng.integers(0, 2, n), rng.integers(0, 2, n)
    x, t = frame[["a", "b", "c"]].to_numpy(), frame["t"].to_numpy()
    log_odds = alpha[frame["g"]] + delta[frame["g"]] * t + x @ main + t * (x @ interaction)
    frame["y"] = (rng.random(n) < stats.logistic.cdf(log_odds)).astype(int)
    spec = TrialSpec("y", "t", "g", tuple(Covariate(name, name) for name in "abc"), ("a", "b", "c"))
    return spec.design(frame), np.concatenate([alpha, delta, main, interaction, np.log(tau), [np.log(omega)]])


@pytest.mark.filterwarnings("ignore::hte_utils.model.checks.TrialWarning")
def test_simulation_based_calibration() -> None:
    """Over the prior, the rank of the truth among posterior draws is uniform (Talts et al. 2018), ω's included."""
    priors = Priors(intercept_mean=-1.0, intercept_sd=0.5, interaction_scale=0.8)
    rng, trials, kept = np.random.default_rng(12), 80, 19
    ranks: list[np.ndarray] = []
    while len(ranks) < trials:
        try:
            design, truth = trial_from_prior(rng)
        except ValueError:  # nobody or everybody had the event: refused. Ranks are uniform given any data
            continue
        density, seeds = SumsDensity.of(design, priors), np.random.SeedSequence(len(ranks)).spawn(2)
        chain = metropolis_chain(density, proposal_for_chains(density, seeds[0]), kept, 20, seeds[1])
        ranks.append((chain.points < truth).sum(axis=0))
    counts = [np.bincount(rank * 5 // (kept + 1), minlength=5) for rank in np.array(ranks).T]
    p_values = [stats.chisquare(count, np.full(5, trials / 5)).pvalue for count in counts]
    assert min(p_values) > 1e-4, p_values  # of 13, as in test_sampler


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


def logistic(rows: np.ndarray, outcome: np.ndarray) -> SumsDensity:
    return SumsDensity(rows * (1.0 - 2.0 * outcome)[:, None], Priors(), Coordinates(1, 1, 1))


def ridge_data(separated: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(150, 4))
    outcome = rows[:, 0] > 1.0 if separated else rng.random(150) < special.expit(rows[:, 0] - 1.0)
    return rows, outcome.astype(float)


@pytest.mark.parametrize("separated", [False, True])
@pytest.mark.parametrize("start", [0.0, 6.0])
def test_mode_equals_ridge_regression(separated: bool, start: float) -> None:
    rows, outcome = ridge_data(separated)
    mode, *_ = expand_at_mode(logistic(rows, outcome), np.eye(4) / 2.0**2, np.zeros(4), np.full(4, start))
    by_sklearn = LogisticRegression(C=2.0**2, fit_intercept=False, tol=1e-10, max_iter=1000).fit(rows, outcome)
    np.testing.assert_allclose(mode, by_sklearn.coef_[0], atol=1e-4)


def test_expansion_is_that_of_the_likelihood() -> None:
    rows, outcome = ridge_data(separated=False)
    density = logistic(rows, outcome)
    mode, information, linear = expand_at_mode(density, np.eye(4), np.full(4, 0.5), np.zeros(4))

    def both(at: np.ndarray) -> tuple[float, float]:
        exact = -np.logaddexp(0.0, density.signed @ at).sum()
        return exact, float(-0.5 * at @ information @ at + linear @ at)

    centre = both(mode)
    for move in 0.02 * np.eye(4):
        exact, quadratic = both(mode + move)
        assert exact - centre[0] == pytest.approx(quadratic - centre[1], abs=2e-4)


def test_a_search_without_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, outcome = ridge_data(separated=False)
    monkeypatch.setattr("hte_utils.model.chart._MOST_STEPS", 1)
    with pytest.raises(RuntimeError, match="Standardise it in the TrialSpec"):
        expand_at_mode(logistic(rows, outcome), np.eye(4), np.zeros(4), np.full(4, 3.0))


LAW = stats.loggamma(2.0)
GRID = np.linspace(-14.0, 5.0, 2000)


def test_scores_are_the_quantiles_of_the_law() -> None:
    score = NormalScore(GRID, LAW.logpdf(GRID) + 3.0)
    at = np.linspace(-4.0, 4.0, 33)
    np.testing.assert_allclose(score(at)[0], LAW.ppf(stats.norm.cdf(at)), atol=2e-3)
    np.testing.assert_allclose(score(np.zeros(1))[0], LAW.median(), atol=1e-4)


def test_slope_is_the_derivative_and_never_ends() -> None:
    score = NormalScore(GRID, LAW.logpdf(GRID))
    at, step = np.array([-9.0, -3.3, 0.01, 2.7, 9.0]), 1e-7
    numeric = (score(at + step)[0] - score(at - step)[0]) / (2 * step)
    np.testing.assert_allclose(np.exp(score(at)[1]), numeric, rtol=1e-5)
    assert (np.diff(score(np.linspace(-12.0, 12.0, 999))[0]) > 0).all()


def test_many_small_factorisations_equal_lapack() -> None:
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(7, 5, 8))  # seven matrices of five rows
    matrices = roots @ roots.transpose(0, 2, 1)
    right = rng.normal(size=(7, 5))
    lower = _cholesky(matrices.transpose(1, 2, 0).copy())
    by_lapack = np.linalg.cholesky(matrices)
    np.testing.assert_allclose(lower.transpose(2, 0, 1), by_lapack, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(_solve_lower(lower, right.T).T[..., None], np.linalg.solve(by_lapack, right[..., None]))
    transposed = by_lapack.transpose(0, 2, 1)
    np.testing.assert_allclose(_solve_upper(lower, right.T).T[..., None], np.linalg.solve(transposed, right[..., None]))
    np.testing.assert_allclose(2 * _log_determinant(lower), np.linalg.slogdet(matrices).logabsdet)
