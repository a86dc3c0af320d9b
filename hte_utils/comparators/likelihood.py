"""Maximum likelihood for logistic models (statsmodels), with its two failures found and named.

If some covariate pattern occurs in one arm only, coefficients are not determined: that is an error. If a combination of
terms separates the patients with the event from those without, some estimates are infinite (Albert & Anderson 1984):
that is a note, because it is what the method says; its intervals are then as wide as they should be.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hte_utils.comparators.logistic_effects import Coefficients

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_DEVIANCE_TOLERANCE = 1e-10  # the default, 1e-8, leaves an error in the sixth digit
_SUSPICIOUS_ERROR = 5.0
"""A log odds ratio with a standard error above this (per SD, or yes against no) makes the test for separation run."""


@dataclass(frozen=True, slots=True, eq=False)
class LikelihoodFit:
    """A logistic model fitted by maximum likelihood.

    Attributes
    ----------
    coefficients
        Estimates and the inverse of the expected information.
    log_likelihood
        At the estimates.
    notes
        ``separation`` and ``not_converged``, each 1 if so.
    """

    coefficients: Coefficients
    log_likelihood: float
    notes: Mapping[str, float]


def fit_logistic(terms: FloatArray, outcome: FloatArray, offset: FloatArray | None = None) -> LikelihoodFit:
    """Fit a logistic regression by maximum likelihood.

    Parameters
    ----------
    terms
        Values of the model's terms, the intercept among them; shape (patients, terms).
    outcome
        0/1, shape (patients,).
    offset
        Known part of the log odds, shape (patients,).

    Raises
    ------
    ValueError
        If the terms are linearly dependent in these patients.
    """
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    require_full_rank(terms)
    # Perfect separation, and the log odds that overflow then, are looked for below by an exact test.
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        model = sm.GLM(outcome, terms, family=sm.families.Binomial(), offset=offset)
        fitted = model.fit(maxiter=100, tol=_DEVIANCE_TOLERANCE)
        coefficients, log_likelihood = coefficients_of(fitted), float(fitted.llf)
        suspicious = fitted.bse.max() > _SUSPICIOUS_ERROR
    notes: dict[str, float] = {}
    if not fitted.converged:
        notes["not_converged"] = 1.0
    if offset is None and suspicious and is_separated(terms, outcome):
        notes["separation"] = 1.0
    return LikelihoodFit(coefficients, log_likelihood, notes)


def coefficients_of(fitted: Any) -> Coefficients:
    """Coefficients and their covariance, of a result of statsmodels."""
    return Coefficients(np.asarray(fitted.params), np.asarray(fitted.cov_params()))


def is_separated(terms: FloatArray, outcome: FloatArray) -> bool:
    """Whether some maximum likelihood estimate is infinite: Konis's linear programme, by firthmodels."""
    from firthmodels import detect_separation

    return bool(detect_separation(terms, outcome, fit_intercept=False).separation)


def require_full_rank(terms: FloatArray) -> None:
    """Check that the terms of a model are linearly independent.

    Raises
    ------
    ValueError
        If not, so that some coefficient is not determined.
    """
    rank = int(np.linalg.matrix_rank(terms))
    if rank < terms.shape[1]:
        raise ValueError(
            f"only {rank} of the model's {terms.shape[1]} terms are linearly independent among these {len(terms)} "
            "patients, e.g. because a risk factor occurs in one arm only: such a trial cannot tell its interaction "
            "with treatment. Take a method that shrinks, or fewer covariates"
        )
