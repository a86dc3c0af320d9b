"""What a fitted model says about the outcomes of the trial itself: event probabilities, log-likelihood, replicates.

Everything here is about the arm that each patient was assigned to. The group effects are in, as the model implies.

Draws from the prior, laid out as a posterior: what the model says before it has seen an outcome.

The tree has the variables, dims and labels of `hte_utils.model.fit.fit`, so that everything which takes a posterior
(risks,
effects, event probabilities) takes a prior as well. The tests hold these draws against PyMC's own.

Predictive checks: event rates that the model would expect, beside those that were observed.

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

from hte_utils.effects.cate import EffectScale, GroupEffects, PatientEffects, cate_draws, labelled
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.listing_2 import posterior_tree

if TYPE_CHECKING:
    from hte_utils.model.candidates import CandidateModel
    from hte_utils.model.listing_2 import Priors
    from hte_utils.model.spec import Patients, TrialDesign


OUTCOME = "event"
"""Name of the outcome in the groups `log_likelihood`, `posterior_predictive` and `observed_data`."""


def event_probability_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Probability of the event under the assigned arm, for every patient in every draw.

    `posterior`: Draws of the model, as `hte_utils.model.fit.fit` or `prior_draws.draw_from_prior` return them.
    `design`: The patients, with their arms.

    Dims chain, draw, patient; values in [0, 1].
    """
    log_odds = _assigned_log_odds(posterior, design)
    return labelled(1.0 / (1.0 + np.exp(-log_odds)), posterior).rename("event probability")


def log_likelihood_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Log-likelihood of every patient's observed outcome in every draw (Listing 2, lines 2-21; equation (9)).

    Parameters and errors as for `event_probability_draws`.

    Dims chain, draw, patient; name ``event``.
    """
    log_odds = _assigned_log_odds(posterior, design)
    # log P(y) = -log(1 + exp(±log odds)), minus for events: exact for rare outcomes too.
    log_odds *= (1.0 - 2.0 * design.outcome)[:, None]
    return labelled(-np.logaddexp(0.0, log_odds), posterior).rename(OUTCOME)


def replicate_outcomes(probabilities: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Draw one outcome for every patient and draw: a replicated trial per posterior draw (posterior predictive).

    0/1 (int8) of the same shape and labels; name ``event``.
    """
    events = rng.random(probabilities.shape) < probabilities.to_numpy()
    return probabilities.copy(data=events.astype(np.int8)).rename(OUTCOME)


def _assigned_log_odds(posterior: xr.DataTree, design: TrialDesign) -> FloatArray:
    """Shape (patients, draws), chain after chain."""
    everybody = slice(None)
    effects = PatientEffects.of(posterior, design, GroupEffects.INCLUDED)
    log_odds = effects.baseline.values(everybody)
    treated = design.treatment == 1.0
    log_odds[treated] += effects.ratio.values(everybody)[treated]
    return log_odds


def draw_from_prior(priors: Priors, patients: Patients, *, draws: int, rng: np.random.Generator) -> xr.DataTree:
    """Draw every quantity of the model from its prior.

    `patients`: Give the labels of covariates, modifiers and groups; their values do not matter.

    Group `posterior` (so called because that is where other functions look), dims chain (one) and draw, with the
    variables that `hte_utils.model.fit.fit` returns: effects are log odds ratios of the event, positive = more events.
    """
    n_groups = len(patients.group_labels)
    intercept = priors.shared_intercept
    values: dict[str, FloatArray] = {}
    for name in ("tau_re", "tau_re_trt"):
        values[name] = rng.gamma(priors.precision_shape, 1.0 / priors.precision_rate, draws)
    values["b_intercept"] = rng.normal(intercept.mean, intercept.sd, draws)
    values["b_trt"] = rng.normal(priors.shared_effect.mean, priors.shared_effect.sd, draws)
    values["b_prognostic"] = rng.normal(0.0, priors.fixed_sd, (draws, len(patients.prognostic_labels)))
    values |= _interactions(priors, len(patients.modifier_labels), draws, rng)
    for deviation, precision in (("re", "tau_re"), ("re_trt", "tau_re_trt")):
        values[deviation] = rng.standard_normal((draws, n_groups)) / np.sqrt(values[precision])[:, None]
    values["te_group"] = values["b_trt"][:, None] + values["re_trt"]
    return posterior_tree({name: value[None] for name, value in values.items()}, None, patients)


def _interactions(priors: Priors, n_modifiers: int, draws: int, rng: np.random.Generator) -> dict[str, FloatArray]:
    standard = rng.standard_normal((draws, n_modifiers))
    if priors.interaction_scale is None:
        return {"b_interaction": priors.fixed_sd * standard}
    sd = priors.interaction_scale * np.abs(rng.standard_normal(draws))
    return {"sd_interaction": sd, "b_interaction": sd[:, None] * standard}


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
