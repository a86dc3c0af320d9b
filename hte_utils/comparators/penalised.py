"""Logistic regression with treatment x every covariate, ridge or lasso, the penalty chosen by cross-validation.

Covariates enter in standard deviations and the arms as -1/2 and 1/2, so that a covariate's main effect and its
interaction with treatment are penalised on the same scale, and the treatment coefficient is the effect at the average
patient. That coefficient is not penalised, or else the average effect would be shrunk towards none; scikit-learn
penalises every coefficient, so the column is multiplied by a number that makes its penalty negligible. The penalty has
the best mean log loss over five folds with the same share of events. There are no intervals: none are valid after such
a choice without much more work.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import MethodResult
from hte_utils.comparators.logistic_effects import Coefficients, interaction_terms, logistic_effects

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_FOLDS = 5
_RIDGE_PENALTIES = np.logspace(-4.0, 0.5, 10)
_LASSO_PENALTIES = np.logspace(-2.25, 0.5, 10)
"""Inverse penalties C: from (nearly) no effect at all to (nearly) maximum likelihood at 2000 patients."""
_UNPENALISED = 100.0
"""A column multiplied by this has a coefficient, and so a penalty, smaller by as much (ridge: by the square)."""


def fit_ridge(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator) -> MethodResult:
    """All interactions, squared penalty; see `hte_utils.comparators.estimates.Method`. `rng` shuffles the folds."""
    return _fit("ridge", trial, populations, rng)


def fit_lasso(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator) -> MethodResult:
    """All interactions, absolute penalty; see `hte_utils.comparators.estimates.Method`. `rng` shuffles the folds."""
    return _fit("lasso", trial, populations, rng)


@dataclass(frozen=True, slots=True, eq=False)
class _Scaling:
    mean: FloatArray
    sd: FloatArray

    def terms(self, covariates: FloatArray, treated: float | FloatArray) -> FloatArray:
        """All terms but the intercept: T (scaled), X, T x X."""
        terms = interaction_terms((covariates - self.mean) / self.sd, np.asarray(treated) - 0.5)[:, 1:]
        terms[:, 0] *= _UNPENALISED
        return terms


def _fit(
    penalty: Literal["ridge", "lasso"],
    trial: pd.DataFrame,
    populations: Sequence[pd.DataFrame],
    rng: np.random.Generator,
) -> MethodResult:
    from sklearn.exceptions import ConvergenceWarning

    numbers = TrialNumbers.of(trial)
    _require_events(numbers.outcome)
    scaling = _Scaling(numbers.covariates.mean(axis=0), numbers.covariates.std(axis=0, ddof=1))
    model = _cross_validated(penalty, int(rng.integers(2**31)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(scaling.terms(numbers.covariates, numbers.treatment), numbers.outcome)
    notes = {"inverse_penalty": float(np.squeeze(model.C_))}
    if caught:
        notes["not_converged"] = 1.0
    fitted = Coefficients(np.concatenate([np.ravel(model.intercept_), np.ravel(model.coef_)]))
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        untreated, treated = (_with_intercept(scaling.terms(covariates, arm)) for arm in (0.0, 1.0))
        estimates.append(logistic_effects(fitted, untreated, treated))
    return MethodResult(tuple(estimates), notes)


def _cross_validated(penalty: Literal["ridge", "lasso"], seed: int) -> Any:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    ridge = penalty == "ridge"
    return LogisticRegressionCV(
        Cs=_RIDGE_PENALTIES if ridge else _LASSO_PENALTIES,
        l1_ratios=(0.0,) if ridge else (1.0,),
        cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
        solver="newton-cholesky" if ridge else "liblinear",
        intercept_scaling=1.0 if ridge else _UNPENALISED,  # liblinear penalises the intercept too
        max_iter=1000,
        random_state=seed,
        n_jobs=1,
        use_legacy_attributes=False,
    )


def _require_events(outcome: FloatArray) -> None:
    events = int(min(outcome.sum(), outcome.size - outcome.sum()))
    if events < _FOLDS:
        raise ValueError(
            f"cross-validation in {_FOLDS} folds needs {_FOLDS} patients with the event and as many without, "
            f"but this trial has {events}: take Firth's method or a Bayesian one"
        )


def _with_intercept(terms: FloatArray) -> FloatArray:
    return np.column_stack([np.ones(len(terms)), terms])
