"""Draws from the posterior of Listing 2: propose near it, and correct by the importance weights.

A multivariate t in the coordinates of `HierarchicalChart`, fitted to the posterior by pilot samples, proposes.
`importance_sample` weights scrambled Sobol points (Owen 1997), of which posterior expectations are smooth functions in
the chart, with Pareto smoothing (Vehtari et al. 2024). `metropolis_chain` accepts or refuses independent points by the
ratio of their weights (independence Metropolis-Hastings; Tierney 1994): an exact Markov chain, whose R-hat and
effective sample size mean what they say. Pareto's k-hat of the weights says whether either may be trusted.

Where a group has an arm without any event, the tail of its effect is that of its prior, and one t reaches it too
seldom: its SD came out 3 to 9 % too small, with a k-hat that passes. There a second, wider component joins; what is
left is 3 % or less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from arviz_stats.base import array_stats  # type: ignore[attr-defined]
from scipy import linalg, special
from scipy.stats import qmc

from hte_utils.model.chart import HierarchicalChart
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.density import HierarchicalDensity

LARGEST_PARETO_K = 0.7
"""Above it, importance sampling is not to be trusted at any practical number of proposals (Vehtari et al. 2024)."""

type LogDensity = Callable[[FloatArray], FloatArray]
"""From points, shape (points, coordinates), to an unnormalised log density, shape (points,)."""

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
# Steps of a chain before its first draw: with weights of up to ten times their mean, (1 - 1/10)^200 is nothing.
_BURN_IN = 200
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


def importance_sample(density: HierarchicalDensity, draws: int, seed: np.random.SeedSequence) -> ImportanceSample:
    """Propose until the effective sample size is `draws`, or clearly will not be; the seed is left as it was."""
    proposal, spent = fitted_proposal(density, seed)
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


class Chain(NamedTuple):
    """A chain's `points` (draws, coordinates), `acceptance` rate (draws,), and `log_weights` (proposals,)."""

    points: FloatArray
    acceptance: FloatArray
    log_weights: FloatArray


def metropolis_chain(
    density: LogDensity, proposal: Proposal, draws: int, stride: int, seed: np.random.SeedSequence
) -> Chain:
    """Run one chain and keep `draws` of it, `stride` steps apart, after some burn-in."""
    rng = np.random.default_rng(seed)
    uniform = np.maximum(rng.random((_BURN_IN + draws * stride, proposal.n_uniforms)), 2.0**-53)  # 0 has no quantile
    points, log_weights, _ = proposal.weighted(density, uniform)
    path = metropolis_path(log_weights, np.log1p(-rng.random(log_weights.size)))
    steps = np.arange(_BURN_IN, path.size).reshape(draws, stride)
    return Chain(points[path[steps[:, -1]]], (path[steps] == steps).mean(axis=1), log_weights)


def metropolis_path(log_weights: FloatArray, log_uniform: FloatArray) -> IntArray:
    """Index of the proposal that an independence chain holds after each step, shape (proposals,).

    It starts at 0 and moves to t if ``log_uniform[t]`` is below the difference of their log weights (Tierney 1994).
    """
    path = np.zeros(log_weights.size, dtype=np.int64)
    held, held_weight = 0, float(log_weights[0])
    # Plain floats: indexing an array in the loop would be ten times slower.
    for step, (weight, uniform) in enumerate(zip(log_weights.tolist(), log_uniform.tolist(), strict=True)):
        if uniform < weight - held_weight:
            held, held_weight = step, weight
        path[step] = held
    return path


def fitted_proposal(density: HierarchicalDensity, seed: np.random.SeedSequence) -> tuple[Proposal, int]:
    """Fit a proposal to the posterior; return the number of pilot points as well, children of the seed up to it."""
    chart = HierarchicalChart(density)
    if not has_empty_cell(density):
        return Proposal.standard(chart).fitted(density, seed)
    stretch = np.ones(chart.size)
    first = chart.free.size  # the governed coordinates follow the free ones, group effects first
    stretch[first : first + 2 * density.at.n_groups] = _REACH
    stretch[first + chart.governed.size :] = _SCALE_REACH
    return Proposal.standard(chart, stretch).fitted(density, seed)


def proposal_for_chains(density: HierarchicalDensity, seed: np.random.SeedSequence) -> Proposal:
    """Fit a proposal more closely: what a chain refuses is lost to it, and weights lose less."""
    proposal, spent = fitted_proposal(density, seed)
    return proposal.refined(density, _PILOT_SIZES[-1], child_seed(seed, spent))[0]


class Chart(Protocol):
    """Coordinates in which a posterior is nearly standard normal; `size` is their number."""

    size: int

    def points(self, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map coordinates (points, `size`) to points; return log |Jacobian| (points,) but for a constant too."""


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """A multivariate t in the coordinates of a chart, or a defensive mixture of two with the same centre.

    `factors` are square roots of the scale matrices: of the one fitted to the posterior and, if there is a `stretch`,
    of one that reaches further by it in each direction.
    """

    chart: Chart
    centre: FloatArray
    factors: tuple[FloatArray, ...]
    stretch: FloatArray | None = None

    @classmethod
    def standard(cls, chart: Chart, stretch: FloatArray | None = None) -> Self:
        """The standard t of a chart, or the mixture."""
        return cls(chart, np.zeros(chart.size), _with_wider(np.eye(chart.size), stretch), stretch)

    @property
    def n_uniforms(self) -> int:
        """How many uniform numbers a point takes: one a coordinate, one for the t, one to choose between two."""
        return self.centre.size + len(self.factors)

    def fitted(self, density: LogDensity, seed: np.random.SeedSequence) -> tuple[Self, int]:
        """Refine until enough of the pilot points count; return their number as well."""
        proposal, spent, share = self, 0, 0.0
        for size in _PILOT_SIZES:
            if share < _PILOT_SHARE:
                proposal, share = proposal.refined(density, size, child_seed(seed, spent))
                spent += size
        return proposal, spent

    def refined(self, density: LogDensity, size: int, seed: np.random.SeedSequence) -> tuple[Self, float]:
        """Move to the posterior's mean and covariance; return the effective share of the pilot points as well."""
        uniforms = _sobol(self.n_uniforms, seed)
        uniform = np.concatenate([next(uniforms) for _ in range(size // _BLOCK)])
        _, log_weights, inner = self.weighted(density, uniform)
        weights = np.exp(np.minimum(log_weights - np.sort(log_weights)[-_PILOT_CUT], 0.0))
        raw = np.exp(log_weights - log_weights.max())
        share = raw.sum() ** 2 / np.square(raw).sum() / size
        own = linalg.cholesky(np.cov(inner, rowvar=False, aweights=weights), lower=True)
        centre = np.average(inner, axis=0, weights=weights)
        return replace(self, centre=centre, factors=_with_wider(own, self.stretch)), float(share)

    def weighted(self, density: LogDensity, uniform: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
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
        log_weights = density(points)
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


def _with_wider(factor: FloatArray, stretch: FloatArray | None) -> tuple[FloatArray, ...]:
    if stretch is None:
        return (factor,)
    stretched = factor * stretch[:, None]
    return factor, np.asarray(linalg.cholesky(stretched @ stretched.T, lower=True))


def has_empty_cell(density: HierarchicalDensity) -> bool:
    """Whether a group has an arm without any event: the likelihood of that group's effect is flat on one side."""
    events, treated, inhabited = density.events_by_group()  # the effects of a group without patients are normal
    return bool((np.minimum(treated, events - treated)[inhabited] == 0).any())


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


def pareto_k(log_weights: FloatArray) -> float:
    """Shape of the upper tail of importance weights, from their logarithms of shape (chains, proposals)."""
    # Of the weights themselves: in ArviZ 1.3 the option log_weights=True fits the tail of the logarithms.
    weights = np.exp(log_weights - log_weights.max())
    return float(_STATISTICS.pareto_khat(weights, r_eff=1.0, tail="right"))


def child_seed(seed: np.random.SeedSequence, number: int) -> np.random.SeedSequence:
    """One child of a seed. Unlike `SeedSequence.spawn` it does not count: the same call gives the same child."""
    return np.random.SeedSequence(entropy=seed.entropy, spawn_key=(*seed.spawn_key, number), pool_size=seed.pool_size)
