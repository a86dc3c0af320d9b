"""Predictive checks: event rates that the model would expect, beside those that were observed.

*Prior* predictive: what trials does the model expect before it has seen one? *Posterior* predictive: do trials that the
fitted model would produce look like the trial it was fitted to, in features that were not fitted one by one?
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from scipy import optimize

from hte_utils.bayesian_checks.outcome_model import OUTCOME, event_probability_draws, replicate_outcomes
from hte_utils.bayesian_checks.prior_draws import draw_from_prior
from hte_utils.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.trial_checks import FloatArray, IntArray

if TYPE_CHECKING:
    from hte_utils.candidate_models import CandidateModel
    from hte_utils.trial_design import TrialDesign

_LIMITS = (0.025, 0.975)
_BATCHES = 50
_BLOCK = 500  # draws whose patients are in memory together


@dataclass(frozen=True, slots=True, eq=False)
class PriorPrediction:
    """What a model expects of a trial of given patients before any outcome; one value a prior draw.

    `event_rate`: Share of events in a trial simulated from the draw, shape (draws,).
    `risk_difference`: Average risk difference, treated minus untreated, over the patients (a probability), shape
        (draws,).
    `effect_spread`: Standard deviation over the patients of their log odds ratios, shape (draws,).
    """

    event_rate: FloatArray
    risk_difference: FloatArray
    effect_spread: FloatArray

    def summary(self) -> pd.DataFrame:
        """Medians, and probabilities that a clinician can judge.

        Index: quantity. `value`, and its Monte Carlo error `mcse`: the standard deviation over `_BATCHES` batches of
        the draws, which are independent, divided by the root of their number.
        """
        count = min(_BATCHES, self.event_rate.size)
        batches = [self._summary(np.arange(batch, self.event_rate.size, count)) for batch in range(count)]
        error = pd.concat(batches, axis=1).std(axis=1) / np.sqrt(count)
        return pd.DataFrame({"value": self._summary(np.arange(self.event_rate.size)), "mcse": error})

    def _summary(self, chosen: IntArray) -> pd.Series[float]:
        rate, difference = 100.0 * self.event_rate[chosen], 100.0 * self.risk_difference[chosen]
        return pd.Series(
            {
                "event rate, median (%)": np.median(rate),
                "event rate, 2.5 % quantile (%)": np.quantile(rate, _LIMITS[0]),
                "event rate, 97.5 % quantile (%)": np.quantile(rate, _LIMITS[1]),
                "probability of an event rate below 10 % (%)": 100.0 * np.mean(rate < 10.0),
                "probability of an event rate above 30 % (%)": 100.0 * np.mean(rate > 30.0),
                "average risk difference, SD (points)": np.std(difference, ddof=1),
                "probability that it is beyond ±10 points (%)": 100.0 * np.mean(np.abs(difference) > 10.0),
                "spread of the log odds ratios, median": np.median(self.effect_spread[chosen]),
            }
        )


def prior_prediction(
    model: CandidateModel, design: TrialDesign, *, draws: int, rng: np.random.Generator
) -> PriorPrediction:
    """Simulate trials of the given patients from the model's prior.

    `design`: The patients and their arms, as `model` codes them; the outcomes are not looked at.
    `draws`: Number of prior draws, each with its simulated trial.
    """
    sizes = [len(block) for block in np.array_split(np.arange(draws), -(-draws // _BLOCK))]
    blocks = [_prior_prediction(model, design, size, rng) for size in sizes]
    rates, differences, spreads = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return PriorPrediction(rates, differences, spreads)


def _prior_prediction(
    model: CandidateModel, design: TrialDesign, draws: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray]:
    prior = draw_from_prior(model.priors, design, draws=draws, rng=rng)
    outcomes = replicate_outcomes(event_probability_draws(prior, design), rng)
    included = GroupEffects.INCLUDED
    difference = cate_draws(prior, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=included)
    log_odds_ratio = cate_draws(prior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included)
    return (
        outcomes.mean("patient").to_numpy().ravel(),
        difference.mean("patient").to_numpy().ravel(),
        log_odds_ratio.std("patient", ddof=1).to_numpy().ravel(),
    )


def posterior_predictive(posterior: xr.DataTree, design: TrialDesign, rng: np.random.Generator) -> xr.DataTree:
    """Replicate the trial once for every posterior draw, in the layout that ArviZ expects.

    Groups `posterior_predictive` (dims chain, draw, patient) and `observed_data` (dim patient), each with the variable
    ``event``.
    """
    replicates = replicate_outcomes(event_probability_draws(posterior, design), rng)
    observed = xr.DataArray(design.outcome.astype(np.int8), dims="patient", name=OUTCOME)
    return xr.DataTree.from_dict(
        {"posterior_predictive": replicates.to_dataset(), "observed_data": observed.to_dataset()}
    )


def rates_by_group(predictive: xr.DataTree, groups: Mapping[str, IntArray | FloatArray]) -> pd.DataFrame:
    """Observed event rate of groups of patients, beside the distribution of the replicated ones.

    `groups`: By name: which patients belong to the group, boolean or 0/1, shape (patients,).

    Index: group. `patients`, `events`, `observed` (rate), `expected` (mean of the replicates), `lower`, `upper` (their
    central 95 %), `p_value`: probability that a replicate has more events, ties counting half; near 0 or 1 is a misfit.
    It is conservative, since the same outcomes were fitted.
    """
    replicated, observed = _arrays(predictive)
    rows = {}
    for name, members in groups.items():
        chosen = np.asarray(members, dtype=bool)
        if not chosen.any():
            raise ValueError(f"group {name!r} has no patients: leave it out")
        rate, rates = float(observed[chosen].mean()), replicated[:, chosen].mean(axis=1)
        rows[name] = {
            "patients": int(chosen.sum()),
            "events": int(observed[chosen].sum()),
            "observed": rate,
            **_against(rate, rates),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")


def differences_by_group(
    predictive: xr.DataTree, design: TrialDesign, groups: Mapping[str, IntArray | FloatArray]
) -> pd.DataFrame:
    """Difference of event rates, treated minus control, within groups of patients; columns as in `rates_by_group`."""
    replicated, observed = _arrays(predictive)
    treated = design.treatment == 1.0
    rows = {}
    for name, members in groups.items():
        chosen = np.asarray(members, dtype=bool)
        arms = [chosen & treated, chosen & ~treated]
        if not all(arm.any() for arm in arms):
            raise ValueError(f"group {name!r} has an arm without patients: leave it out")
        difference = float(observed[arms[0]].mean() - observed[arms[1]].mean())
        differences = replicated[:, arms[0]].mean(axis=1) - replicated[:, arms[1]].mean(axis=1)
        counts = {"patients": int(chosen.sum()), "events": int(observed[chosen].sum())}
        rows[name] = {**counts, "observed": difference, **_against(difference, differences)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")


def calibration_curve(predicted: FloatArray, predictive: xr.DataTree) -> pd.DataFrame:
    """Observed against predicted risk by isotonic regression, with the band of replicated trials.

    The reliability diagram of Dimitriadis, Gneiting & Jordan (2021), which needs no bins. ArviZ's own takes the mean of
    the replicates for the predicted risk, which ties many patients; here it is the posterior mean probability.

    `predicted`: Predicted risk of every patient, shape (patients,).

    One row a patient, in the order of the predicted risk: `predicted`; `observed` (isotonic); `lower`, `upper`: central
    95 % of the same curve in replicated trials.
    """
    replicated, outcome = _arrays(predictive)
    order = np.argsort(predicted, kind="stable")
    curves = np.array([optimize.isotonic_regression(trial[order]).x for trial in replicated])
    lower, upper = np.quantile(curves, _LIMITS, axis=0)
    observed = optimize.isotonic_regression(outcome[order]).x
    return pd.DataFrame({"predicted": predicted[order], "observed": observed, "lower": lower, "upper": upper})


def bands(values: FloatArray, edges: tuple[float, ...], name: str, unit: str) -> dict[str, IntArray]:
    """Cut a covariate into bands ``[edge, next edge)``; returns membership by label, e.g. "age 55-65"."""
    limits = (-np.inf, *edges, np.inf)
    labels = [f"{name} < {edges[0]:g} {unit}"]
    labels += [f"{name} {low:g}–{high:g} {unit}" for low, high in pairwise(edges)]
    labels += [f"{name} ≥ {edges[-1]:g} {unit}"]
    between = zip(labels, pairwise(limits), strict=True)
    return {label: ((values >= low) & (values < high)).astype(np.int64) for label, (low, high) in between}


def _arrays(predictive: xr.DataTree) -> tuple[FloatArray, FloatArray]:
    replicated = predictive["posterior_predictive"][OUTCOME].transpose("chain", "draw", "patient").to_numpy()
    observed = predictive["observed_data"][OUTCOME].to_numpy()
    return replicated.reshape(-1, observed.size).astype(np.float64), observed.astype(np.float64)


def _against(value: float, replicates: FloatArray) -> dict[str, float]:
    # Rates of one group are multiples of 1/n: rounding must not turn a tie into a difference.
    above = np.mean(replicates > value + 1e-12) + 0.5 * np.mean(np.abs(replicates - value) <= 1e-12)
    lower, upper = np.quantile(replicates, _LIMITS)
    return {"expected": float(replicates.mean()), "lower": float(lower), "upper": float(upper), "p_value": float(above)}
