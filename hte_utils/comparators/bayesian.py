"""The hierarchical Bayesian models: the paper's as the paper computed with it, the same corrected, and the better one.

"Its way" leaves the gender effects out of risk and effect, which is what Tables 7 and 8 show; "corrected" puts them in,
as the model implies. Both are of the same posterior.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from hte_utils.candidate_models import BETTER_MODEL, PAPER_MODEL, CandidateModel
from hte_utils.cate import EffectScale, cate_draws, summarise_baseline_risk, summarise_cate
from hte_utils.comparators.estimates import INTERVAL, EffectEstimates, IntervalEstimate, MethodResult
from hte_utils.comparators.posterior_effects import monte_carlo_notes
from hte_utils.fit import fit
from hte_utils.fit_record import FitWarning
from hte_utils.fit_settings import IndependenceSettings
from hte_utils.predictors import GroupEffects
from hte_utils.trial_checks import TrialWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    import xarray as xr

    from hte_utils.spec import Patients
    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import TrialDesign

_TAILS = ((1.0 - INTERVAL) / 2.0, (1.0 + INTERVAL) / 2.0)


def fit_paper_way(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator) -> MethodResult:
    """Listing 2, gender effects left out afterwards; see `hte_utils.comparators.estimates.Method`."""
    return _fit(PAPER_MODEL, GroupEffects.LEFT_OUT, trial, populations, rng)


def fit_paper_corrected(
    trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
) -> MethodResult:
    """Listing 2 as it stands; see `hte_utils.comparators.estimates.Method`."""
    return _fit(PAPER_MODEL, GroupEffects.INCLUDED, trial, populations, rng)


def fit_better(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator) -> MethodResult:
    """The better model of this book; see `hte_utils.comparators.estimates.Method`."""
    return _fit(BETTER_MODEL, GroupEffects.INCLUDED, trial, populations, rng)


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
    posterior, notes = _posterior(design, model, int(rng.integers(2**31)))
    estimates = []
    for place, population in enumerate(populations):
        patients = design.apply(population)
        average = _average_draws(posterior, patients, group_effects)
        estimates.append(_effects(posterior, patients, group_effects, average))
        if place == 0:
            notes |= monte_carlo_notes(average)
    return MethodResult(tuple(estimates), notes)


def _posterior(design: TrialDesign, model: CandidateModel, seed: int) -> tuple[xr.DataTree, dict[str, float]]:
    """Draws from the posterior, and what must be known of them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FitWarning)
        settings = IndependenceSettings(draws=500, chains=2, seed=seed)
        posterior = fit(design, priors=model.priors, settings=settings, cores=1)
    return posterior, {"not_converged": 1.0} if caught else {}


def _average_draws(posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects) -> FloatArray:
    """Draws of the patients' average risk difference, shape (chains, draws)."""
    draws = cate_draws(posterior, patients, scale=EffectScale.RISK_DIFFERENCE, group_effects=group_effects)
    return np.asarray(draws.mean("patient"))


def _effects(
    posterior: xr.DataTree, patients: Patients, group_effects: GroupEffects, average: FloatArray
) -> EffectEstimates:
    risk = summarise_baseline_risk(posterior, patients, group_effects=group_effects, interval=INTERVAL, threads=1)
    ratio, difference = (
        summarise_cate(posterior, patients, scale=scale, group_effects=group_effects, interval=INTERVAL, threads=1)
        for scale in (EffectScale.LOG_ODDS_RATIO, EffectScale.RISK_DIFFERENCE)
    )
    return EffectEstimates(
        baseline_risk=risk["mean"].to_numpy(),
        log_odds_ratio=_summary(ratio),
        risk_difference=_summary(difference),
        average_risk_difference=IntervalEstimate(np.asarray(average.mean()), *np.quantile(average, _TAILS)),
    )


def _summary(summary: xr.Dataset) -> IntervalEstimate:
    return IntervalEstimate(*(summary[name].to_numpy() for name in ("mean", "lower", "upper")))
