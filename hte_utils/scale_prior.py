"""The prior of group sums and interactions given their scales, for many values of the scales at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hte_utils.priors import NormalPrior, Priors
from hte_utils.sums_density import Coordinates
from hte_utils.trial_checks import FloatArray, IntArray

_GRID_SIZE = 160


@dataclass(frozen=True, slots=True)
class ScalePrior:
    """Normal prior of the coefficients given the log scales.

    These are log τ of intercepts and of effects, and log ω if there is one. They have shape (points, scales); what
    belongs to them has the points in the last axis.
    """

    priors: Priors
    at: Coordinates

    @property
    def governed(self) -> IntArray:
        """Positions of the sums and the interactions among the coefficients."""
        return np.delete(np.arange(self.at.linear.stop), self.free)

    @property
    def free(self) -> IntArray:
        """Positions of the covariates' main effects."""
        return np.arange(self.at.prognostic.start, self.at.prognostic.stop)

    @property
    def log_scales(self) -> FloatArray:
        """Somewhere to begin: precisions at their prior mean, ω at its prior's scale."""
        log_tau = np.log(self.priors.precision_shape / self.priors.precision_rate)
        omega = self.priors.interaction_scale
        return np.array([log_tau, log_tau] if omega is None else [log_tau, log_tau, np.log(omega)])

    @property
    def mean_of_all(self) -> FloatArray:
        """Prior mean of every coefficient."""
        mean = np.zeros(self.at.linear.stop)
        mean[self.at.alpha] = self.priors.intercept_mean
        return mean

    @property
    def mean(self) -> FloatArray:
        """Prior mean of the governed coefficients."""
        return self.mean_of_all[self.governed]

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
            # The inverse of sd² 11' + I/τ, see `hte_utils.priors`.
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
