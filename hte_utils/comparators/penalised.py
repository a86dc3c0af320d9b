"""Logistic regression with treatment x every covariate, ridge or lasso, the penalty chosen by cross-validation.

Covariates enter in standard deviations and the arms as -1/2 and 1/2, so that a covariate's main effect and its
interaction with treatment are penalised on the same scale, and the treatment coefficient is the effect at the average
patient. Neither it nor the intercept is penalised, or else average risk and average effect would be shrunk.
scikit-learn penalises every coefficient (and with liblinear the intercept too: `LogisticRegressionCV` of version 1.9
does not hand ``intercept_scaling`` on to its last fit), so these two columns are multiplied by a number that makes
their penalties negligible. The penalty has the best mean log loss over five folds with the same share of events. There
are no intervals: none are valid after such a choice without much more work.
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

Penalty = Literal["ridge", "lasso"]
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
class Scaling:
    """Covariates in SD from the trial's mean, arms as -1/2 and 1/2; intercept and arm times `_UNPENALISED`."""

    mean: FloatArray
    sd: FloatArray

    def terms(self, covariates: FloatArray, treated: float | FloatArray) -> FloatArray:
        """Terms of the model: 1, T, X, T x X; shape (patients, 18)."""
        terms = interaction_terms((covariates - self.mean) / self.sd, np.asarray(treated) - 0.5)
        terms[:, :2] *= _UNPENALISED
        return terms


@dataclass(frozen=True, slots=True, eq=False)
class PenalisedFit:
    """A penalised model.

    Attributes
    ----------
    coefficients
        For the terms of `scaling`.
    scaling
        Makes the terms.
    inverse_penalty
        The chosen C.
    converged
        Whether every fit did, those of the cross-validation among them.
    """

    coefficients: Coefficients
    scaling: Scaling
    inverse_penalty: float
    converged: bool


def fit_penalised(penalty: Penalty, numbers: TrialNumbers, seed: int) -> PenalisedFit:
    """Choose the penalty by cross-validation, and fit with it to the whole trial.

    Raises
    ------
    ValueError
        If there are fewer patients with the event (or without) than folds.
    """
    from sklearn.exceptions import ConvergenceWarning

    _require_events(numbers.outcome)
    scaling = Scaling(numbers.covariates.mean(axis=0), numbers.covariates.std(axis=0, ddof=1))
    model = _cross_validated(penalty, seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(scaling.terms(numbers.covariates, numbers.treatment), numbers.outcome)
    return PenalisedFit(Coefficients(np.ravel(model.coef_)), scaling, float(np.squeeze(model.C_)), converged=not caught)


def _fit(
    penalty: Penalty, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
) -> MethodResult:
    numbers = TrialNumbers.of(trial)
    fitted = fit_penalised(penalty, numbers, int(rng.integers(2**31)))
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        untreated, treated = (fitted.scaling.terms(covariates, arm) for arm in (0.0, 1.0))
        estimates.append(logistic_effects(fitted.coefficients, untreated, treated))
    notes = {"inverse_penalty": fitted.inverse_penalty}
    return MethodResult(tuple(estimates), notes if fitted.converged else {**notes, "not_converged": 1.0})


def _cross_validated(penalty: Penalty, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    ridge = penalty == "ridge"
    return LogisticRegressionCV(
        Cs=_RIDGE_PENALTIES if ridge else _LASSO_PENALTIES,
        l1_ratios=(0.0,) if ridge else (1.0,),
        cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=seed),
        scoring="neg_log_loss",
        solver="newton-cholesky" if ridge else "liblinear",
        fit_intercept=False,  # it is among the terms: liblinear would penalise its own
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
