"""Meta-learners and forests, which assume no form of the effect.

*S-, T- and X-learner* (Künzel et al. 2019, econml) with scikit-learn's histogram gradient boosting: 50 trees of 4
leaves, learning rate 0.05, at least 20 patients a leaf, log loss for risks and squared error for the X-learner's
imputed effects. So small a learner suits some hundred events: it was fixed once, by its cross-validated log loss for
the event in the paper's trial, where larger ones do worse, and is tuned in no trial again. There are no intervals: the
bootstrap that some use is not valid for such learners.

*DR-learner* (Kennedy 2023, econml): the same boosted trees for the risk in each arm, cross-fitted in five folds, and
for the regression of the doubly robust scores on the covariates. No odds ratio, no baseline risk.

*Causal forest* (Wager & Athey 2018; Athey, Tibshirani & Wager 2019, econml): honest trees on outcome and treatment from
which their expectations have been removed, cross-fitted in five folds: the risk by logistic regression on the
covariates, the probability of treatment, which randomisation makes the same for everybody, by the share of the treated.
Intervals are the library's (bootstrap of little bags, normal). The average over the trial's own patients is the
library's doubly robust one. For other patients there is only the mean of their effects, with the library's conservative
bound: it adds standard errors as if they were perfectly correlated. No baseline risk, no odds ratio.

*Bayesian causal forest* (Hahn, Murray & Carvalho 2020, stochtree) with a probit link: one sum of trees for the risk
without treatment, another, of fewer and shallower trees, for the effect. Numbers of trees (250 and 100), draws of a
chain and the start from grown forests are the library's; there are two chains. They mix slowly; what that leaves of
their draws is in the notes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.special import logit, ndtr

from hte_utils.effects.logistic import TrialNumbers
from hte_utils.methods.estimates import (
    INTERVAL,
    EffectEstimates,
    IntervalEstimate,
    MethodResult,
)
from hte_utils.methods.ridge_and_lasso import require_events
from hte_utils.model.candidates import ALL_MODIFIERS_SPEC
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import TrialSpec

BOOSTING: dict[str, Any] = {
    "max_iter": 50,
    "max_leaf_nodes": 4,
    "learning_rate": 0.05,
    "min_samples_leaf": 20,
    "early_stopping": False,
    "random_state": 0,  # nothing is random in it without early stopping
}
_TREES, _LEAF, _FOLDS = 500, 10, 5
_GROWN, _CHAINS, _KEPT = 5, 2, 100
_FURTHEST = 1e-12  # a probit model may return a risk of exactly 0 or 1, whose log odds are not finite


def fit_s_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """One model of the risk, the arm among its covariates."""
    from econml.metalearners import SLearner

    learner = SLearner(overall_model=_risk_learner())

    def risk(covariates: FloatArray) -> FloatArray:
        # econml appends the arm as two indicators: control, treated.
        control_arm = np.column_stack([covariates, np.ones(len(covariates)), np.zeros(len(covariates))])
        return np.asarray(learner.overall_model.predict(control_arm))

    return _learned(learner, risk, TrialNumbers.of(trial), populations)


def fit_t_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """A model of the risk for each arm."""
    from econml.metalearners import TLearner

    numbers = TrialNumbers.of(trial)
    _require_events_in_both_arms(numbers, "the T-learner")
    learner = TLearner(models=_risk_learner())
    return _learned(learner, lambda x: learner.models[0].predict(x), numbers, populations)


def fit_x_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Models of imputed risk differences. Gives no log odds ratio."""
    from econml.metalearners import XLearner
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingRegressor

    numbers = TrialNumbers.of(trial)
    _require_events_in_both_arms(numbers, "the X-learner")
    # In a randomised trial everybody has the same propensity: the share of the treated.
    randomised = DummyClassifier(strategy="prior")
    effect_learner = HistGradientBoostingRegressor(**BOOSTING)
    learner = XLearner(models=_risk_learner(), cate_models=effect_learner, propensity_model=randomised)
    return _learned(learner, lambda x: learner.models[0].predict(x), numbers, populations, of_risks=False)


def fit_dr_learner(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator) -> MethodResult:
    """A model of the doubly robust scores. `rng` seeds the folds."""
    from econml.dr import DRLearner
    from sklearn.dummy import DummyClassifier
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.exceptions import DataConversionWarning

    numbers = TrialNumbers.of(trial)
    require_events(numbers.outcome, _FOLDS)
    learner = DRLearner(
        model_propensity=DummyClassifier(strategy="prior"),  # randomised
        model_regression=HistGradientBoostingClassifier(**BOOSTING),
        model_final=HistGradientBoostingRegressor(**BOOSTING),
        discrete_outcome=True,
        cv=_FOLDS,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", DataConversionWarning)  # econml hands on outcomes as a column
        learner.fit(numbers.outcome.astype(int), numbers.treatment.astype(int), X=numbers.covariates)
    differences = [np.clip(np.ravel(learner.effect(numbers.encode(each))), -1.0, 1.0) for each in populations]
    return MethodResult(
        tuple(
            EffectEstimates(None, None, IntervalEstimate(each), IntervalEstimate(np.asarray(each.mean())))
            for each in differences
        ),
        _notes(caught),
    )


def _learned(
    learner: Any,
    risk_of: Callable[[FloatArray], FloatArray],
    numbers: TrialNumbers,
    populations: Sequence[pd.DataFrame],
    *,
    of_risks: bool = True,
) -> MethodResult:
    """Fit, and take the effects of each population; a learner `of_risks` gives log odds ratios too."""
    learner.fit(numbers.outcome, numbers.treatment, X=numbers.covariates)
    estimates = []
    for covariates in map(numbers.encode, populations):
        risk, difference = risk_of(covariates), np.clip(learner.effect(covariates), -1.0, 1.0)
        odds = IntervalEstimate(logit(risk + difference) - logit(risk)) if of_risks else None
        average = IntervalEstimate(np.asarray(difference.mean()))
        estimates.append(EffectEstimates(risk, odds, IntervalEstimate(difference), average))
    return MethodResult(tuple(estimates), {})


def _risk_learner() -> Any:
    return _risk_learner_class()(**BOOSTING)


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


def _require_events_in_both_arms(numbers: TrialNumbers, method: str) -> None:
    for arm, name in ((0.0, "control"), (1.0, "treated")):
        outcomes = numbers.outcome[numbers.treatment == arm]
        if outcomes.min() == outcomes.max():
            found = "only events" if outcomes[0] else "no event"
            raise ValueError(
                f"the {name} arm has {found} among its {outcomes.size} patients, but {method} learns each arm's risk "
                "by itself: take a method with one model for both arms"
            )


def fit_causal_forest(
    trial: pd.DataFrame,
    populations: Sequence[pd.DataFrame],
    rng: np.random.Generator,
    spec: TrialSpec = ALL_MODIFIERS_SPEC,
) -> MethodResult:
    """Causal forest. `rng` seeds folds and trees; `spec` names the columns."""
    from econml.dml import CausalForestDML
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression

    numbers = TrialNumbers.of(trial, spec)
    require_events(numbers.outcome, _FOLDS)
    forest = CausalForestDML(
        model_y=LogisticRegression(C=np.inf, max_iter=1000),
        model_t=DummyClassifier(strategy="prior"),
        discrete_outcome=True,
        discrete_treatment=True,
        cv=_FOLDS,
        n_estimators=_TREES,
        min_samples_leaf=_LEAF,
        n_jobs=1,
        random_state=int(rng.integers(2**31)),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        forest.fit(numbers.outcome.astype(int), numbers.treatment.astype(int), X=numbers.covariates)
    estimates = []
    for covariates in map(numbers.encode, populations):
        inference = forest.effect_inference(covariates)
        own = np.array_equal(covariates, numbers.covariates)
        average = forest.ate__inference() if own else inference.population_summary()
        value, ends = (average.point_estimate, average.conf_int) if own else (average.mean_point, average.conf_int_mean)
        estimates.append(
            EffectEstimates(
                baseline_risk=None,
                log_odds_ratio=None,
                risk_difference=_clipped(inference.point_estimate, *inference.conf_int(alpha=1.0 - INTERVAL)),
                average_risk_difference=_clipped(*map(np.squeeze, (value, *ends(alpha=1.0 - INTERVAL)))),
            )
        )
    return MethodResult(tuple(estimates), _notes(caught))


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


def _clipped(value: FloatArray, lower: FloatArray, upper: FloatArray) -> IntervalEstimate:
    return IntervalEstimate(*(np.clip(np.asarray(each, dtype=np.float64), -1.0, 1.0) for each in (value, lower, upper)))


def fit_bcf(
    trial: pd.DataFrame,
    populations: Sequence[pd.DataFrame],
    rng: np.random.Generator,
    spec: TrialSpec = ALL_MODIFIERS_SPEC,
) -> MethodResult:
    """Bayesian causal forest. `rng` seeds the chains; `spec` names the columns.

    Notes: ``ess_average`` and ``mcse_average``, effective draws of the first population's average risk difference and
    its Monte Carlo standard error.
    """
    numbers = TrialNumbers.of(trial, spec)
    model = sampled_forest(numbers, int(rng.integers(2**31)))
    draws = [risk_draws(model, numbers.encode(population)) for population in populations]
    risk, risk_treated = draws[0]
    notes = monte_carlo_notes((risk_treated - risk).mean(axis=0).reshape(_CHAINS, -1))
    return MethodResult(tuple(effects_from_risk_draws(*each) for each in draws), notes)


def sampled_forest(numbers: TrialNumbers, seed: int) -> Any:
    """A Bayesian causal forest after its chains."""
    from stochtree import BCFModel, OutcomeModel

    model = BCFModel()
    model.sample(
        X_train=numbers.covariates,
        Z_train=numbers.treatment,
        y_train=numbers.outcome,
        propensity_train=np.full(numbers.outcome.size, numbers.treatment.mean()),
        num_gfr=_GROWN,  # forests grown greedily, from the last of which the chains start
        num_burnin=0,
        num_mcmc=_KEPT,
        general_params={
            "outcome_model": OutcomeModel(outcome="binary", link="probit"),
            "sample_sigma2_global": False,
            "propensity_covariate": "none",  # randomised
            "num_chains": _CHAINS,
            "num_threads": 1,
            "random_seed": seed,
        },
    )
    return model


def risk_draws(model: Any, covariates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Risks without and with treatment, each of shape (patients, draws)."""
    everybody = np.ones(len(covariates))
    found = model.predict(X=covariates, Z=everybody, type="posterior", terms=["mu", "tau"], scale="linear")
    untreated, effect = found["mu_hat"], found["tau_hat"]
    return cast("FloatArray", ndtr(untreated)), cast("FloatArray", ndtr(untreated + effect))


def effects_from_risk_draws(risk: FloatArray, risk_treated: FloatArray) -> EffectEstimates:
    """Posterior means and equal-tailed intervals, from draws of both risks, shape (patients, draws)."""
    difference = risk_treated - risk
    untreated, treated = (np.clip(each, _FURTHEST, 1 - _FURTHEST) for each in (risk, risk_treated))
    return EffectEstimates(
        baseline_risk=risk.mean(axis=1),
        log_odds_ratio=_summary(logit(treated) - logit(untreated)),
        risk_difference=_summary(difference),
        average_risk_difference=_summary(difference.mean(axis=0)),
    )


def monte_carlo_notes(average: FloatArray) -> dict[str, float]:
    """``ess_average`` and ``mcse_average`` of draws of an average risk difference, shape (chains, draws)."""
    from arviz_stats.base import array_stats  # type: ignore[attr-defined]

    ess = float(cast("Any", array_stats).ess(average, chain_axis=0, draw_axis=1, method="mean"))
    return {"ess_average": ess, "mcse_average": float(average.std(ddof=1) / np.sqrt(ess))}


def _summary(draws: FloatArray) -> IntervalEstimate:
    lower, upper = np.quantile(draws, (0.5 - INTERVAL / 2.0, 0.5 + INTERVAL / 2.0), axis=-1)
    return IntervalEstimate(draws.mean(axis=-1), lower, upper)
