"""Coordinates in which the posterior of a hierarchical logistic model is nearly standard normal.

The scales of a hierarchy (here the precisions τ of the group effects and, with `Priors.interaction_scale`, the SD ω of
the interactions) make its posterior a funnel: the smaller the scale, the narrower what it governs. A normal or t
approximation in the plain coordinates is poor there. But given the scales h all is nearly normal: with the
log-likelihood expanded to second order, -½ θ'Hθ + b'θ, around the mode of the coefficients θ,

    θ | h  ~ Normal(Λ(h)⁻¹ (b + P(h) μ),  Λ(h)⁻¹),     Λ(h) = H + P(h),

P(h) and μ being precision and mean of the prior given h. With Λ = LL', the first coordinates are η = L'(θ - mean): near
to standard normal, and ignorant of h. The last are the normal scores of each log scale, whose law comes from the same
approximation with θ integrated out (this much is what INLA does: Rue, Martino & Chopin 2009); log scales are skewed,
their scores are not. Nothing is lost where the approximation is rough: a chart is a change of variables, with an exact
Jacobian.

The main effects of the covariates, whose prior knows no scale, are eliminated first: what remains to be factored for
each single point is a matrix of group effects and interactions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import linalg

from hte_utils.batched_cholesky import cholesky, log_determinant, solve_lower, solve_upper
from hte_utils.coefficient_mode import Expansion, expand_at_mode
from hte_utils.normal_score import NormalScore
from hte_utils.scale_prior import ScalePrior

if TYPE_CHECKING:
    from hte_utils.sums_density import SumsDensity
    from hte_utils.trial_checks import FloatArray, IntArray

_ROUNDS = 2
_POINT_BLOCK = 256  # matrices that are factored together: they stay in a core's cache


@dataclass(frozen=True, slots=True, eq=False)
class HierarchicalChart:
    """A change of variables from nearly standard normal coordinates to points of a `SumsDensity`.

    Attributes
    ----------
    prior
        The prior of what the scales govern.
    governed, free
        Positions of the coefficients that scales govern (sums and interactions or sums alone), and of the others.
    information, linear
        The likelihood for the governed coefficients, the others integrated out: shapes (governed, governed) and
        (governed,).
    free_factor, free_mean, free_slopes
        The others given the governed ones: ``mean + slopes @ governed + factor @ standard normal``.
    scores
        One for each log scale.
    """

    prior: ScalePrior
    governed: IntArray
    free: IntArray
    information: FloatArray
    linear: FloatArray
    free_factor: FloatArray
    free_mean: FloatArray
    free_slopes: FloatArray
    scores: tuple[NormalScore, ...]

    @classmethod
    def of(cls, density: SumsDensity) -> Self:
        """Lay the chart out around the mode of the coefficients at the posterior medians of the scales."""
        prior = ScalePrior(density.priors, density.at)
        log_scales, start = prior.log_scales, prior.mean_of_all
        for _ in range(_ROUNDS):
            expansion = expand_at_mode(density.signed, prior.precision_of_all(log_scales), prior.mean_of_all, start)
            chart = cls._around(prior, expansion, log_scales)
            log_scales = np.array([score.median for score in chart.scores])
            start = expansion.mode
        return chart

    @classmethod
    def _around(cls, prior: ScalePrior, expansion: Expansion, log_scales: FloatArray) -> Self:
        governed, free = prior.governed, prior.free
        own = expansion.information[np.ix_(free, free)] + np.eye(free.size) / prior.priors.fixed_sd**2
        cross = expansion.information[np.ix_(free, governed)]
        factor = linalg.cholesky(own, lower=True)
        slopes = -linalg.cho_solve((factor, True), cross)
        chart = cls(
            prior=prior,
            governed=governed,
            free=free,
            information=expansion.information[np.ix_(governed, governed)] + cross.T @ slopes,
            linear=expansion.linear[governed] + slopes.T @ expansion.linear[free],
            free_factor=linalg.solve_triangular(factor, np.eye(free.size), lower=True).T,
            free_mean=linalg.cho_solve((factor, True), expansion.linear[free]),
            free_slopes=slopes,
            scores=(),
        )
        return chart._with_scores(log_scales)

    def _with_scores(self, log_scales: FloatArray) -> Self:
        """Find the law of each log scale, the others being held at `log_scales`."""
        scores = []
        for place, grid in enumerate(self.prior.grids()):
            held = np.tile(log_scales, (grid.size, 1))
            held[:, place] = grid
            scores.append(NormalScore.of(grid, self._log_marginal(held)))
        kept = {name: getattr(self, name) for name in self.__slots__ if name != "scores"}
        return type(self)(**kept, scores=tuple(scores))

    def _log_marginal(self, log_scales: FloatArray) -> FloatArray:
        """Log density of the log scales, shape (points,), with the coefficients integrated out."""
        factor, half_mean = self._conditional(log_scales)
        log_density: FloatArray = self.prior.log_density_at_zero(log_scales) - log_determinant(factor)
        return log_density + 0.5 * np.square(half_mean).sum(axis=0)

    def _conditional(self, log_scales: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Factor L of the governed coefficients' precision, and L⁻¹ (linear term), for each point (last axis)."""
        precision = self.prior.precision(log_scales)
        pull = np.einsum("ijn,j->in", precision, self.prior.mean) + self.linear[:, None]
        precision += self.information[:, :, None]
        factor = cholesky(precision)
        return factor, solve_lower(factor, pull)

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return self.free.size + self.governed.size + len(self.scores)

    def points(self, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map coordinates, shape (points, coordinates), to points; return log |Jacobian| as well, shape (points,).

        A constant factor of the Jacobian is left out.
        """
        found, log_jacobian = np.empty_like(inner), np.empty(len(inner))
        for first in range(0, len(inner), _POINT_BLOCK):
            some = slice(first, first + _POINT_BLOCK)
            log_jacobian[some] = self._fill(found[some], inner[some])
        return found, log_jacobian

    def _fill(self, found: FloatArray, inner: FloatArray) -> FloatArray:
        n_free, n_coefficients = self.free.size, self.free.size + self.governed.size
        log_jacobian = np.zeros(len(inner))
        for place, score in enumerate(self.scores, start=n_coefficients):
            found[:, place], log_slope = score(inner[:, place])
            log_jacobian += log_slope
        factor, half_mean = self._conditional(found[:, n_coefficients:])
        governed = solve_upper(factor, half_mean + inner[:, n_free:n_coefficients].T).T
        found[:, self.governed] = governed
        found[:, self.free] = self.free_mean + governed @ self.free_slopes.T + inner[:, :n_free] @ self.free_factor.T
        return log_jacobian - log_determinant(factor)
