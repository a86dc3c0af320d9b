"""An exact Markov chain for Listing 2 that needs no gradient and no compiler.

The posterior of the sums form is smooth, unimodal and nearly normal, so an independence Metropolis-Hastings chain makes
an approximation exact: propose from a multivariate t, accept by the ratio of importance weights. The t starts as the
Laplace approximation and is then fitted to the posterior's mean and covariance in two pilot rounds; nothing adapts
while the chains run. Where every group has events and non-events in both arms, the t has the heavier tails, and bounded
weights make the chain uniformly ergodic (Mengersen & Tweedie 1996, Theorem 2.1). Where a group's treated patients have
no event, its effect has the tail of its marginal prior, which the proposal reaches too seldom: with 65 such patients
the SD of that one effect came out 3 to 6 % too small. Pareto's k does not always say so.

Where the interactions have a sampled scale, the posterior is a funnel, and the t stands in the coordinates of
`hte_utils.hierarchical_chart`, in which it is none. Where the approximation is poor (twenty groups, or a nearly
improper prior), chains repeat themselves, and the checks of the fit say so: use NUTS there.
"""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import linalg, optimize
from threadpoolctl import threadpool_limits

from hte_utils.hierarchical_chart import HierarchicalChart
from hte_utils.trial_checks import FloatArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hte_utils.sums_density import SumsDensity

# Few enough degrees of freedom for heavy tails, many enough that a proposal in 14 dimensions is accepted often.
_DEGREES_OF_FREEDOM = 10.0
_PILOT_ROUNDS, _PILOT_SIZE, _PILOT_PIECES = 2, 4000, 10
# The largest pilot weights are cut to the 20th largest, so that no single point decides the fit (Ionides 2008).
_PILOT_CUT = 20


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A multivariate t: `centre` (coordinates,), and `factor` with factor @ factor.T = scale matrix.

    With a `chart` the t stands in the chart's coordinates, and what is proposed is their image.
    """

    centre: FloatArray
    factor: FloatArray
    chart: HierarchicalChart | None = None

    @classmethod
    def laplace(cls, density: SumsDensity) -> Self:
        """Find the mode by a trust-region Newton method, and the scale from the curvature there.

        Where the interactions have a scale, the mode in all coordinates is of no use: a chart is laid out instead.
        """
        if density.at.has_scale:
            return cls(np.zeros(density.at.size), np.eye(density.at.size), HierarchicalChart(density))
        mode = optimize.minimize(
            lambda point: -float(density(point[None, :])[0]),
            density.start(),
            jac=lambda point: -density.gradient_and_hessian(point)[0],
            hess=lambda point: -density.gradient_and_hessian(point)[1],
            method="trust-exact",
            options={"gtol": 1e-4},
        ).x
        curvature = -density.gradient_and_hessian(mode)[1]
        # curvature = R'R, so R⁻¹ takes standard normals to the Laplace approximation.
        return cls(mode, linalg.solve_triangular(linalg.cholesky(curvature), np.eye(mode.size)))

    def refined(self, density: SumsDensity, rng: np.random.Generator, pool: Executor) -> Self:
        """Move to the posterior's mean and covariance, estimated by truncated importance sampling."""
        inner, log_inner = self._draw_inner(_PILOT_SIZE, rng)
        points, log_proposal = self._image(inner, log_inner)
        # Always the same pieces: other products could round differently on another number of cores.
        pieces = np.split(points, _PILOT_PIECES)
        log_weights = np.concatenate(list(pool.map(density, pieces))) - log_proposal
        weights = np.exp(np.minimum(log_weights - np.sort(log_weights)[-_PILOT_CUT], 0.0))
        covariance = np.cov(inner, rowvar=False, aweights=weights)
        factor = linalg.cholesky(covariance, lower=True)
        return type(self)(np.average(inner, axis=0, weights=weights), factor, self.chart)

    def draw(self, size: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw points, shape (size, coordinates), with their unnormalised log densities, shape (size,)."""
        return self._image(*self._draw_inner(size, rng))

    def _image(self, inner: FloatArray, log_inner: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self.chart is None:
            return inner, log_inner
        points, log_jacobian = self.chart.points(inner)
        return points, log_inner - log_jacobian

    def _draw_inner(self, size: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        dimension, df = self.centre.size, _DEGREES_OF_FREEDOM
        standard = rng.standard_normal((size, dimension))
        standard /= np.sqrt(rng.chisquare(df, size) / df)[:, None]
        log_density = -0.5 * (df + dimension) * np.log1p(np.square(standard).sum(axis=1) / df)
        return self.centre + standard @ self.factor.T, log_density


@dataclass(frozen=True, slots=True)
class Schedule:
    """`proposals_per_draw` Metropolis-Hastings steps from draw to draw; `burn_in` draws are dropped, `draws` kept."""

    draws: int
    burn_in: int
    proposals_per_draw: int


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """One chain: `points` (draws, coordinates), `acceptance` rate (draws,), and `log_weights` (proposals,)."""

    points: FloatArray
    acceptance: FloatArray
    log_weights: FloatArray


def run_chains(
    density: SumsDensity, schedule: Schedule, seeds: Sequence[np.random.SeedSequence], cores: int
) -> list[Chain]:
    """Run one chain for each seed but the first, which is for the pilot rounds; `cores` of them at the same time."""
    # Many small products: a second BLAS thread a chain costs more than it brings, and could change the last bit.
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
        rng = np.random.default_rng(seeds[0])
        proposal = Proposal.laplace(density)
        for _ in range(_PILOT_ROUNDS):
            proposal = proposal.refined(density, rng, pool)
        return list(pool.map(partial(_run_chain, density, proposal, schedule), seeds[1:]))


def _run_chain(density: SumsDensity, proposal: Proposal, schedule: Schedule, seed: np.random.SeedSequence) -> Chain:
    rng = np.random.default_rng(seed)
    stride = schedule.proposals_per_draw
    points, log_proposal = proposal.draw((schedule.burn_in + schedule.draws) * stride, rng)
    log_weights = density(points) - log_proposal
    path = metropolis_path(log_weights, np.log1p(-rng.random(log_weights.size)))
    accepted = (path == np.arange(path.size)).reshape(-1, stride)[schedule.burn_in :]
    kept = path.reshape(-1, stride)[schedule.burn_in :, -1]
    return Chain(points[kept], accepted.mean(axis=1), log_weights)


def metropolis_path(log_weights: FloatArray, log_uniform: FloatArray) -> IntArray:
    """Index of the proposal that an independence chain holds after each step, shape (proposals,).

    The chain starts at proposal 0 and moves to proposal t if ``log_uniform[t]`` is below the difference of their log
    weights (Hastings 1970; Tierney 1994, Section 2.3.3).
    """
    path = np.zeros(log_weights.size, dtype=np.int64)
    held, held_weight = 0, float(log_weights[0])
    # Plain floats: indexing an array in the loop would be ten times slower.
    for step, (weight, uniform) in enumerate(zip(log_weights.tolist(), log_uniform.tolist(), strict=True)):
        if uniform < weight - held_weight:
            held, held_weight = step, weight
        path[step] = held
    return path
