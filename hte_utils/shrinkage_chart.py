"""Coordinates in which a posterior with a sampled shrinkage scale is nearly normal.

With interactions ~ Normal(0, ω²) and ω unknown, the posterior is a funnel: the smaller ω, the narrower the
interactions. A normal or t approximation in (interactions, log ω) fails there, and so it does in (interactions / ω,
log ω) as soon as the data say much. But given ω all is nearly normal, with a mean and covariance that are known for
every ω once they are known for one. Near the mode m of the other coordinates θ at a reference ω₀, with C the negative
Hessian there and D the indicator matrix of the interactions,

    log p(θ, ω) ≈ -½ (θ - m)' C (θ - m) - ½ (1/ω² - 1/ω₀²) θ' D θ + a function of ω alone.

With V'CV = I and V'DV = diag(d) (one generalised eigenproblem), θ given ω is normal with covariance V S² V' and mean
V S² V⁻¹ m, where S² = 1 / (1 - d/ω₀² + d/ω²). So in η = S⁻¹ V⁻¹ θ - S V⁻¹ m the posterior is near to a standard normal
that does not know of ω. The law of ω itself is then a function of one variable, known on a grid; it is skewed (log ω
has an exponential tail to the left), so the last coordinate is its normal score. Nothing is lost where the
approximation is rough: the chart is a change of variables, and its Jacobian is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy import linalg, optimize, special

if TYPE_CHECKING:
    from hte_utils.sums_density import SumsDensity
    from hte_utils.trial_checks import FloatArray

_GRID = np.log(np.geomspace(1e-6, 6.0, 600))  # of log ω, with ω in units of its prior scale
# Beyond the scores of this probability (5.2 SDs) the map from score to log ω goes on as a straight line.
_TAIL = 1e-7
_ROUNDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class NormalScore:
    """A monotone map from a standard normal coordinate to log ω, linear between knots; arrays of shape (knots,)."""

    scores: FloatArray
    log_omega: FloatArray

    @classmethod
    def of(cls, log_omega: FloatArray, log_density: FloatArray) -> Self:
        """Match the quantiles of a density that is known on a grid, up to a constant."""
        weights = np.exp(log_density - log_density.max())
        pieces = 0.5 * (weights[1:] + weights[:-1]) * np.diff(log_omega)
        below = np.append(0.0, np.cumsum(pieces)) / pieces.sum()
        above = np.append(np.cumsum(pieces[::-1])[::-1], 0.0) / pieces.sum()
        # Each tail from its own side: 1 - 1e-17 would be 1.
        scores = np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))
        kept = np.minimum(below, above) > _TAIL
        return cls(scores[kept], log_omega[kept])

    def __call__(self, score: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log ω and the logarithm of its derivative, both of the scores' shape."""
        slopes = np.diff(self.log_omega) / np.diff(self.scores)
        piece = np.clip(np.searchsorted(self.scores, score) - 1, 0, slopes.size - 1)
        return self.log_omega[piece] + slopes[piece] * (score - self.scores[piece]), np.log(slopes[piece])

    @property
    def median(self) -> float:
        """Median of log ω."""
        return float(self(np.zeros(1))[0][0])


@dataclass(frozen=True, slots=True, eq=False)
class ShrinkageChart:
    """A change of variables from (η, normal score of log ω) to a point of the density.

    Attributes
    ----------
    place
        Where log ω stands in a point.
    directions
        V, shape (others, others): the other coordinates in the order of a point.
    shrunk
        d, shape (others,), between 0 and ω₀²: how much the scale matters to each direction.
    mode
        V⁻¹ m, shape (others,).
    reference
        log ω₀.
    score
        The map from the last coordinate to log ω.
    """

    place: int
    directions: FloatArray
    shrunk: FloatArray
    mode: FloatArray
    reference: float
    score: NormalScore

    @classmethod
    def around(cls, density: SumsDensity, log_omega: float, start: FloatArray) -> Self:
        """Lay the chart out around a reference scale; `start` is a point to search the mode from."""
        place = density.at.log_scale
        others = np.delete(np.arange(density.at.size), place)
        fixed = np.where(np.arange(density.at.size) == place, log_omega, start)

        def whole(values: FloatArray) -> FloatArray:
            point = fixed.copy()
            point[others] = values
            return point

        def curvature(values: FloatArray) -> FloatArray:
            return -density.gradient_and_hessian(whole(values))[1][np.ix_(others, others)]

        mode = optimize.minimize(
            lambda values: -float(density(whole(values)[None, :])[0]),
            start[others],
            jac=lambda values: -density.gradient_and_hessian(whole(values))[0][others],
            hess=curvature,
            method="trust-exact",
            options={"gtol": 1e-4},
        ).x
        interactions = np.isin(others, np.arange(density.at.interaction.start, density.at.interaction.stop))
        shrunk, directions = linalg.eigh(np.diag(interactions.astype(np.float64)), curvature(mode))
        # Without its prior the curvature stays positive semidefinite, so d <= ω₀²; rounding must not undo that.
        shrunk = np.clip(shrunk, 0.0, np.exp(2.0 * log_omega))
        mode = linalg.solve(directions, mode)
        score = _score_of_log_scale(density, shrunk, mode, log_omega)
        return cls(place, directions, shrunk, mode, log_omega, score)

    @classmethod
    def of(cls, density: SumsDensity) -> Self:
        """Lay the chart out around the posterior median of log ω."""
        start = density.start()
        chart = cls.around(density, float(start[density.at.log_scale]), start)
        for _ in range(_ROUNDS - 1):
            [start], _ = chart.points(np.zeros((1, density.at.size)))
            chart = cls.around(density, chart.score.median, start)
        return chart

    def points(self, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Map coordinates, shape (points, coordinates), to points; return log |Jacobian| as well, shape (points,).

        A constant factor of the Jacobian is left out.
        """
        log_omega, log_slope = self.score(inner[:, -1])
        spread = _variances(self.shrunk, self.reference, log_omega)
        others = (spread * self.mode + np.sqrt(spread) * inner[:, :-1]) @ self.directions.T
        return np.insert(others, self.place, log_omega, axis=1), log_slope + 0.5 * np.log(spread).sum(axis=1)


def _variances(shrunk: FloatArray, reference: float, log_omega: FloatArray) -> FloatArray:
    """S², shape (scales, others)."""
    kept = 1.0 - shrunk * np.exp(-2.0 * reference)
    variances: FloatArray = 1.0 / (kept + np.exp(-2.0 * log_omega)[:, None] * shrunk)
    return variances


def _score_of_log_scale(density: SumsDensity, shrunk: FloatArray, mode: FloatArray, reference: float) -> NormalScore:
    """Integrate the normal approximation over the other coordinates; what remains is the law of log ω."""
    scale = density.priors.interaction_scale or 1.0
    grid = _GRID + np.log(scale)
    spread = _variances(shrunk, reference, grid)
    log_density = 0.5 * (np.log(spread) + spread * mode**2).sum(axis=1)
    log_density += (1.0 - density.at.n_modifiers) * grid - 0.5 * np.exp(2.0 * grid) / scale**2
    return NormalScore.of(grid, log_density)
