"""Coordinates in which the posterior of a hierarchical logistic model is nearly standard normal.

The scales of a hierarchy (the precisions τ of the group effects and, with `Priors.interaction_scale`, the SD ω of the
interactions) make its posterior a funnel: the smaller the scale, the narrower what it governs. But given the scales h
all is nearly normal: with the log-likelihood expanded to second order, -½ θ'Hθ + b'θ, around the mode of the
coefficients θ,

    θ | h  ~ Normal(Λ(h)⁻¹ (b + P(h) μ),  Λ(h)⁻¹),     Λ(h) = H + P(h),

P(h) and μ being precision and mean of the prior given h. With Λ = LL', the first coordinates are η = L'(θ - mean): near
to standard normal, and ignorant of h. The last are the normal scores of each log scale, whose law comes from the same
approximation with θ integrated out (as INLA does: Rue, Martino & Chopin 2009). Nothing is lost where the approximation
is rough: a chart is a change of variables, with an exact Jacobian.

The main effects of the covariates, whose prior knows no scale, are eliminated first: what remains to be factored for
each single point is a matrix of group effects and interactions.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import linalg, special

from hte_utils.model.checks import FloatArray
from hte_utils.model.density import Coordinates, HierarchicalDensity
from hte_utils.model.listing_2 import NormalPrior, Priors

_ROUNDS = 2
_POINT_BLOCK = 256  # matrices that are factored together: they stay in a core's cache
_GRID_SIZE = 160
# Beyond the scores of this probability (5.2 SDs) a normal score goes on as a straight line.
_TAIL = 1e-7
# The log density is strictly concave, so Newton steps with halving always arrive; some seven do.
_MOST_STEPS, _SMALL_GAIN = 100, 1e-8


class HierarchicalChart:
    """A change of variables from nearly standard normal coordinates to points of a density.

    It is laid out around the mode of the coefficients at the posterior medians of the scales. `governed` and `free` are
    the positions of the coefficients that scales govern (sums and interactions), and of the main effects.
    """

    def __init__(self, density: HierarchicalDensity) -> None:
        self.prior = ScalePrior(density.priors, density.at)
        self.size, self.governed, self.free = density.at.size, self.prior.governed, self.prior.free
        log_scales, mode = self.prior.start, self.prior.mean_of_all
        for _ in range(_ROUNDS):
            precision = self.prior.precision_of_all(log_scales)
            mode, information, linear = expand_at_mode(density, precision, self.prior.mean_of_all, mode)
            self._integrate_main_effects_out(information, linear)
            self._scores = [self._score(place, grid, log_scales) for place, grid in enumerate(self.prior.grids())]
            log_scales = np.array([score(np.zeros(1))[0][0] for score in self._scores])  # medians

    def points(self, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map coordinates (points, coordinates) to points; return log |Jacobian| (points,) but for a constant too."""
        found, log_jacobian = np.empty_like(inner), np.zeros(len(inner))
        for first in range(0, len(inner), _POINT_BLOCK):
            some = slice(first, first + _POINT_BLOCK)
            self._fill(found[some], log_jacobian[some], inner[some])
        return found, log_jacobian

    def _fill(self, found: FloatArray, log_jacobian: FloatArray, inner: FloatArray) -> None:
        n_free, n_coefficients = self.free.size, self.free.size + self.governed.size
        for place, score in enumerate(self._scores, start=n_coefficients):
            found[:, place], log_slope = score(inner[:, place])
            log_jacobian += log_slope
        factor, half_mean = self._conditional(found[:, n_coefficients:])
        governed = _solve_upper(factor, half_mean + inner[:, n_free:n_coefficients].T).T
        found[:, self.governed] = governed
        found[:, self.free] = self._free_mean + governed @ self._slopes.T + inner[:, :n_free] @ self._free_factor.T
        log_jacobian -= _log_determinant(factor)

    def _integrate_main_effects_out(self, information: FloatArray, linear: FloatArray) -> None:
        """Likelihood of the governed coefficients; the free ones are mean + slopes @ governed + factor @ normal."""
        governed, free = self.governed, self.free
        own = information[np.ix_(free, free)] + np.eye(free.size) / self.prior.priors.fixed_sd**2
        cross = information[np.ix_(free, governed)]
        factor = linalg.cholesky(own, lower=True)
        self._slopes = -linalg.cho_solve((factor, True), cross)
        self._information = information[np.ix_(governed, governed)] + cross.T @ self._slopes
        self._linear = linear[governed] + self._slopes.T @ linear[free]
        self._free_factor = linalg.solve_triangular(factor, np.eye(free.size), lower=True).T
        self._free_mean = linalg.cho_solve((factor, True), linear[free])

    def _score(self, place: int, grid: FloatArray, log_scales: FloatArray) -> NormalScore:
        """The law of one log scale, the others being held at `log_scales` and the coefficients integrated out."""
        held = np.tile(log_scales, (grid.size, 1))
        held[:, place] = grid
        factor, half_mean = self._conditional(held)
        log_density = self.prior.log_density_at_zero(held) - _log_determinant(factor)
        return NormalScore(grid, log_density + 0.5 * np.square(half_mean).sum(axis=0))

    def _conditional(self, log_scales: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Factor L of the governed coefficients' precision, and L⁻¹ (linear term), for each point (last axis)."""
        precision = self.prior.precision(log_scales)
        pull = np.einsum("ijn,j->in", precision, self.prior.mean) + self._linear[:, None]
        factor = _cholesky(precision + self._information[:, :, None])
        return factor, _solve_lower(factor, pull)


class NormalScore:
    """A monotone map, linear between knots, from a standard normal coordinate to the value of a law.

    It matches the quantiles of a density that is known on an increasing grid of values, up to a constant.
    """

    def __init__(self, values: FloatArray, log_density: FloatArray) -> None:
        weights = np.exp(log_density - log_density.max())
        pieces = 0.5 * (weights[1:] + weights[:-1]) * np.diff(values)
        below = np.append(0.0, np.cumsum(pieces)) / pieces.sum()
        above = np.append(np.cumsum(pieces[::-1])[::-1], 0.0) / pieces.sum()
        # Each tail from its own side: 1 - 1e-17 would be 1.
        scores = np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))
        kept = np.minimum(below, above) > _TAIL
        self._scores, self._values = scores[kept], values[kept]
        self._slopes = np.diff(self._values) / np.diff(self._scores)

    def __call__(self, score: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the value and the logarithm of its derivative, both of the scores' shape."""
        piece = np.clip(np.searchsorted(self._scores, score) - 1, 0, self._slopes.size - 1)
        slope = self._slopes[piece]
        return self._values[piece] + slope * (score - self._scores[piece]), np.log(slope)


class ScalePrior:
    """Normal prior of the coefficients given the log scales (points, scales): the two log τ, and log ω if there is one.

    What belongs to the scales has the points in the last axis.
    """

    def __init__(self, priors: Priors, at: Coordinates) -> None:
        self.priors, self.at = priors, at
        self.free = np.arange(at.prognostic.start, at.prognostic.stop)
        self.governed = np.delete(np.arange(at.linear.stop), self.free)
        self.mean_of_all = np.zeros(at.linear.stop)
        self.mean_of_all[at.alpha] = priors.intercept_mean
        self.mean = self.mean_of_all[self.governed]
        # Somewhere to begin: precisions at their prior mean, ω at its prior's scale.
        log_tau, omega = np.log(priors.precision_shape / priors.precision_rate), priors.interaction_scale
        self.start = np.array([log_tau, log_tau] if omega is None else [log_tau, log_tau, np.log(omega)])

    def precision_of_all(self, log_scales: FloatArray) -> FloatArray:
        """Prior precision of every coefficient at one value of the scales, shape (coefficients, coefficients)."""
        whole = np.eye(self.at.linear.stop) / self.priors.fixed_sd**2
        whole[np.ix_(self.governed, self.governed)] = self.precision(log_scales[None, :])[:, :, 0]
        return whole

    def precision(self, log_scales: FloatArray) -> FloatArray:
        """Prior precision of the governed coefficients, shape (governed, governed, points)."""
        groups, size = self.at.n_groups, self.governed.size
        found = np.zeros((size, size, len(log_scales)))
        for place, (prior, tau) in enumerate(self._groups(log_scales)):
            # The inverse of sd² 11' + I/τ, see `hte_utils.model.listing_2`.
            block = slice(place * groups, (place + 1) * groups)
            found[block, block] = -(prior.sd**2) * tau**2 / (1.0 + groups * prior.sd**2 * tau)
            found[np.arange(block.start, block.stop), np.arange(block.start, block.stop)] += tau
        rest = np.arange(2 * groups, size)
        omega_known = self.priors.interaction_scale is None
        found[rest, rest] = self.priors.fixed_sd**-2 if omega_known else np.exp(-2.0 * log_scales[:, 2])
        return found

    def log_density_at_zero(self, log_scales: FloatArray) -> FloatArray:
        """Log density of the log scales plus that of coefficients 0 given them, shape (points,); no constants."""
        groups, mean = self.at.n_groups, self.mean
        total: FloatArray = -0.5 * np.einsum("i,ijn,j->n", mean, self.precision(log_scales), mean)
        for prior, tau in self._groups(log_scales):
            total += self.priors.precision_shape * np.log(tau) - self.priors.precision_rate * tau
            total += 0.5 * (groups * np.log(tau) - np.log(1.0 + groups * prior.sd**2 * tau))
        if self.priors.interaction_scale is not None:
            log_omega = log_scales[:, 2]
            total -= self.at.n_modifiers * log_omega
            total += log_omega - 0.5 * np.exp(2.0 * log_omega) / self.priors.interaction_scale**2
        return total

    def grids(self) -> Iterator[FloatArray]:
        """For each log scale, a grid that holds all but a negligible part of its law."""
        shape, rate = self.priors.precision_shape, self.priors.precision_rate
        # Groups can add G/2 to the gamma's shape; both ends leave out less than 1e-7 of it.
        low, high = (1e-8 ** (1.0 / shape)) / rate, (3.0 * (shape + self.at.n_groups / 2.0) + 40.0) / rate
        for _ in range(2):
            yield np.log(np.geomspace(low, high, _GRID_SIZE))
        if self.priors.interaction_scale is not None:
            yield np.log(np.geomspace(1e-6, 6.0, 2 * _GRID_SIZE) * self.priors.interaction_scale)

    def _groups(self, log_scales: FloatArray) -> Iterator[tuple[NormalPrior, FloatArray]]:
        yield self.priors.shared_intercept, np.exp(log_scales[:, 0])
        yield self.priors.shared_effect, np.exp(log_scales[:, 1])


def expand_at_mode(
    density: HierarchicalDensity, precision: FloatArray, mean: FloatArray, start: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Find the mode under a normal prior by Newton's method: mode, H and b of the likelihood -½ θ'Hθ + b'θ there.

    Raises RuntimeError if it is not found: a covariate must be on a scale that leaves nothing of the arithmetic.
    """

    def log_density(at: FloatArray) -> float:
        return density.log_likelihood_at(at) - float(0.5 * (at - mean) @ precision @ (at - mean))

    mode, value = start, log_density(start)
    for _ in range(_MOST_STEPS):
        pull, information = density.slopes_at(mode)
        gradient = pull - precision @ (mode - mean)
        step = linalg.solve(information + precision, gradient, assume_a="pos")
        gain = float(gradient @ step)
        if gain < _SMALL_GAIN:
            return mode, information, information @ mode + pull
        # Armijo's rule, with room for rounding.
        length, reached = 1.0, log_density(mode + step)
        while reached < value + 1e-4 * length * gain - 1e-9 * abs(value) and length > 1e-10:
            length *= 0.5
            reached = log_density(mode + length * step)
        mode, value = mode + length * step, reached
    raise RuntimeError(
        f"no mode found in {_MOST_STEPS} Newton steps: is a covariate on an extreme scale? Standardise it in the "
        "TrialSpec"
    )


# Many small matrices side by side in the last axis: one vectorised operation a step. NumPy's stacked `cholesky` and
# `solve` take about twice as long for matrices of seven rows.
def _cholesky(matrices: FloatArray) -> FloatArray:
    lower = np.zeros_like(matrices)
    for j in range(len(matrices)):
        column = matrices[j:, j] - np.einsum("ikn,kn->in", lower[j:, :j], lower[j, :j])
        lower[j, j] = np.sqrt(column[0])
        lower[j + 1 :, j] = column[1:] / lower[j, j]
    return lower


def _solve_lower(lower: FloatArray, right: FloatArray) -> FloatArray:
    solution = np.empty_like(right)
    for j in range(len(lower)):
        solution[j] = (right[j] - np.einsum("kn,kn->n", lower[j, :j], solution[:j])) / lower[j, j]
    return solution


def _solve_upper(lower: FloatArray, right: FloatArray) -> FloatArray:
    solution = np.empty_like(right)
    for j in range(len(lower) - 1, -1, -1):
        solution[j] = (right[j] - np.einsum("kn,kn->n", lower[j + 1 :, j], solution[j + 1 :])) / lower[j, j]
    return solution


def _log_determinant(lower: FloatArray) -> FloatArray:
    log_det: FloatArray = np.log(np.einsum("iin->in", lower)).sum(axis=0)
    return log_det
