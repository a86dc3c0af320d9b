"""Logistic regressions by maximum likelihood (statsmodels) and with Firth's correction, and effects from their terms.

- One odds ratio for everybody: the analysis that most trials report. Risk differences still differ, because risks do.
- The PATH statement's risk model (Kent et al. 2020): the predicted log odds of the event, from a regression on the
  covariates without knowledge of the arm, is the only covariate and the only effect modifier of a second regression. As
  is usual, its intervals take the risk model as known, and are too narrow by what that ignores.
- Treatment x every covariate, by maximum likelihood: with 18 coefficients and some hundred events it overstates how
  much effects differ.
- The same with Firth's (1993) penalty, Jeffreys' prior, which removes the first-order bias and keeps estimates finite
  (Heinze & Schemper 2002). It pulls predicted risks towards one half; the intercept is therefore estimated once more by
  maximum likelihood, all other coefficients held (FLIC, Puhr et al. 2017).
- Listing 2's own terms, with gender as a plain covariate or without it: the paper's model without its hierarchy.

If some covariate pattern occurs in one arm only, coefficients are not determined: that is an error. If terms separate
the patients with the event from those without, some estimates are infinite (Albert & Anderson 1984): that is a note,
because it is what the method says; its intervals are then as wide as they should be.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from hte_utils.methods.estimates import (
    INTERVAL,
    EffectEstimates,
    IntervalEstimate,
    MethodResult,
    TrialNumbers,
)
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import PAPER_SPEC

if TYPE_CHECKING:
    import pandas as pd

type Terms = Callable[[FloatArray, float | FloatArray], FloatArray]
"""From covariates, shape (patients, covariates), and arm to a model's terms, shape (patients, terms)."""

Z = float(norm.isf((1.0 - INTERVAL) / 2.0))
"""Half a Wald interval, in standard errors."""

_DEVIANCE_TOLERANCE = 1e-10  # the default, 1e-8, leaves an error in the sixth digit
_SUSPICIOUS_ERROR = 5.0
"""A log odds ratio with a standard error above this (per SD, or yes against no) makes the test for separation run."""


def main_effect_terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
    """Terms of the model without interactions: 1, T, X."""
    return np.column_stack([np.ones(len(covariates)), np.broadcast_to(arm, len(covariates)), covariates])


def interaction_terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
    """Terms of the model with every treatment-covariate interaction: 1, T, X, T x X."""
    main = main_effect_terms(covariates, arm)
    return np.hstack([main, main[:, 1:2] * covariates])


def listing_2_terms(covariates: FloatArray, arm: float | FloatArray, *, gender: bool) -> FloatArray:
    """Listing 2's terms, from the covariates of `PAPER_SPEC`: 1, T, X, T x modifiers, and with gender G, T x G."""
    modifiers = [*PAPER_SPEC.modifier_index, *([-1] if gender else [])]
    main = main_effect_terms(covariates if gender else covariates[:, :-1], arm)
    return np.hstack([main, main[:, 1:2] * covariates[:, modifiers]])


class LogisticFit(NamedTuple):
    """Coefficients, shape (terms,), and covariance (expected information); notes: ``separation``, ``not_converged``."""

    coefficients: FloatArray
    covariance: FloatArray
    log_likelihood: float
    notes: Mapping[str, float]


def fit_logistic(terms: FloatArray, outcome: FloatArray, offset: FloatArray | None = None) -> LogisticFit:
    """Fit a logistic regression by maximum likelihood.

    Parameters
    ----------
    terms
        Values of the model's terms, the intercept among them; shape (patients, terms).
    outcome, offset
        0/1, and the known part of the log odds; shape (patients,).

    Raises
    ------
    ValueError
        If the terms are linearly dependent in these patients.
    """
    import statsmodels.api as sm
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    _require_full_rank(terms)
    # Perfect separation, and the log odds that overflow then, are looked for below by an exact test.
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("ignore", PerfectSeparationWarning)
        model = sm.GLM(outcome, terms, family=sm.families.Binomial(), offset=offset)
        fitted = model.fit(maxiter=100, tol=_DEVIANCE_TOLERANCE)
        coefficients, covariance, log_likelihood = fitted.params, fitted.cov_params(), float(fitted.llf)
        suspicious = fitted.bse.max() > _SUSPICIOUS_ERROR
    notes = {} if fitted.converged else {"not_converged": 1.0}
    if offset is None and suspicious and is_separated(terms, outcome):
        notes["separation"] = 1.0
    return LogisticFit(np.asarray(coefficients), np.asarray(covariance), log_likelihood, notes)


def is_separated(terms: FloatArray, outcome: FloatArray) -> bool:
    """Whether some maximum likelihood estimate is infinite: Konis's linear programme, by firthmodels."""
    from firthmodels import detect_separation

    return bool(detect_separation(terms, outcome, fit_intercept=False).separation)


def standardise(
    coefficients: FloatArray, covariance: FloatArray | None, untreated: FloatArray, treated: FloatArray
) -> EffectEstimates:
    """Effects of patients whose terms are given once as if untreated and once as if treated, shape (patients, terms).

    Intervals are Wald's; those of risk differences by the delta method (Oehlert 1992): the gradient of the difference
    with respect to the coefficients, and their covariance. Without a covariance there are none.
    """
    risk, risk_treated = expit(untreated @ coefficients), expit(treated @ coefficients)
    contrast, difference = treated - untreated, risk_treated - risk
    gradient = (risk_treated * (1 - risk_treated))[:, None] * treated - (risk * (1 - risk))[:, None] * untreated

    def estimate(value: FloatArray, slope: FloatArray, limit: float = np.inf) -> IntervalEstimate:
        if covariance is None:
            return IntervalEstimate(value)
        variance = np.einsum("...i,...i->...", slope @ covariance, slope)
        reach = Z * np.sqrt(np.maximum(variance, 0.0))
        return IntervalEstimate(value, np.maximum(value - reach, -limit), np.minimum(value + reach, limit))

    return EffectEstimates(
        baseline_risk=risk,
        log_odds_ratio=estimate(contrast @ coefficients, contrast),
        risk_difference=estimate(difference, gradient, limit=1.0),
        average_risk_difference=estimate(np.asarray(difference.mean()), gradient.mean(axis=0), limit=1.0),
    )


def effects_in(
    populations: Sequence[pd.DataFrame],
    numbers: TrialNumbers,
    terms: Terms,
    coefficients: FloatArray,
    covariance: FloatArray | None = None,
) -> tuple[EffectEstimates, ...]:
    """Effects of the patients of each population by a regression on `terms`."""
    encoded = [numbers.encode(population) for population in populations]
    return tuple(standardise(coefficients, covariance, terms(each, 0.0), terms(each, 1.0)) for each in encoded)


def fit_constant(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """One odds ratio for everybody."""
    return _by_likelihood(TrialNumbers.of(trial), main_effect_terms, populations)


def fit_interactions(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Treatment x every covariate."""
    return _by_likelihood(TrialNumbers.of(trial), interaction_terms, populations)


def fit_listing_2(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Listing 2's terms, gender's among them."""
    return _by_likelihood(TrialNumbers.of(trial, PAPER_SPEC), partial(listing_2_terms, gender=True), populations)


def fit_listing_2_without_gender(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Listing 2's terms without gender's."""
    return _by_likelihood(TrialNumbers.of(trial, PAPER_SPEC), partial(listing_2_terms, gender=False), populations)


def fit_risk_model(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Treatment x predicted risk."""
    numbers = TrialNumbers.of(trial)
    predicted, notes = risk_model(numbers)
    result = _by_likelihood(numbers, lambda x, arm: interaction_terms(predicted(x), arm), populations)
    return MethodResult(result.estimates, {**result.notes, **notes})


def risk_model(numbers: TrialNumbers) -> tuple[Callable[[FloatArray], FloatArray], Mapping[str, float]]:
    """Fit the PATH statement's first stage.

    Returns
    -------
    tuple
        A function from covariates to predicted log odds of the event, less their mean in the trial, shape (patients,
        1); and the fit's notes.
    """
    fitted = fit_logistic(_with_intercept(numbers.covariates), numbers.outcome)
    centre = float((_with_intercept(numbers.covariates) @ fitted.coefficients).mean())
    return lambda x: (_with_intercept(x) @ fitted.coefficients - centre)[:, None], fitted.notes


def fit_firth(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Treatment x every covariate with Firth's penalty.

    Intervals are Wald's, for the library gives profile likelihood intervals of coefficients but not of risks.
    """
    numbers = TrialNumbers.of(trial)
    terms = interaction_terms(numbers.covariates, numbers.treatment)
    _require_full_rank(terms)
    coefficients, converged = firth_coefficients(terms, numbers.outcome)
    covariance = inverse_information(coefficients, terms)
    coefficients[0] = 0.0  # FLIC: mean predicted risk = observed rate
    own = fit_logistic(np.ones((len(terms), 1)), numbers.outcome, offset=terms @ coefficients)
    coefficients[0] = own.coefficients[0]
    estimates = effects_in(populations, numbers, interaction_terms, coefficients, covariance)
    return MethodResult(estimates, {} if converged else {"not_converged": 1.0})


def firth_coefficients(terms: FloatArray, outcome: FloatArray) -> tuple[FloatArray, bool]:
    """Firth's estimates, and whether they converged."""
    from firthmodels import FirthLogisticRegression
    from sklearn.exceptions import ConvergenceWarning

    # The library's numba backend needs ten seconds to compile what takes milliseconds here.
    model = FirthLogisticRegression(backend="numpy", fit_intercept=False, max_iter=200, gtol=1e-6, xtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # becomes a note
        model.fit(terms, outcome)
    return np.array(model.coef_), bool(model.converged_)


def inverse_information(coefficients: FloatArray, terms: FloatArray) -> FloatArray:
    """Inverse of the expected information, at the penalised estimates as Heinze and Schemper have it."""
    risk = expit(terms @ coefficients)
    return np.asarray(np.linalg.inv((terms * (risk * (1 - risk))[:, None]).T @ terms))


def _by_likelihood(numbers: TrialNumbers, terms: Terms, populations: Sequence[pd.DataFrame]) -> MethodResult:
    fitted = fit_logistic(terms(numbers.covariates, numbers.treatment), numbers.outcome)
    return MethodResult(effects_in(populations, numbers, terms, fitted.coefficients, fitted.covariance), fitted.notes)


def _with_intercept(covariates: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(covariates)), covariates])


def _require_full_rank(terms: FloatArray) -> None:
    rank = int(np.linalg.matrix_rank(terms))
    if rank < terms.shape[1]:
        raise ValueError(
            f"only {rank} of the model's {terms.shape[1]} terms are linearly independent among these {len(terms)} "
            "patients, e.g. because a risk factor occurs in one arm only: such a trial cannot tell its interaction "
            "with treatment. Take a method that shrinks, or fewer covariates"
        )
