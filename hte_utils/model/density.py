"""The posterior of Listing 2 in its identified coordinates, as plain NumPy: many points at a time.

The coordinates are those of `hte_utils.model.listing_2.sums_model`, precisions and scale as logarithms. The tests hold
this density against PyMC's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, override

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hte_utils.model.checks import FloatArray, IntArray

if TYPE_CHECKING:
    from hte_utils.model.listing_2 import Priors
    from hte_utils.model.spec import TrialDesign

# A block of patients times a block of points is half a MiB of doubles: it stays in a core's cache.
_PATIENT_BLOCK, _POINT_BLOCK = 2048, 32
# One logarithm for the product of so many terms 1 + exp(x): exact to the last digits, since no term is below 1.
_FOLD = 16


def log_likelihood(signed: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Evaluate ``-sum(log(1 + exp(signed @ coefficients)))``, shape (points,), at points (points, coefficients).

    `signed`, shape (patients, coefficients), is that of `SumsDensity`. A product that overflows gives -inf: sixteen
    patients whose outcomes have a joint probability below 1e-308, which has no weight in any posterior.
    """
    total = np.zeros(len(coefficients))
    with np.errstate(over="ignore"):
        for first in range(0, len(coefficients), _POINT_BLOCK):
            some = slice(first, first + _POINT_BLOCK)
            columns = np.ascontiguousarray(coefficients[some].T)
            for patient in range(0, len(signed), _PATIENT_BLOCK):
                terms = signed[patient : patient + _PATIENT_BLOCK] @ columns
                np.exp(terms, out=terms)
                terms += 1.0
                n_rest = len(terms) % _FOLD
                folded = np.multiply.reduce(terms[n_rest:].reshape(_FOLD, -1, terms.shape[1]), axis=0)
                total[some] -= np.log(folded).sum(axis=0) + np.log(np.multiply.reduce(terms[:n_rest], axis=0))
    return total


class Coordinates:
    """Where each quantity stands in a point of the sums form.

    Slices are `alpha` and `delta` (the groups' intercepts and treatment effects), `prognostic` (main effects),
    `interaction`, and `linear` (all of these, the coefficients of the linear predictor); places are `log_tau`, the
    logarithms of tau_re and tau_re_trt, and `log_scale`, that of the interactions' SD ω, there only if `has_scale`.
    """

    def __init__(self, n_groups: int, n_prognostic: int, n_modifiers: int, has_scale: bool = False) -> None:
        self.n_groups, self.n_prognostic, self.n_modifiers = n_groups, n_prognostic, n_modifiers
        self.has_scale = has_scale
        self.alpha, self.delta = slice(0, n_groups), slice(n_groups, 2 * n_groups)
        self.prognostic = slice(self.delta.stop, self.delta.stop + n_prognostic)
        self.interaction = slice(self.prognostic.stop, self.prognostic.stop + n_modifiers)
        last = self.interaction.stop
        self.linear = slice(0, last)
        self.log_tau, self.log_scale = (last, last + 1), last + 2
        self.size = last + 2 + has_scale


class HierarchicalDensity(ABC):
    """Unnormalised log posterior in the coordinates of the sums form, with log precisions (their Jacobian included).

    The likelihood is a subclass's: `SumsDensity` for an event or none, `hte_utils.model.survival` for times.
    """

    __slots__ = ()
    priors: Priors
    at: Coordinates

    @abstractmethod
    def log_likelihood(self, coefficients: FloatArray) -> FloatArray:
        """Evaluate it, shape (points,), at coefficients of shape (points, coefficients)."""

    @abstractmethod
    def log_likelihood_at(self, coefficients: FloatArray) -> float:
        """Evaluate it to the last digits at one point, shape (coefficients,)."""

    @abstractmethod
    def slopes_at(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and negative Hessian of the log-likelihood at one point."""

    @abstractmethod
    def events_by_group(self) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
        """Events and events among the treated, and whether there are patients at all, of shape (groups,) each."""

    def __call__(self, points: FloatArray) -> FloatArray:
        """Evaluate the log density, shape (points,), at points of shape (points, coordinates)."""
        total = self.log_likelihood(points[:, self.at.linear])
        self.add_log_prior(total, points)
        return total

    def add_log_prior(self, total: FloatArray, points: FloatArray) -> None:
        """Add the log prior at the points to `total`, shape (points,), in place; constants are left out."""
        known = slice(self.at.prognostic.start, self.at.prognostic.stop if self.at.has_scale else self.at.linear.stop)
        total -= 0.5 * np.square(points[:, known]).sum(axis=1) / self.priors.fixed_sd**2
        shared = self.priors.shared_intercept, self.priors.shared_effect
        for sums, log_tau, prior in zip((self.at.alpha, self.at.delta), self.at.log_tau, shared, strict=True):
            total += self._log_prior_of_sums(points[:, sums] - prior.mean, points[:, log_tau], prior.sd**2)
        if self.priors.interaction_scale is not None:
            total += self._log_prior_of_interactions(points, self.priors.interaction_scale)

    def _log_prior_of_interactions(self, points: FloatArray, scale: float) -> FloatArray:
        """Normal(0, ω²) for the interactions and half-normal for ω, with the Jacobian of log ω; no constants."""
        log_omega = points[:, self.at.log_scale]
        squares = np.square(points[:, self.at.interaction]).sum(axis=1)
        normal: FloatArray = -0.5 * squares * np.exp(-2.0 * log_omega) - self.at.n_modifiers * log_omega
        half_normal: FloatArray = log_omega - 0.5 * np.exp(2.0 * log_omega) / scale**2
        return normal + half_normal

    def _log_prior_of_sums(self, sums: FloatArray, log_tau: FloatArray, variance: float) -> FloatArray:
        """Normal(0, sd² 11' + I/τ) for the sums and Gamma for τ, with the Jacobian of log τ; constants left out."""
        groups, tau = sums.shape[1], np.exp(log_tau)
        q = 1.0 + groups * variance * tau
        quadratic = tau * (np.square(sums).sum(axis=1) - variance * tau / q * np.square(sums.sum(axis=1)))
        gamma: FloatArray = self.priors.precision_shape * log_tau - self.priors.precision_rate * tau
        normal: FloatArray = 0.5 * (groups * log_tau - np.log(q) - quadratic)
        return gamma + normal


@dataclass(frozen=True, slots=True, eq=False)
class SumsDensity(HierarchicalDensity):
    """The density of `hte_utils.model.listing_2.sums_model`.

    `signed`, shape (patients, coefficients), holds the rows of the design matrix times 1 - 2y, so that the
    log-likelihood is ``-sum(log(1 + exp(signed @ coefficients)))`` for events and non-events alike.
    """

    signed: FloatArray
    priors: Priors
    at: Coordinates

    @classmethod
    def of(cls, design: TrialDesign, priors: Priors) -> SumsDensity:
        """Lay out a trial for fast evaluation."""
        rows = design_rows(design)
        rows *= (1.0 - 2.0 * design.outcome)[:, None]
        return cls(rows, priors, coordinates_of(design, priors))

    @override
    def log_likelihood(self, coefficients: FloatArray) -> FloatArray:
        return log_likelihood(self.signed, coefficients)

    @override
    def log_likelihood_at(self, coefficients: FloatArray) -> float:
        return -float(np.logaddexp(0.0, self.signed @ coefficients).sum())

    @override
    def slopes_at(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        probability = expit(self.signed @ coefficients)
        information = (self.signed * (probability * (1.0 - probability))[:, None]).T @ self.signed
        return -(probability @ self.signed), information

    @override
    def events_by_group(self) -> tuple[IntArray, IntArray, NDArray[np.bool_]]:
        # Rows are times 1 - 2y: an event has -1 in its group's column, and in its effect's too if it was treated.
        events, treated = ((self.signed[:, own] < 0.0).sum(axis=0) for own in (self.at.alpha, self.at.delta))
        return events, treated, self.signed[:, self.at.alpha].any(axis=0)


def design_rows(design: TrialDesign) -> FloatArray:
    """Rows of the design matrix, one a patient, in the order of `Coordinates`."""
    indicator = np.eye(len(design.group_labels))[design.group]
    treated = design.treatment[:, None]
    return np.hstack([indicator, indicator * treated, design.prognostic, design.modifiers * treated])


def coordinates_of(design: TrialDesign, priors: Priors, more: int = 0) -> Coordinates:
    """Places of a trial's quantities; `more` main effects may follow those of the covariates."""
    sizes = len(design.group_labels), design.prognostic.shape[1] + more, design.modifiers.shape[1]
    return Coordinates(*sizes, priors.interaction_scale is not None)
