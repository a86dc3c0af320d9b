"""Causal forest (Wager & Athey 2018; Athey, Tibshirani & Wager 2019) by econml, on the scale of risk differences.

Honest trees on outcome and treatment from which their expectations have been removed, cross-fitted in five folds: the
risk by logistic regression on the covariates, the probability of treatment, which randomisation makes the same for
everybody, by the share of the treated. Intervals are the library's (bootstrap of little bags, normal). The average over
the trial's own patients is the library's doubly robust one. For other patients there is only the mean of their effects,
with the library's conservative bound: it adds standard errors as if they were perfectly correlated. The forest
estimates no baseline risk and no odds ratio.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import INTERVAL, EffectEstimates, IntervalEstimate, MethodResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_TREES = 500
_LEAF = 10
_FOLDS = 5


def fit_causal_forest(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
) -> MethodResult:
    """Causal forest; see `hte_utils.comparators.estimates.Method`. `rng` seeds folds and trees."""
    numbers = TrialNumbers.of(trial)
    _require_events(numbers.outcome)
    forest = _forest(int(rng.integers(2**31)))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forest.fit(numbers.outcome.astype(int), numbers.treatment.astype(int), X=numbers.covariates)
    notes = _notes(caught)
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        inference = forest.effect_inference(covariates)
        estimates.append(
            EffectEstimates(
                baseline_risk=None,
                log_odds_ratio=None,
                risk_difference=_clipped(inference.point_estimate, *inference.conf_int(alpha=1.0 - INTERVAL)),
                average_risk_difference=_average(forest, inference, np.array_equal(covariates, numbers.covariates)),
            )
        )
    return MethodResult(tuple(estimates), notes)


def _forest(seed: int) -> Any:
    from econml.dml import CausalForestDML
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    return CausalForestDML(
        model_y=LogisticRegression(C=np.inf, max_iter=1000),
        model_t=DummyClassifier(strategy="prior"),
        discrete_outcome=True,
        discrete_treatment=True,
        cv=_FOLDS,
        n_estimators=_TREES,
        min_samples_leaf=_LEAF,
        n_jobs=1,
        random_state=seed,
    )


def _notes(caught: Sequence[warnings.WarningMessage]) -> dict[str, float]:
    """Turn the warnings we expect into notes, and hand on the others."""
    from sklearn.exceptions import ConvergenceWarning

    notes: dict[str, float] = {}
    for message in caught:
        if issubclass(message.category, ConvergenceWarning):  # the outcome model, where the data are separated
            notes["not_converged"] = 1.0
        elif "out-of-bag" in str(message.message):  # concerns an average that is not used here
            notes["few_out_of_bag"] = 1.0
        elif "least populated class" in str(message.message):  # folds are alike in arm x event, where they can be
            notes["fewer_events_than_folds_in_an_arm"] = 1.0
        else:
            warnings.warn_explicit(message.message, message.category, message.filename, message.lineno)
    return notes


def _average(forest: Any, inference: Any, of_the_trial: bool) -> IntervalEstimate:
    alpha = 1.0 - INTERVAL
    if of_the_trial:
        robust = forest.ate__inference()
        value, ends = robust.point_estimate, robust.conf_int(alpha=alpha)
    else:
        summary = inference.population_summary()
        value, ends = summary.mean_point, summary.conf_int_mean(alpha=alpha)
    return _clipped(*(np.squeeze(each) for each in (value, *ends)))


def _clipped(value: FloatArray, lower: FloatArray, upper: FloatArray) -> IntervalEstimate:
    return IntervalEstimate(*(np.clip(np.asarray(each, dtype=np.float64), -1.0, 1.0) for each in (value, lower, upper)))


def _require_events(outcome: FloatArray) -> None:
    events = int(min(outcome.sum(), outcome.size - outcome.sum()))
    if events < _FOLDS:
        raise ValueError(
            f"cross-fitting in {_FOLDS} folds needs {_FOLDS} patients with the event and as many without, but this "
            f"trial has {events}: take Firth's method or a Bayesian one"
        )
