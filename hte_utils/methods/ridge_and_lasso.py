"""Logistic regression with treatment x every covariate, ridge or lasso, and Listing 2's terms under its own priors.

Covariates enter in standard deviations and the arms as -1/2 and 1/2, so that a covariate's main effect and its
interaction with treatment are penalised on the same scale. Intercept and treatment coefficient (the effect at the
average patient) are not penalised, or average risk and effect would be shrunk: scikit-learn penalises every coefficient
(with liblinear the intercept too: `LogisticRegressionCV` of version 1.9 does not hand ``intercept_scaling`` on to its
last fit), so their columns are multiplied by a number that makes it negligible. The penalty has the best mean log loss
over five folds with the same share of events. No intervals are valid after such a choice without much more work.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from hte_utils.effects.logistic import Terms, TrialNumbers, interaction_terms, listing_2_terms
from hte_utils.methods.estimates import MethodResult
from hte_utils.methods.logistic import effects_in
from hte_utils.model.candidates import ALL_MODIFIERS_SPEC
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import PAPER_SPEC, TrialSpec

FOLDS = 5
RIDGE_PENALTIES = np.logspace(-4.0, 0.5, 10)
LASSO_PENALTIES = np.logspace(-2.25, 0.5, 10)
"""Inverse penalties C: from (nearly) no effect at all to (nearly) maximum likelihood at 2000 patients."""
_UNPENALISED = 100.0
"""A column multiplied by this has a coefficient, and so a penalty, smaller by as much (ridge: by the square)."""


class PenalisedFit(NamedTuple):
    """A penalised model on its own terms (1, T, X, T x X): the chosen C, and whether every fit converged."""

    coefficients: FloatArray
    terms: Terms
    inverse_penalty: float
    converged: bool


def fit_listing_2_ridge(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator
) -> MethodResult:
    """Listing 2's terms without gender's, at the mode under its Normal(0, 1) priors: a ridge with a given penalty."""
    from sklearn.linear_model import LogisticRegression

    numbers, terms = TrialNumbers.of(trial, PAPER_SPEC), partial(listing_2_terms, gender=False)
    # The penalty is half the sum of squares, the intercept's among them: minus the log of the standard normal density.
    model = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    model.fit(terms(numbers.covariates, numbers.treatment), numbers.outcome)
    return MethodResult(effects_in(populations, numbers, terms, np.ravel(model.coef_)), {})


def fit_penalised(penalty: Literal["ridge", "lasso"], numbers: TrialNumbers, seed: int) -> PenalisedFit:
    """Choose the penalty by cross-validation, and fit with it to the whole trial; ValueError if events are too few."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    require_events(numbers.outcome, FOLDS)
    mean, sd = numbers.covariates.mean(axis=0), numbers.covariates.std(axis=0, ddof=1)

    def terms(covariates: FloatArray, arm: float | FloatArray) -> FloatArray:
        columns = interaction_terms((covariates - mean) / sd, np.asarray(arm) - 0.5)
        columns[:, :2] *= _UNPENALISED
        return columns

    ridge = penalty == "ridge"
    model = LogisticRegressionCV(
        Cs=RIDGE_PENALTIES if ridge else LASSO_PENALTIES,
        l1_ratios=(0.0,) if ridge else (1.0,),
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
        solver="newton-cholesky" if ridge else "liblinear",
        fit_intercept=False,  # it is among the terms: liblinear would penalise its own
        max_iter=1000,
        random_state=seed,
        n_jobs=1,
        use_legacy_attributes=False,
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(terms(numbers.covariates, numbers.treatment), numbers.outcome)
    return PenalisedFit(np.ravel(model.coef_), terms, float(np.squeeze(model.C_)), converged=not caught)


def require_events(outcome: FloatArray, folds: int) -> None:
    """Check that each fold can have a patient with the event, and one without."""
    events = int(min(outcome.sum(), outcome.size - outcome.sum()))
    if events < folds:
        raise ValueError(
            f"{folds} folds need {folds} patients with the event and as many without, but this trial has {events}: "
            "take Firth's method or a Bayesian one"
        )


def _fit(
    penalty: Literal["ridge", "lasso"],
    trial: pd.DataFrame,
    populations: Sequence[pd.DataFrame],
    rng: np.random.Generator,
    spec: TrialSpec = ALL_MODIFIERS_SPEC,
) -> MethodResult:
    numbers = TrialNumbers.of(trial, spec)
    fitted = fit_penalised(penalty, numbers, int(rng.integers(2**31)))
    notes = {"inverse_penalty": fitted.inverse_penalty} | ({} if fitted.converged else {"not_converged": 1.0})
    return MethodResult(effects_in(populations, numbers, fitted.terms, fitted.coefficients), notes)


fit_interactions_ridge, fit_interactions_lasso = partial(_fit, "ridge"), partial(_fit, "lasso")
"""All interactions, squared or absolute penalty. The random numbers shuffle the folds; `spec` names the columns."""
