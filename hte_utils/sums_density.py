"""The posterior of Listing 2 in its identified coordinates, as plain NumPy: many points at a time.

The coordinates are those of `hte_utils.model.sums_model`; `hte_utils.priors` has the algebra. The tests hold this
density against PyMC's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from hte_utils.trial_checks import FloatArray

if TYPE_CHECKING:
    from hte_utils.priors import Priors
    from hte_utils.spec import TrialDesign

# A block of patients times a block of points is 1 MiB of doubles: it stays in a core's cache.
_PATIENT_BLOCK, _POINT_BLOCK = 2048, 64


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where each quantity stands in a point of the sums form: alpha, delta, fixed effects, two log precisions."""

    n_groups: int
    n_prognostic: int
    n_modifiers: int

    @property
    def alpha(self) -> slice:
        """Group intercepts."""
        return slice(0, self.n_groups)

    @property
    def delta(self) -> slice:
        """Group treatment effects."""
        return slice(self.n_groups, 2 * self.n_groups)

    @property
    def prognostic(self) -> slice:
        """Main effects of the covariates."""
        return slice(2 * self.n_groups, 2 * self.n_groups + self.n_prognostic)

    @property
    def interaction(self) -> slice:
        """Effects of the modifiers on the treatment effect."""
        return slice(self.prognostic.stop, self.prognostic.stop + self.n_modifiers)

    @property
    def fixed(self) -> slice:
        """Main effects and interactions together."""
        return slice(self.prognostic.start, self.interaction.stop)

    @property
    def linear(self) -> slice:
        """All coefficients of the linear predictor."""
        return slice(0, self.interaction.stop)

    @property
    def log_tau(self) -> tuple[int, int]:
        """Logarithms of tau_re and tau_re_trt."""
        return self.size - 2, self.size - 1

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return 2 * self.n_groups + self.n_prognostic + self.n_modifiers + 2


@dataclass(frozen=True, slots=True, eq=False)
class SumsDensity:
    """Unnormalised log posterior of the sums form, with log precisions as coordinates (their Jacobian included).

    Attributes
    ----------
    signed
        Float, shape (patients, coefficients): rows of the design matrix times 1 - 2y, so that the log-likelihood is
        ``-sum(log(1 + exp(signed @ coefficients)))`` for events and non-events alike.
    priors
        Prior scales.
    at
        The coordinates.
    """

    signed: FloatArray
    priors: Priors
    at: Coordinates

    @classmethod
    def of(cls, design: TrialDesign, priors: Priors) -> SumsDensity:
        """Lay out a trial for fast evaluation."""
        indicator = np.eye(len(design.group_labels))[design.group]
        treated = design.treatment[:, None]
        rows = np.hstack([indicator, indicator * treated, design.prognostic, design.modifiers * treated])
        rows *= (1.0 - 2.0 * design.outcome)[:, None]
        shape = Coordinates(indicator.shape[1], design.prognostic.shape[1], design.modifiers.shape[1])
        return cls(rows, priors, shape)

    def __call__(self, points: FloatArray) -> FloatArray:
        """Evaluate the log density, shape (points,), at points of shape (points, coordinates)."""
        total = self._log_likelihood(points[:, self.at.linear])
        total -= 0.5 * np.square(points[:, self.at.fixed]).sum(axis=1) / self.priors.fixed_sd**2
        for sums, log_tau in zip((self.at.alpha, self.at.delta), self.at.log_tau, strict=True):
            total += self._log_prior_of_sums(points[:, sums], points[:, log_tau])
        return total

    def _log_likelihood(self, coefficients: FloatArray) -> FloatArray:
        total = np.zeros(len(coefficients))
        # exp overflows only where an observed outcome has probability below 1e-308: log density -inf is right there.
        with np.errstate(over="ignore"):
            for first in range(0, len(coefficients), _POINT_BLOCK):
                some = slice(first, first + _POINT_BLOCK)
                columns = np.ascontiguousarray(coefficients[some].T)
                for patient in range(0, len(self.signed), _PATIENT_BLOCK):
                    work = self.signed[patient : patient + _PATIENT_BLOCK] @ columns
                    np.exp(work, out=work)
                    np.log1p(work, out=work)
                    total[some] -= work.sum(axis=0)
        return total

    def _log_prior_of_sums(self, sums: FloatArray, log_tau: FloatArray) -> FloatArray:
        """Normal(0, sd² 11' + I/τ) for the sums and Gamma for τ, with the Jacobian of log τ; constants left out."""
        groups, variance = sums.shape[1], self.priors.fixed_sd**2
        tau = np.exp(log_tau)
        q = 1.0 + groups * variance * tau
        quadratic = tau * (np.square(sums).sum(axis=1) - variance * tau / q * np.square(sums.sum(axis=1)))
        gamma: FloatArray = self.priors.precision_shape * log_tau - self.priors.precision_rate * tau
        normal: FloatArray = 0.5 * (groups * log_tau - np.log(q) - quadratic)
        return gamma + normal

    def gradient_and_hessian(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """First and second derivatives at one point: shapes (coordinates,) and (coordinates, coordinates)."""
        at = self.at
        gradient, hessian = np.zeros(at.size), np.zeros((at.size, at.size))
        probability = special.expit(self.signed @ point[at.linear])
        gradient[at.linear] = -(probability @ self.signed)
        weighted = self.signed * (probability * (1.0 - probability))[:, None]
        hessian[at.linear, at.linear] = -(weighted.T @ self.signed)
        gradient[at.fixed] -= point[at.fixed] / self.priors.fixed_sd**2
        fixed = np.arange(at.fixed.start, at.fixed.stop)
        hessian[fixed, fixed] -= 1.0 / self.priors.fixed_sd**2
        for sums, log_tau in zip((at.alpha, at.delta), at.log_tau, strict=True):
            self._add_prior_derivatives(point, sums, log_tau, gradient, hessian)
        return gradient, hessian

    def _add_prior_derivatives(
        self, point: FloatArray, sums: slice, log_tau: int, gradient: FloatArray, hessian: FloatArray
    ) -> None:
        values, groups, variance = point[sums], self.at.n_groups, self.priors.fixed_sd**2
        tau = np.exp(point[log_tau])
        q = 1.0 + groups * variance * tau
        # The precision matrix of the sums is τ I - (sd² τ²/q) 11'; with its two derivatives by log τ:
        ones = variance * tau**2 * np.ones((groups, groups))
        precision = tau * np.eye(groups) - ones / q
        first = tau * np.eye(groups) - ones * (q + 1.0) / q**2
        second = tau * np.eye(groups) - ones * (q**2 + q + 2.0) / q**3
        shape, rate = self.priors.precision_shape, self.priors.precision_rate
        gradient[sums] -= precision @ values
        gradient[log_tau] = shape - rate * tau + 0.5 * (groups - (q - 1.0) / q - values @ first @ values)
        hessian[sums, sums] -= precision
        hessian[sums, log_tau] = hessian[log_tau, sums] = -first @ values
        hessian[log_tau, log_tau] = -rate * tau - 0.5 * ((q - 1.0) / q**2 + values @ second @ values)
