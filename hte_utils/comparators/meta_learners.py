"""S-, T- and X-learner (Künzel et al. 2019) with boosted trees as base learners, on the scale of risks.

The base learner is the same in all: scikit-learn's histogram gradient boosting, 50 trees of 4 leaves, learning rate
0.05, at least 20 patients a leaf, log loss for risks and squared error for the X-learner's imputed effects. So small a
learner suits some hundred events: it was fixed once, by its cross-validated log loss for the event in the paper's
trial, where larger ones do worse, and is tuned in no trial again. There are no intervals: the bootstrap that some use
is not valid for such learners.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logit

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import EffectEstimates, IntervalEstimate, MethodResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_BOOSTING: dict[str, Any] = {
    "max_iter": 50,
    "max_leaf_nodes": 4,
    "learning_rate": 0.05,
    "min_samples_leaf": 20,
    "early_stopping": False,
    "random_state": 0,  # nothing is random in it without early stopping
}


def fit_s_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """One model of the risk, the arm among its covariates; see `hte_utils.comparators.estimates.Method`."""
    from econml.metalearners import SLearner

    numbers = TrialNumbers.of(trial)
    learner = SLearner(overall_model=_risk_learner())
    learner.fit(numbers.outcome, numbers.treatment, X=numbers.covariates)
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        # econml appends the arm as two indicators: control, treated.
        control_arm = np.column_stack([covariates, np.ones(len(covariates)), np.zeros(len(covariates))])
        estimates.append(_from_risks(learner.overall_model.predict(control_arm), learner.effect(covariates)))
    return MethodResult(tuple(estimates), {})


def fit_t_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """A model of the risk for each arm; see `hte_utils.comparators.estimates.Method`."""
    from econml.metalearners import TLearner

    numbers = TrialNumbers.of(trial)
    numbers.require_events_in_both_arms("the T-learner")
    learner = TLearner(models=_risk_learner())
    learner.fit(numbers.outcome, numbers.treatment, X=numbers.covariates)
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        estimates.append(_from_risks(learner.models[0].predict(covariates), learner.effect(covariates)))
    return MethodResult(tuple(estimates), {})


def fit_x_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Models of imputed risk differences; see `hte_utils.comparators.estimates.Method`. Gives no log odds ratio."""
    from econml.metalearners import XLearner
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingRegressor

    numbers = TrialNumbers.of(trial)
    numbers.require_events_in_both_arms("the X-learner")
    # In a randomised trial everybody has the same propensity: the share of the treated.
    randomised = DummyClassifier(strategy="prior")
    effect_learner = HistGradientBoostingRegressor(**_BOOSTING)
    learner = XLearner(models=_risk_learner(), cate_models=effect_learner, propensity_model=randomised)
    learner.fit(numbers.outcome, numbers.treatment, X=numbers.covariates)
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        difference = np.clip(learner.effect(covariates), -1.0, 1.0)
        estimates.append(
            EffectEstimates(
                baseline_risk=learner.models[0].predict(covariates),
                log_odds_ratio=None,
                risk_difference=IntervalEstimate(difference),
                average_risk_difference=IntervalEstimate(np.asarray(difference.mean())),
            )
        )
    return MethodResult(tuple(estimates), {})


def _from_risks(risk: FloatArray, difference: FloatArray) -> EffectEstimates:
    return EffectEstimates(
        baseline_risk=risk,
        log_odds_ratio=IntervalEstimate(logit(risk + difference) - logit(risk)),
        risk_difference=IntervalEstimate(difference),
        average_risk_difference=IntervalEstimate(np.asarray(difference.mean())),
    )


def _risk_learner() -> Any:
    return _risk_learner_class()(**_BOOSTING)


@cache
def _risk_learner_class() -> type:
    """Boosted trees whose `predict` is the probability of the event, as econml's learners want it.

    Made at the first call, so that importing this module does not import scikit-learn.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    class RiskLearner(HistGradientBoostingClassifier):  # type: ignore[misc]
        def predict(self, X: FloatArray) -> FloatArray:
            return np.asarray(self.predict_proba(X)[:, 1])

    return RiskLearner
