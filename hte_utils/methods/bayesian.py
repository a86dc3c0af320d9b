"""The hierarchical Bayesian models: the paper's as the paper computed with it, corrected, and with all modifiers.

"Its way" leaves the gender effects out of risk and effect, which is what Tables 7 and 8 show; "corrected" puts them in,
as the model implies. Both are of the same posterior. Intervals are equal-tailed credible intervals.

The *regularised horseshoe* (Piironen & Vehtari 2017) is the prior that packages for subgroup analyses put on all
interactions (bonsaiforest2, by brms, whose defaults are taken: all scales half-Cauchy(0, 1), slab Student t with 4
degrees of freedom and scale 2). Intercept, treatment and main effects have the all-modifiers model's priors, so that
the two models differ in their prior of the interactions alone. It is sampled by NUTS.

Notes: ``pareto_k`` and ``ess`` of the fit, ``mcse_average`` (Monte Carlo standard error of the first population's
average risk difference), ``nuts_fallback`` and ``not_converged``, each 1 if so; of the horseshoe as well the number of
``divergences``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Final, cast

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats  # type: ignore[attr-defined]
from scipy.special import expit

from hte_utils.effects.cate import GroupEffects, effect_summaries
from hte_utils.effects.logistic import TrialNumbers, interaction_terms
from hte_utils.methods.estimates import INTERVAL, EffectEstimates, IntervalEstimate, MethodResult
from hte_utils.methods.learners_and_forests import effects_from_risk_draws, monte_carlo_notes
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, ALL_MODIFIERS_PRIORS, PAPER_MODEL, CandidateModel
from hte_utils.model.checks import FloatArray, TrialWarning
from hte_utils.model.fit import FitWarning
from hte_utils.model.quick_posterior import QuickFallbackWarning, quick_posterior

_DRAWS = 1000
"""Effective draws that a fit must have, and draws (they come in random order) that effects are computed from."""
_CHAINS: Final = 4
_NUTS: Final[dict[str, Any]] = {"tune": 400, "draws": 200, "chains": _CHAINS, "cores": 1, "target_accept": 0.9}
_LARGEST_R_HAT: Final = 1.05
"""Of the average effect: chains of a few hundred draws exceed the usual 1.01 by chance."""


def _fit(
    model: CandidateModel,
    group_effects: GroupEffects,
    trial: pd.DataFrame,
    populations: Sequence[pd.DataFrame],
    rng: np.random.Generator,
) -> MethodResult:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrialWarning)  # a small trial is no surprise in a study
        design = model.design(trial)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")  # what we do not expect
        warnings.simplefilter("always", FitWarning)
        warnings.simplefilter("always", QuickFallbackWarning)
        posterior = quick_posterior(design, priors=model.priors, draws=_DRAWS, seed=int(rng.integers(2**31)))
    draws = posterior.tree().isel(draw=slice(_DRAWS))
    summaries = [
        effect_summaries(draws, design.apply(each), interval=INTERVAL, group_effects=group_effects)
        for each in populations
    ]
    ess, few, many = posterior.record.ess, draws["posterior"].sizes["draw"], posterior.n_draws
    # The draws are some of those that are worth `ess`.
    variance = 1.0 / ess + 1.0 / few - 1.0 / many
    mcse = float(summaries[0]["average_risk_difference"]["sd"]) * float(np.sqrt(variance))
    notes = {"pareto_k": posterior.pareto_k, "ess": ess, "mcse_average": mcse}
    if posterior.by_nuts:
        notes["nuts_fallback"] = 1.0
    if any(issubclass(each.category, FitWarning) for each in caught):
        notes["not_converged"] = 1.0
    return MethodResult(tuple(_estimates(each) for each in summaries), notes)


fit_paper_way = partial(_fit, PAPER_MODEL, GroupEffects.LEFT_OUT)
"""Listing 2, gender effects left out afterwards."""
fit_paper_corrected = partial(_fit, PAPER_MODEL, GroupEffects.INCLUDED)
"""Listing 2 as it stands."""
fit_all_modifiers = partial(_fit, ALL_MODIFIERS_MODEL, GroupEffects.INCLUDED)
"""The all-modifiers model of this book."""


def _estimates(summaries: dict[str, dict[str, FloatArray]]) -> EffectEstimates:
    def interval(quantity: str) -> IntervalEstimate:
        return IntervalEstimate(*(np.asarray(summaries[quantity][name]) for name in ("mean", "lower", "upper")))

    return EffectEstimates(
        baseline_risk=summaries["baseline_risk"]["mean"],
        log_odds_ratio=interval("log_odds_ratio"),
        risk_difference=interval("risk_difference"),
        average_risk_difference=interval("average_risk_difference"),
    )


def fit_horseshoe(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator) -> MethodResult:
    """Every treatment-covariate interaction under a regularised horseshoe. `rng` seeds the chains."""
    import nutpie

    numbers = TrialNumbers.of(trial)
    compiled = _compiled_horseshoe(numbers.covariates.shape[1]).with_data(
        terms=interaction_terms(numbers.covariates, numbers.treatment), event=numbers.outcome
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # divergences become a note
        trace = nutpie.sample(compiled, seed=int(rng.integers(2**31)), progress_bar=False, save_warmup=False, **_NUTS)
    draws = trace["posterior"]["coefficients"].transpose("chain", "draw", ...).to_numpy()
    coefficients = draws.reshape(-1, draws.shape[-1]).T
    estimates, averages = [], []
    for covariates in map(numbers.encode, populations):
        risk, treated = (expit(interaction_terms(covariates, arm) @ coefficients) for arm in (0.0, 1.0))
        estimates.append(effects_from_risk_draws(risk, treated))
        averages.append((treated - risk).mean(axis=0).reshape(_CHAINS, -1))
    notes = monte_carlo_notes(averages[0]) | {"divergences": float(trace["sample_stats"]["diverging"].sum())}
    if not cast("Any", array_stats).rhat(averages[0]) < _LARGEST_R_HAT:
        notes["not_converged"] = 1.0
    return MethodResult(tuple(estimates), notes)


@cache
def _compiled_horseshoe(covariates: int) -> Any:
    """The model for any trial with so many covariates, compiled once in a process."""
    import nutpie

    return nutpie.compile_pymc_model(horseshoe_model(covariates))


def horseshoe_model(covariates: int) -> Any:
    """Logistic regression on 1, T, X, T x X with a regularised horseshoe on the last; its data are given later."""
    import pymc as pm
    import pytensor.tensor as pt

    priors = ALL_MODIFIERS_PRIORS
    with pm.Model() as model:
        terms = pm.Data("terms", np.zeros((2, 2 + 2 * covariates)))
        event = pm.Data("event", np.zeros(2))
        intercept = pm.Normal("intercept", priors.intercept_mean, priors.intercept_sd)
        main = pm.Normal("main", 0.0, priors.fixed_sd, shape=1 + covariates)
        overall, local = pm.HalfCauchy("overall", 1.0), pm.HalfCauchy("local", 1.0, shape=covariates)
        slab = pm.InverseGamma("slab", 2.0, 8.0)  # variance: 4 / 2 and 4 / 2 times the square of the scale 2
        variance = slab * local**2 / (slab + overall**2 * local**2)
        interactions = overall * pt.sqrt(variance) * pm.Normal("standard", shape=covariates)
        coefficients = pm.Deterministic(
            "coefficients", cast("Any", pt).concatenate([intercept[None], main, interactions])
        )
        pm.Bernoulli("observed", logit_p=terms @ coefficients, observed=event)
    return model
