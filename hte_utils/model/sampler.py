"""Pareto-smoothed importance sampling of the sums form with randomised quasi-Monte Carlo proposals.

A multivariate t in the coordinates of `HierarchicalChart`, fitted to the posterior by pilot samples, proposes; Pareto
smoothing (Vehtari et al. 2024) steadies the weights, and says by its k-hat whether they can be trusted. The proposals
are scrambled Sobol points (Owen 1997) and not independent: the chart makes posterior expectations smooth functions of
them, and their error falls much faster than with the root of the number of points.

An exact Markov chain for Listing 2 that needs no gradient and no compiler.

The posterior of the sums form is smooth, unimodal and nearly normal, so an independence Metropolis-Hastings chain makes
an approximation exact: propose from a multivariate t, accept by the ratio of importance weights. The t starts as the
Laplace approximation and is then fitted to the posterior's mean and covariance in two pilot rounds; nothing adapts
while the chains run. Where every group has events and non-events in both arms, the t has the heavier tails, and bounded
weights make the chain uniformly ergodic (Mengersen & Tweedie 1996, Theorem 2.1). Where a group's treated patients have
no event, its effect has the tail of its marginal prior, which the proposal reaches too seldom: with 65 such patients
the SD of that one effect came out 3 to 6 % too small. Pareto's k does not always say so.

Where the interactions have a sampled scale, the posterior is a funnel, and the t stands in the coordinates of
`hte_utils.model.chart`, in which it is none. Where the approximation is poor (twenty groups, or a nearly
improper prior), chains repeat themselves, and the checks of the fit say so: use NUTS there.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from arviz_stats.base import array_stats  # type: ignore[attr-defined]
from scipy import linalg, optimize, special
from scipy.stats import qmc
from threadpoolctl import threadpool_limits

from hte_utils.model.chart import HierarchicalChart
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.density import log_likelihood

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hte_utils.model.density import SumsDensity


LARGEST_PARETO_K = 0.7
"""Above it, importance sampling is not to be trusted at any practical number of proposals (Vehtari et al. 2024)."""

_STATISTICS: Any = array_stats  # ArviZ has no type hints
# Heavy enough tails for the half-flat likelihood of a group without events.
_DEGREES_OF_FREEDOM = 10.0
# Where a group has an arm without events, the tail of its effect is the prior's, and long. A share of the proposals
# reaches further for it, in the group effects and in the precisions that govern them.
_DEFENSIVE_SHARE, _REACH, _SCALE_REACH = 0.3, 2.5, 1.5
# A pilot round after the first is needed only where few of its points counted. Powers of two, as Sobol points like it.
_PILOT_SIZES, _PILOT_SHARE = (1024, 2048, 4096), 0.4
# The largest pilot weights are cut to the 10th largest, so that no single point decides the fit (Ionides 2008).
_PILOT_CUT = 10
_BLOCK = 128
# Proposals for one wanted effective draw, at most; and so many are enough to give up where k-hat says so.
_MOST_PER_DRAW, _HOPELESS_PER_DRAW = 50, 4


@dataclass(frozen=True, slots=True, eq=False)
class ImportanceSample:
    """Points (proposals, coordinates), their smoothed weights (proposals,) with sum 1, and k-hat of the raw ones."""

    points: FloatArray
    weights: FloatArray
    pareto_k: float

    @property
    def ess(self) -> float:
        """Effective sample size 1 / sum(weights²): of independent proposals; quasi-random ones are worth more."""
        return float(1.0 / np.square(self.weights).sum())


def importance_sample(density: SumsDensity, draws: int, seed: np.random.SeedSequence) -> ImportanceSample:
    """Propose until the effective sample size reaches `draws`, or it is clear that it will not.

    Children of the seed decide the proposals; it is left as it was.
    """
    proposal = _Proposal.standard(HierarchicalChart(density), defensive=has_empty_cell(density))
    spent, share = 0, 0.0
    for size in _PILOT_SIZES:
        if share < _PILOT_SHARE:
            proposal, share = proposal.refined(density, size, child_seed(seed, spent))
            spent += size
    uniforms = _sobol(proposal.n_uniforms, child_seed(seed, spent))
    points, log_weights, _ = proposal.weighted(density, next(uniforms))
    while True:
        sample = _smoothed(points, log_weights)
        missing = draws / sample.ess - 1.0
        hopeless = sample.pareto_k > LARGEST_PARETO_K and len(points) >= _HOPELESS_PER_DRAW * draws
        if missing <= 0.0 or hopeless or len(points) >= _MOST_PER_DRAW * draws:
            return sample
        # At most three times as many more: a first estimate of the weights' variance can be far too large.
        n_blocks = int(np.ceil(len(points) / _BLOCK * min(missing, 3.0)))
        more = np.concatenate([next(uniforms) for _ in range(n_blocks)])
        new_points, new_weights, _ = proposal.weighted(density, more)
        points, log_weights = np.concatenate([points, new_points]), np.concatenate([log_weights, new_weights])


@dataclass(frozen=True, slots=True, eq=False)
class _Proposal:
    """A multivariate t in the coordinates of a chart, or a defensive mixture of two with the same centre.

    `factors` are square roots of the scale matrices: of the one fitted to the posterior and, where a group has an arm
    without events, of one that reaches further in the directions of the group effects (`_widened`).
    """

    chart: HierarchicalChart
    centre: FloatArray
    factors: tuple[FloatArray, ...]

    @classmethod
    def standard(cls, chart: HierarchicalChart, *, defensive: bool) -> Self:
        one = np.eye(chart.size)
        return cls(chart, np.zeros(chart.size), (one, _widened(one, chart)) if defensive else (one,))

    @property
    def n_uniforms(self) -> int:
        """How many uniform numbers a point takes: one a coordinate, one for the t, one to choose between two."""
        return self.centre.size + len(self.factors)

    def refined(self, density: SumsDensity, size: int, seed: np.random.SeedSequence) -> tuple[Self, float]:
        """Move to the posterior's mean and covariance; return the effective share of the pilot points as well."""
        uniforms = _sobol(self.n_uniforms, seed)
        uniform = np.concatenate([next(uniforms) for _ in range(size // _BLOCK)])
        _, log_weights, inner = self.weighted(density, uniform)
        weights = np.exp(np.minimum(log_weights - np.sort(log_weights)[-_PILOT_CUT], 0.0))
        raw = np.exp(log_weights - log_weights.max())
        share = raw.sum() ** 2 / np.square(raw).sum() / size
        own = linalg.cholesky(np.cov(inner, rowvar=False, aweights=weights), lower=True)
        factors = (own,) if len(self.factors) == 1 else (own, _widened(own, self.chart))
        return replace(self, centre=np.average(inner, axis=0, weights=weights), factors=factors), float(share)

    def weighted(self, density: SumsDensity, uniform: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Points, log weights and the chart's coordinates, from uniform numbers (points, `n_uniforms`)."""
        df, extra = _DEGREES_OF_FREEDOM, len(self.factors)
        standard = special.ndtri(uniform[:, extra:])
        standard /= np.sqrt(special.chdtri(df, uniform[:, 0]) / df)[:, None]
        inner = standard @ self.factors[0].T
        if extra == 2:
            wide = uniform[:, 1] < _DEFENSIVE_SHARE
            inner[wide] = standard[wide] @ self.factors[1].T
        log_proposed = self._log_proposed(inner, standard)
        inner += self.centre
        points, log_jacobian = self.chart.points(inner)
        log_weights = log_likelihood(density.signed, points[:, density.at.linear])
        density.add_log_prior(log_weights, points)
        log_weights += log_jacobian
        log_weights -= log_proposed
        return points, log_weights, inner

    def _log_proposed(self, away: FloatArray, standard: FloatArray) -> FloatArray:
        """Log density of the proposal at these distances from the centre, without constants."""
        power = -0.5 * (_DEGREES_OF_FREEDOM + self.centre.size)
        if len(self.factors) == 1:
            return np.asarray(power * np.log1p(np.square(standard).sum(axis=1) / _DEGREES_OF_FREEDOM))
        parts = []
        for factor, share in zip(self.factors, (1.0 - _DEFENSIVE_SHARE, _DEFENSIVE_SHARE), strict=True):
            scaled = linalg.solve_triangular(factor, away.T, lower=True)
            height = np.log(share) - np.log(np.diagonal(factor)).sum()
            parts.append(height + power * np.log1p(np.square(scaled).sum(axis=0) / _DEGREES_OF_FREEDOM))
        return np.asarray(np.logaddexp(*parts))


def _widened(factor: FloatArray, chart: HierarchicalChart) -> FloatArray:
    """Square root of the scale matrix with the directions of the group effects and the log scales stretched."""
    stretch = np.ones(chart.size)
    first = chart.free.size  # the governed coordinates follow the free ones, group effects first
    stretch[first : first + 2 * chart.prior.at.n_groups] = _REACH
    stretch[first + chart.governed.size :] = _SCALE_REACH
    stretched = factor * stretch[:, None]
    return np.asarray(linalg.cholesky(stretched @ stretched.T, lower=True))


def has_empty_cell(density: SumsDensity) -> bool:
    """Whether a group has an arm without any event: the likelihood of that group's effect is flat on one side."""
    # Rows are times 1 - 2y: an event has -1 in its group's column, and in its effect's too if it was treated.
    events, treated = ((density.signed[:, own] < 0.0).sum(axis=0) for own in (density.at.alpha, density.at.delta))
    return bool(min(treated.min(), (events - treated).min()) == 0)


def _sobol(dimension: int, seed: np.random.SeedSequence) -> Iterator[FloatArray]:
    """Scrambled Sobol points in blocks, each number strictly between 0 and 1."""
    engine = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(seed))
    while True:
        # SciPy's points are multiples of 2**-30, 0 among them: move each to the middle of its cell.
        yield engine.random(_BLOCK) + 2.0**-31


def _smoothed(points: FloatArray, log_weights: FloatArray) -> ImportanceSample:
    # psislw is made for leave-one-out: it wants the logarithms of reciprocal weights.
    smoothed, pareto_k = _STATISTICS.psislw(-log_weights, r_eff=1.0)
    weights = np.exp(smoothed)
    return ImportanceSample(points, weights / weights.sum(), float(pareto_k))


def child_seed(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """One child of a seed. Unlike `SeedSequence.spawn` it does not count: the same call gives the same child."""
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, number), pool_size=seed.pool_size)


# Few enough degrees of freedom for heavy tails, many enough that a proposal in 14 dimensions is accepted often.
_PILOT_ROUNDS, _PILOT_SIZE, _PILOT_PIECES = 2, 4000, 10
# The largest pilot weights are cut to the 20th largest, so that no single point decides the fit (Ionides 2008).
_CHAIN_PILOT_CUT = 20


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
        weights = np.exp(np.minimum(log_weights - np.sort(log_weights)[-_CHAIN_PILOT_CUT], 0.0))
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
