"""The posterior of the described model with the individual deviations integrated out, as plain NumPy.

A patient has one outcome, so the deviation epsilon_i ~ Normal(0, sigma_eta²) can be integrated out patient by patient:

    P(y_i) = E[expit(s_i (m_i + sigma_eta e))],   e ~ Normal(0, 1),   s_i = 2 y_i - 1,

by the midpoint rule, which for a smooth integrand on the whole line converges exponentially (Trefethen & Weideman
2014) and for sigma_eta above 1 beats Gauss-Hermite quadrature with as many nodes. What is left has a dozen
coordinates instead of two thousand: the shared part and the subgroups' parts of the sums (`described_model.Layout`),
the fixed effects, and the two SDs. Every coordinate is on the scale on which its prior is Normal(0, 1); for a
half-normal SD that is

    sigma = scale * Q(Phi(u)),   Q = quantile function of the standard half-normal,   u ~ Normal(0, 1),

so that where the data say nothing, the posterior is standard normal too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import linalg, special

if TYPE_CHECKING:
    from hte_utils.described.model import DescribedPriors, Layout
    from hte_utils.trial_checks import FloatArray

_NODE_PAIRS: Final = 14
_SPACING: Final = 0.5
"""14 pairs of nodes ±0.25, ±0.75, ... ±6.75: a relative error below 1e-7 up to sigma = 2, 2e-5 at 3, 4e-4 at 4."""
_NEWTON_STEPS: Final = 50
_CONVERGED: Final = 1e-6
_POINT_BLOCK: Final = 64  # with a thousand patients, arrays that stay in a core's cache


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """The log-likelihood near its maximum at one sigma_eta: ``linear @ b - 0.5 * b @ information @ b`` + constant.

    Attributes
    ----------
    linear
        Shape (coefficients,).
    information
        Minus the second derivatives, shape (coefficients, coefficients).
    """

    linear: FloatArray
    information: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Parameters:
    """The described model's parameters at given points.

    Attributes
    ----------
    sums
        Shape (points, subgroups): beta_1 + tau_k (charitable reading) or beta_0 + 2 tau_k (literal).
    fixed
        Shape (points, fixed): the other betas, in the order of `Layout.fixed_labels`.
    sigma_tau, sigma_eta
        Shape (points,).
    """

    sums: FloatArray
    fixed: FloatArray
    sigma_tau: FloatArray
    sigma_eta: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class DescribedDensity:
    """Unnormalised log posterior; call it with points of shape (points, `size`).

    Attributes
    ----------
    plain, mixed
        Rows of the layout times 1 - 2y, of the patients without and with a deviation.
    layout
        The reading, laid out.
    priors
        Prior scales.
    """

    plain: FloatArray
    mixed: FloatArray
    layout: Layout
    priors: DescribedPriors

    @classmethod
    def of(cls, layout: Layout, outcome: FloatArray, priors: DescribedPriors) -> DescribedDensity:
        """Lay out a trial with its outcomes (0/1, shape (patients,)) for fast evaluation."""
        signed = layout.rows * (1.0 - 2.0 * outcome)[:, None]
        return cls(signed[~layout.deviates], signed[layout.deviates], layout, priors)

    @property
    def size(self) -> int:
        """Number of coordinates: the shared part, subgroups, fixed effects, and the two SDs."""
        return int(self.layout.rows.shape[1]) + 3

    def parameters(self, points: FloatArray) -> Parameters:
        """Translate coordinates, shape (points, `size`), to the model's parameters."""
        shared, z = points[:, :1], points[:, 1 : 1 + self.layout.n_subgroups]
        sigma_tau = self.priors.subgroup_scale * half_normal_quantile(points[:, -2])
        return Parameters(
            sums=self.layout.shared_sd * shared + self.layout.tau_weight * sigma_tau[:, None] * z,
            fixed=self.priors.fixed_sd * points[:, 1 + self.layout.n_subgroups : -2],
            sigma_tau=sigma_tau,
            sigma_eta=self.priors.individual_scale * half_normal_quantile(points[:, -1]),
        )

    def __call__(self, points: FloatArray) -> FloatArray:
        """Evaluate the log density, shape (points,)."""
        found = self.parameters(points)
        likelihood = self.log_likelihood(np.hstack([found.sums, found.fixed]), found.sigma_eta)
        return likelihood - 0.5 * np.square(points).sum(axis=1)

    def log_likelihood(self, coefficients: FloatArray, sigma_eta: FloatArray) -> FloatArray:
        """Log-likelihood with the deviations integrated out.

        Parameters
        ----------
        coefficients
            Shape (points, subgroups + fixed): sums and fixed effects.
        sigma_eta
            Shape (points,).
        """
        total = np.empty(len(coefficients))
        for first in range(0, len(coefficients), _POINT_BLOCK):
            some = slice(first, first + _POINT_BLOCK)
            columns = np.ascontiguousarray(coefficients[some].T)
            total[some] = -np.log1p(np.exp(self.plain @ columns)).sum(axis=0)
            total[some] += np.log(mean_expit(self.mixed @ columns, sigma_eta[some])).sum(axis=0)
        return total

    def maximum(self, sigma_eta: float, pull: FloatArray | None = None) -> FloatArray:
        """Maximise the log-likelihood given sigma_eta, by Newton's method.

        Parameters
        ----------
        sigma_eta
            SD of the individual deviations; may be 0.
        pull
            Precision matrix of a normal prior around 0, for the mode of a posterior. If None, one so wide (SD 1000)
            that it only helps where there is no maximum.

        Returns
        -------
        numpy.ndarray
            Sums and fixed effects, shape (subgroups + fixed,).
        """
        b = np.zeros(self.layout.rows.shape[1])
        pull = 1e-6 * np.eye(b.size) if pull is None else pull
        for _ in range(_NEWTON_STEPS):
            gradient, information = self._derivatives(b, sigma_eta)
            step = linalg.solve(information + pull, gradient - pull @ b, assume_a="pos")
            b += step / max(1.0, np.abs(step).max())
            if np.abs(step).max() < _CONVERGED:
                break
        return b

    def expansion(self, score: float) -> Expansion:
        """Expand the log-likelihood at the posterior mode given a normal score of sigma_eta, and median sigma_tau."""
        scores = np.array([[0.0, score]])
        to_coefficients = self.jacobian(scores)[0]
        pull = linalg.inv(to_coefficients @ to_coefficients.T)  # the coordinates are Normal(0, 1) a priori
        sigma_eta = float(self.priors.individual_scale * half_normal_quantile(scores[:, 1])[0])
        b = self.maximum(sigma_eta, pull)
        gradient, information = self._derivatives(b, sigma_eta)
        return Expansion(gradient + information @ b, information)

    def jacobian(self, scores: FloatArray) -> FloatArray:
        """Sums and fixed effects as linear functions of the other coordinates, given the scores of the two SDs.

        Parameters
        ----------
        scores
            Shape (points, 2).

        Returns
        -------
        numpy.ndarray
            Shape (points, subgroups + fixed, `size` - 2).
        """
        columns = self.size - 2
        points = np.hstack([np.tile(np.eye(columns), (len(scores), 1)), np.repeat(scores, columns, axis=0)])
        found = self.parameters(points)
        coefficients = np.hstack([found.sums, found.fixed])
        return np.swapaxes(coefficients.reshape(len(scores), columns, -1), 1, 2)

    def _derivatives(self, b: FloatArray, sigma_eta: float) -> tuple[FloatArray, FloatArray]:
        gradient, information = np.zeros(b.size), np.zeros((b.size, b.size))
        for rows, sigma in ((self.plain, 0.0), (self.mixed, sigma_eta)):
            first, second = log_mean_expit_derivatives(-(rows @ b), sigma)
            gradient -= first @ rows
            information -= (rows * second[:, None]).T @ rows
        return gradient, information


def mean_expit(negated: FloatArray, sigma: FloatArray) -> FloatArray:
    """Mean of expit(m + sigma e) over e ~ Normal(0, 1).

    Parameters
    ----------
    negated
        Minus m, shape (patients, points); below some 300 in absolute value.
    sigma
        Shape (points,).

    Notes
    -----
    With a = exp(-m) and c = 2 cosh(sigma x), the nodes ±x together contribute (2 + a c) / (1 + a c + a²): one
    exponential for each patient, one for each node, and none for their combinations.
    """
    odds_against = np.exp(negated)
    one_and_square = 1.0 + np.square(odds_against)
    total, both, below = np.zeros_like(odds_against), np.empty_like(odds_against), np.empty_like(odds_against)
    for node, weight in zip(*positive_nodes(), strict=True):
        np.multiply(odds_against, 2.0 * np.cosh(sigma * node), out=both)
        np.add(one_and_square, both, out=below)
        both += 2.0
        both /= below
        both *= weight
        total += both
    return total


def log_mean_expit_derivatives(m: FloatArray, sigma: float) -> tuple[FloatArray, FloatArray]:
    """First and second derivative of ``log(mean_expit)`` by m, each of the shape (patients,) of `m`."""
    nodes, weights = positive_nodes()
    every = np.concatenate([-nodes, nodes])
    probability = special.expit(m[:, None] + sigma * every)
    slope = probability * (1.0 - probability)
    both = np.concatenate([weights, weights])
    mean, first, second = (each @ both for each in (probability, slope, slope * (1.0 - 2.0 * probability)))
    ratio = first / mean
    return ratio, second / mean - np.square(ratio)


@cache
def positive_nodes() -> tuple[FloatArray, FloatArray]:
    """Nodes above 0 of the midpoint rule, and their weights: those of all nodes, ±, add up to 1."""
    nodes = _SPACING * (np.arange(_NODE_PAIRS, dtype=np.float64) + 0.5)
    weights: FloatArray = np.exp(-0.5 * np.square(nodes))
    return nodes, weights / (2.0 * weights.sum())


def half_normal_quantile(u: FloatArray) -> FloatArray:
    """Standard half-normal quantile of Phi(u): normal scores to SDs, accurate in both tails."""
    upper = -special.ndtri(0.5 * special.ndtr(-np.maximum(u, 0.0)))
    lower = np.sqrt(2.0) * special.erfinv(special.ndtr(np.minimum(u, 0.0)))
    return np.asarray(np.where(u > 0.0, upper, lower))
