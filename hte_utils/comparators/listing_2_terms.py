"""Logistic regression on Listing 2's own terms, without a hierarchy: what is left of the paper's model as a regression.

The model of the paper knows which covariates matter and which three modify the effect. These rungs know the same, and
have neither group effects nor a prior of scales: by maximum likelihood with gender and its interaction as plain terms,
the same without gender, and without gender at the mode under the listing's Normal(0, 1) priors, a ridge regression.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from hte_utils.comparators.estimates import EffectEstimates, MethodResult
from hte_utils.comparators.likelihood import fit_logistic
from hte_utils.comparators.logistic_effects import Coefficients, logistic_effects
from hte_utils.spec import PAPER_SPEC, Patients
from hte_utils.trial_checks import TrialWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import TrialDesign


def fit_with_gender(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Listing 2's terms, gender's among them, by maximum likelihood; see `hte_utils.comparators.estimates.Method`."""
    return _by_likelihood(trial, populations, gender=True)


def fit_without_gender(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Listing 2's terms without gender's, by maximum likelihood; see `hte_utils.comparators.estimates.Method`."""
    return _by_likelihood(trial, populations, gender=False)


def fit_mode(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Listing 2's terms without gender's, at the posterior mode under its Normal(0, 1) priors; no intervals."""
    from sklearn.linear_model import LogisticRegression

    design = _design(trial)
    terms = _terms(design, design.treatment, gender=False)
    # The penalty is half the sum of squares, the intercept's among them: minus the log of the standard normal density.
    model = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    coefficients = Coefficients(np.ravel(model.fit(terms, design.outcome).coef_))
    return MethodResult(_effects(coefficients, design, populations, gender=False), {})


def _by_likelihood(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], *, gender: bool) -> MethodResult:
    design = _design(trial)
    fitted = fit_logistic(_terms(design, design.treatment, gender=gender), design.outcome)
    return MethodResult(_effects(fitted.coefficients, design, populations, gender=gender), fitted.notes)


def _design(trial: pd.DataFrame) -> TrialDesign:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrialWarning)  # it speaks of priors
        return PAPER_SPEC.design(trial)


def _terms(patients: Patients, treated: float | FloatArray, *, gender: bool) -> FloatArray:
    """Terms of Listing 2: 1, T, X, T x modifiers, and with gender G, T x G; shape (patients, terms)."""
    arm = np.broadcast_to(np.asarray(treated, dtype=np.float64), patients.n_patients)[:, None]
    parts = [np.ones_like(arm), arm, patients.prognostic, arm * patients.modifiers]
    if gender:
        own = patients.group.astype(np.float64)[:, None]
        parts += [own, arm * own]
    return np.column_stack(parts)


def _effects(
    fitted: Coefficients, design: TrialDesign, populations: Sequence[pd.DataFrame], *, gender: bool
) -> tuple[EffectEstimates, ...]:
    estimates = []
    for population in populations:
        patients = Patients(*design.coding.encode(population), design.coding)
        untreated, treated = (_terms(patients, arm, gender=gender) for arm in (0.0, 1.0))
        estimates.append(logistic_effects(fitted, untreated, treated))
    return tuple(estimates)
