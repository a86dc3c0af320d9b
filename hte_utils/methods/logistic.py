"""Logistic regressions by maximum likelihood (statsmodels) and with Firth's correction, and effects from their terms.

- One odds ratio for everybody: the analysis that most trials report. Risk differences still differ, because risks do.
- The PATH statement's risk model (Kent et al. 2020): the log odds of the event that a first regression predicts without
  knowledge of the arm is the only covariate and effect modifier of a second one, whose intervals take it as known.
- Treatment x every covariate, by maximum likelihood: with 18 coefficients and some hundred events it overstates how
  much effects differ.
- The same with Firth's (1993) penalty, which removes the first-order bias and keeps estimates finite (Heinze & Schemper
  2002). It pulls predicted risks towards one half; the intercept is therefore estimated once more by maximum
  likelihood, all other coefficients held (FLIC, Puhr et al. 2017).
- Listing 2's own terms, with gender as a plain covariate or without it: the paper's model without its hierarchy.

Where a model has interactions, the note ``interaction_p`` is the p-value of the likelihood-ratio test against none.

A covariate pattern in one arm only leaves coefficients undetermined: an error. Terms that separate the patients with
the event from the others make estimates infinite (Albert & Anderson 1984): a note, for that is what the method says.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from hte_utils.effects.logistic import (
    Terms,
    TrialNumbers,
    Z,
    delta_method_errors,
    fit_logistic,
    interaction_terms,
    interaction_test,
    listing_2_terms,
    main_effect_terms,
    require_full_rank,
    risk_model,
    risks_and_gradients,
)
from hte_utils.methods.estimates import EffectEstimates, IntervalEstimate, MethodResult
from hte_utils.model.candidates import ALL_MODIFIERS_SPEC
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import PAPER_SPEC, TrialSpec


def standardise(
    coefficients: FloatArray, covariance: FloatArray | None, untreated: FloatArray, treated: FloatArray
) -> EffectEstimates:
    """Effects of patients whose terms are given once as if untreated and once as if treated, shape (patients, terms).

    Intervals are Wald's, those of risk differences by the delta method; without a covariance there are none.
    """
    (risk, slope_untreated), (risk_treated, slope_treated) = (
        risks_and_gradients(coefficients, terms) for terms in (untreated, treated)
    )
    contrast, difference, gradient = treated - untreated, risk_treated - risk, slope_treated - slope_untreated

    def estimate(value: FloatArray, slope: FloatArray, limit: float = np.inf) -> IntervalEstimate:
        if covariance is None:
            return IntervalEstimate(value)
        reach = Z * delta_method_errors(slope, covariance)
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


def fit_by_likelihood(
    terms: Terms, spec: TrialSpec, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Maximum likelihood with these terms of the covariates of a spec."""
    return _by_likelihood(TrialNumbers.of(trial, spec), terms, populations)


fit_constant = partial(fit_by_likelihood, main_effect_terms, ALL_MODIFIERS_SPEC)
fit_interactions_ml = partial(fit_by_likelihood, interaction_terms, ALL_MODIFIERS_SPEC)
fit_listing_2_ml = partial(fit_by_likelihood, partial(listing_2_terms, gender=True), PAPER_SPEC)
fit_listing_2_ml_no_gender = partial(fit_by_likelihood, partial(listing_2_terms, gender=False), PAPER_SPEC)


def fit_path(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Treatment x predicted risk."""
    numbers = TrialNumbers.of(trial)
    predicted, notes = risk_model(numbers)
    result = _by_likelihood(numbers, lambda x, arm: interaction_terms(predicted(x), arm), populations)
    return MethodResult(result.estimates, {**result.notes, **notes})


def fit_interactions_firth(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Treatment x every covariate with Firth's penalty; the library has no intervals of risks, so they are Wald's."""
    numbers = TrialNumbers.of(trial)
    terms = interaction_terms(numbers.covariates, numbers.treatment)
    require_full_rank(terms)
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
    return np.asarray(np.linalg.inv(risks_and_gradients(coefficients, terms)[1].T @ terms))


def _by_likelihood(numbers: TrialNumbers, terms: Terms, populations: Sequence[pd.DataFrame]) -> MethodResult:
    fitted = fit_logistic(terms(numbers.covariates, numbers.treatment), numbers.outcome)
    notes = dict(fitted.notes)
    if terms is not main_effect_terms:
        notes["interaction_p"] = interaction_test(numbers, terms, fitted.log_likelihood).p_value
    return MethodResult(effects_in(populations, numbers, terms, fitted.coefficients, fitted.covariance), notes)
