"""The hierarchical Bayesian models: the paper's as the paper computed with it, corrected, and with all modifiers.

"Its way" leaves the gender effects out of risk and effect, which is what Tables 7 and 8 show; "corrected" puts them in,
as the model implies. Both are of the same posterior. Intervals are equal-tailed credible intervals.

Notes: ``pareto_k`` and ``ess`` of the fit, ``mcse_average`` (Monte Carlo standard error of the first population's
average risk difference), ``nuts_fallback`` and ``not_converged``, each 1 if so.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from hte_utils.effects.cate import GroupEffects, effect_summaries
from hte_utils.methods.estimates import INTERVAL, EffectEstimates, IntervalEstimate, MethodResult
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.model.checks import FloatArray, TrialWarning
from hte_utils.model.fit import FitWarning
from hte_utils.model.quick_posterior import QuickFallbackWarning, quick_posterior

_DRAWS = 1000


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
    draws = posterior.tree()
    summaries = [
        effect_summaries(draws, design.apply(each), interval=INTERVAL, group_effects=group_effects)
        for each in populations
    ]
    ess = posterior.record.ess
    mcse = float(summaries[0]["average_risk_difference"]["sd"]) / float(np.sqrt(ess))
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
