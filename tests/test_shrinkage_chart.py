"""The chart for a sampled shrinkage scale: its Jacobian, its normal limit, and calibration over the prior."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from paper_fits import paper_design
from scipy import stats

from hte_utils.independence import Proposal, Schedule, run_chains
from hte_utils.priors import Priors
from hte_utils.shrinkage_chart import ShrinkageChart
from hte_utils.spec import Covariate, TrialDesign, TrialSpec
from hte_utils.sums_density import SumsDensity

PRIORS = Priors(intercept_mean=-2.0, interaction_scale=0.5)


def laid_out() -> tuple[SumsDensity, ShrinkageChart]:
    density = SumsDensity.of(paper_design(), PRIORS)
    return density, ShrinkageChart.of(density)


def test_jacobian_equals_differences() -> None:
    density, chart = laid_out()
    inner = np.random.default_rng(1).normal(0.0, 1.0, (3, density.at.size))
    step = 1e-6 * np.eye(density.at.size)
    numeric = [
        np.linalg.slogdet((chart.points(row + step)[0] - chart.points(row - step)[0]) / 2e-6).logabsdet for row in inner
    ]
    _, log_jacobian = chart.points(inner)
    # The determinant of V is a constant, which proposals may leave out.
    np.testing.assert_allclose(np.diff(log_jacobian), np.diff(numeric), atol=1e-6)


def test_given_any_scale_the_posterior_is_nearly_standard_normal() -> None:
    """The funnel is gone: curvature and mode are those of a standard normal, over a wide range of scales."""
    density, chart = laid_out()
    size, step = density.at.size, 0.05

    def log_density(inner: np.ndarray) -> np.ndarray:
        points, log_jacobian = chart.points(inner)
        return np.asarray(density(points) + log_jacobian)

    for score in (-1.5, 0.0, 1.5):
        centre = np.append(np.zeros(size - 1), score)
        moves = step * np.eye(size)[: size - 1]
        up, here, down = log_density(centre + moves), log_density(centre[None, :]), log_density(centre - moves)
        assert np.abs((up - down) / (2 * step)).max() < 0.3  # a gradient in posterior SDs
        np.testing.assert_allclose((up - 2 * here + down) / step**2, -1.0, atol=0.35)


def test_proposals_are_good_far_from_the_reference() -> None:
    density = SumsDensity.of(paper_design(), PRIORS)
    points, log_proposal = Proposal.laplace(density).draw(4000, np.random.default_rng(2))
    log_weights = density(points) - log_proposal
    weights = np.exp(log_weights - log_weights.max())
    assert weights.sum() ** 2 / np.square(weights).sum() > 400  # before any pilot
    log_omega = np.sort(points[:, density.at.log_scale])
    assert log_omega[-40] - log_omega[40] > 3.0  # and over a range of scales that is wide


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


@pytest.mark.filterwarnings("ignore::hte_utils.trial_checks.TrialWarning")
def test_simulation_based_calibration() -> None:
    """Over the prior, the rank of the truth among posterior draws is uniform (Talts et al. 2018), ω's included."""
    priors = Priors(intercept_mean=-1.0, intercept_sd=0.5, interaction_scale=0.8)
    rng, trials, kept = np.random.default_rng(12), 200, 19
    ranks: list[np.ndarray] = []
    while len(ranks) < trials:
        try:
            design, truth = trial_from_prior(rng)
        except ValueError:  # nobody or everybody had the event: refused. Ranks are uniform given any data
            continue
        seeds = np.random.SeedSequence(len(ranks)).spawn(2)
        [chain] = run_chains(SumsDensity.of(design, priors), Schedule(kept, 4, 50), seeds, cores=1)
        ranks.append((chain.points < truth).sum(axis=0))
    counts = [np.bincount(rank * 5 // (kept + 1), minlength=5) for rank in np.array(ranks).T]
    p_values = [stats.chisquare(count, np.full(5, trials / 5)).pvalue for count in counts]
    assert min(p_values) > 1e-4, p_values  # of 13, as in test_independence
