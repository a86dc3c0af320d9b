"""Bayesian causal forest (Hahn, Murray & Carvalho 2020) by stochtree, with a probit link for the binary outcome.

One sum of trees for the risk without treatment, another, of fewer and shallower trees, for the effect, both on the
probit scale. 50 and 20 trees instead of the library's 250 and 100, and one chain, keep a trial of 2000 patients within
seconds. The chain mixes slowly; what that leaves of its draws is in the notes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from scipy.special import ndtr

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import MethodResult
from hte_utils.comparators.posterior_effects import effects_from_risk_draws, monte_carlo_notes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_BURN_IN = 100
_KEPT = 200
_STEPS_PER_KEPT = 3
_TREES = {"prognostic": 50, "effect": 20}


def fit_bayesian_causal_forest(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
) -> MethodResult:
    """Bayesian causal forest; see `hte_utils.comparators.estimates.Method`. `rng` seeds the chain.

    Notes: ``ess_average`` and ``mcse_average``, effective draws of the first population's average risk difference and
    its Monte Carlo standard error.
    """
    numbers = TrialNumbers.of(trial)
    model = _sampled(numbers, int(rng.integers(2**31)))
    estimates, notes = [], {}
    for place, population in enumerate(populations):
        risk, risk_treated = _risk_draws(model, numbers.encode(population))
        estimates.append(effects_from_risk_draws(risk, risk_treated))
        if place == 0:
            notes = monte_carlo_notes((risk_treated - risk).mean(axis=0)[None])
    return MethodResult(tuple(estimates), notes)


def _sampled(numbers: TrialNumbers, seed: int) -> Any:
    from stochtree import BCFModel, OutcomeModel

    model = BCFModel()
    model.sample(
        X_train=numbers.covariates,
        Z_train=numbers.treatment,
        y_train=numbers.outcome,
        propensity_train=np.full(numbers.outcome.size, numbers.treatment.mean()),
        num_gfr=0,
        num_burnin=_BURN_IN,
        num_mcmc=_KEPT,
        general_params={
            "outcome_model": OutcomeModel(outcome="binary", link="probit"),
            "sample_sigma2_global": False,
            "propensity_covariate": "none",  # randomised
            "keep_every": _STEPS_PER_KEPT,
            "num_threads": 1,
            "random_seed": seed,
        },
        prognostic_forest_params={"num_trees": _TREES["prognostic"]},
        treatment_effect_forest_params={"num_trees": _TREES["effect"]},
    )
    return model


def _risk_draws(model: Any, covariates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Risks without and with treatment, each of shape (patients, draws)."""
    everybody = np.ones(len(covariates))
    found = model.predict(X=covariates, Z=everybody, type="posterior", terms=["mu", "tau"], scale="linear")
    untreated, effect = found["mu_hat"], found["tau_hat"]
    return cast("FloatArray", ndtr(untreated)), cast("FloatArray", ndtr(untreated + effect))
