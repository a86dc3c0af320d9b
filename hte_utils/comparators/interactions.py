"""Logistic regression with treatment x every covariate: by maximum likelihood, and with Firth's correction.

With 18 coefficients and some hundred events maximum likelihood overstates how much effects differ, and where patients
with the event are separated from those without, its estimates are infinite. Firth (1993) penalises the likelihood by
Jeffreys' prior, which removes the first-order bias and keeps estimates finite (Heinze & Schemper 2002). It also pulls
predicted risks towards one half; the intercept is therefore estimated once more by maximum likelihood, with all other
coefficients held (FLIC, Puhr et al. 2017).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import EffectEstimates, MethodResult
from hte_utils.comparators.likelihood import fit_logistic, require_full_rank
from hte_utils.comparators.logistic_effects import Coefficients, interaction_terms, logistic_effects

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def fit_maximum_likelihood(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """All interactions by maximum likelihood; see `hte_utils.comparators.estimates.Method`. No randomness.

    Notes: ``separation`` = 1 if some estimate is infinite; what is given then is where the iterations stopped.
    """
    numbers = TrialNumbers.of(trial)
    fitted = fit_logistic(interaction_terms(numbers.covariates, numbers.treatment), numbers.outcome)
    return MethodResult(_effects(fitted.coefficients, numbers, populations), fitted.notes)


def fit_firth(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """All interactions with Firth's penalty; see `hte_utils.comparators.estimates.Method`. No randomness.

    Intervals are Wald's, for the library gives profile likelihood intervals of coefficients but not of risks.
    """
    numbers = TrialNumbers.of(trial)
    terms = interaction_terms(numbers.covariates, numbers.treatment)
    require_full_rank(terms)
    penalised, converged = _firth_coefficients(terms, numbers.outcome)
    coefficients = Coefficients(_with_own_intercept(penalised, terms, numbers.outcome), _covariance(penalised, terms))
    return MethodResult(_effects(coefficients, numbers, populations), {} if converged else {"not_converged": 1.0})


def _firth_coefficients(terms: FloatArray, outcome: FloatArray) -> tuple[FloatArray, bool]:
    from firthmodels import FirthLogisticRegression
    from sklearn.exceptions import ConvergenceWarning

    # The library's numba backend needs ten seconds to compile what takes milliseconds here.
    model = FirthLogisticRegression(backend="numpy", fit_intercept=False, max_iter=200, gtol=1e-6, xtol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # becomes a note
        model.fit(terms, outcome)
    return np.asarray(model.coef_), bool(model.converged_)


def _covariance(coefficients: FloatArray, terms: FloatArray) -> FloatArray:
    """Inverse of the expected information at the penalised estimates, as Heinze and Schemper have it."""
    risk = expit(terms @ coefficients)
    information = (terms * (risk * (1 - risk))[:, None]).T @ terms
    return np.asarray(np.linalg.inv(information))


def _with_own_intercept(coefficients: FloatArray, terms: FloatArray, outcome: FloatArray) -> FloatArray:
    """FLIC: the intercept by maximum likelihood, given the other coefficients; mean predicted risk = observed rate."""
    slopes = coefficients.copy()
    slopes[0] = 0.0
    again = fit_logistic(np.ones((len(terms), 1)), outcome, offset=terms @ slopes)
    slopes[0] = again.coefficients.value[0]
    return slopes


def _effects(
    fitted: Coefficients, numbers: TrialNumbers, populations: Sequence[pd.DataFrame]
) -> tuple[EffectEstimates, ...]:
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        untreated, treated = (interaction_terms(covariates, arm) for arm in (0.0, 1.0))
        estimates.append(logistic_effects(fitted, untreated, treated))
    return tuple(estimates)
