"""Predictive checks: what a model says about trials, before it has seen outcomes (prior) and afterwards (posterior).

A prior is drawn in the form of a posterior, so that everything which takes one takes the other. Probabilities are those
under the arm that each patient was assigned to, with the group effects in, as the model implies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import optimize

from hte_utils.effects.cate import EffectScale, GroupEffects, PatientEffects, cate_draws, labelled
from hte_utils.model.candidates import CandidateModel
from hte_utils.model.checks import FloatArray
from hte_utils.model.listing_2 import Priors, posterior_tree
from hte_utils.model.spec import Patients, TrialDesign

_LIMITS = (0.025, 0.975)
_BATCHES = 50
_BLOCK = 500  # draws whose patients are in memory together


def event_probability_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Probability of the event under the assigned arm; dims chain, draw, patient."""
    log_odds = _assigned_log_odds(posterior, design)
    return labelled(1.0 / (1.0 + np.exp(-log_odds)), posterior)


def log_likelihood_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Log-likelihood of the observed outcomes (Listing 2, lines 2-21; equation (9)); dims chain, draw, patient."""
    log_odds = _assigned_log_odds(posterior, design)
    # log P(y) = -log(1 + exp(±log odds)), minus for events: exact for rare outcomes too.
    log_odds *= (1.0 - 2.0 * design.outcome)[:, None]
    return labelled(-np.logaddexp(0.0, log_odds), posterior)


def _assigned_log_odds(posterior: xr.DataTree, design: TrialDesign) -> FloatArray:
    """Shape (patients, draws), chain after chain."""
    everybody, treated = slice(None), design.treatment == 1.0
    effects = PatientEffects.of(posterior, design, GroupEffects.INCLUDED)
    log_odds = effects.baseline.values(everybody)
    log_odds[treated] += effects.ratio.values(everybody)[treated]
    return log_odds


def replicate_outcomes(probabilities: xr.DataArray, rng: np.random.Generator) -> xr.DataArray:
    """Draw an outcome, 0 or 1, for every patient in every draw: a replicated trial per draw; dims as given."""
    events = rng.random(probabilities.shape) < probabilities.to_numpy()
    return probabilities.copy(data=events.astype(np.int8))


def draw_from_prior(priors: Priors, patients: Patients, *, draws: int, rng: np.random.Generator) -> xr.DataTree:
    """Draw every quantity of the model from its prior, as one chain in the form of `hte_utils.model.fit.fit`.

    `patients` give the labels of covariates, modifiers and groups; their values do not matter.
    """
    shape = (draws, len(patients.group_labels))
    intercept, effect = priors.shared_intercept, priors.shared_effect
    values: dict[str, FloatArray] = {}
    for name in ("tau_re", "tau_re_trt"):
        values[name] = rng.gamma(priors.precision_shape, 1.0 / priors.precision_rate, draws)
    values["b_intercept"] = rng.normal(intercept.mean, intercept.sd, draws)
    values["b_trt"] = rng.normal(effect.mean, effect.sd, draws)
    values["b_prognostic"] = rng.normal(0.0, priors.fixed_sd, (draws, len(patients.prognostic_labels)))
    interactions = rng.standard_normal((draws, len(patients.modifier_labels)))
    if priors.interaction_scale is None:
        values["b_interaction"] = priors.fixed_sd * interactions
    else:
        values["sd_interaction"] = priors.interaction_scale * np.abs(rng.standard_normal(draws))
        values["b_interaction"] = values["sd_interaction"][:, None] * interactions
    values["re"] = rng.standard_normal(shape) / np.sqrt(values["tau_re"])[:, None]
    values["re_trt"] = rng.standard_normal(shape) / np.sqrt(values["tau_re_trt"])[:, None]
    values["te_group"] = values["b_trt"][:, None] + values["re_trt"]
    return posterior_tree({name: value[None] for name, value in values.items()}, None, patients)


def prior_prediction(
    model: CandidateModel, design: TrialDesign, *, draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Simulate trials of the given patients and arms from a model's prior; the observed outcomes are not looked at.

    One row per prior draw: `event_rate`, the share of events in a trial simulated from it; over the patients,
    `risk_difference`, their mean risk difference (a probability; positive: more events if treated), and
    `effect_spread`, the standard deviation of their log odds ratios.
    """
    included = GroupEffects.INCLUDED
    blocks = []
    for block in np.array_split(np.arange(draws), -(-draws // _BLOCK)):
        prior = draw_from_prior(model.priors, design, draws=len(block), rng=rng)
        outcomes = replicate_outcomes(event_probability_draws(prior, design), rng)
        difference = cate_draws(prior, design, scale=EffectScale.RISK_DIFFERENCE, group_effects=included)
        log_odds_ratio = cate_draws(prior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included)
        columns = {
            "event_rate": outcomes.mean("patient"),
            "risk_difference": difference.mean("patient"),
            "effect_spread": log_odds_ratio.std("patient", ddof=1),
        }
        blocks.append(pd.DataFrame({name: values.to_numpy().ravel() for name, values in columns.items()}))
    return pd.concat(blocks, ignore_index=True)


def prior_summary(prediction: pd.DataFrame) -> pd.DataFrame:
    """Medians of a `prior_prediction`, and probabilities that a clinician can judge.

    Index: quantity. `value`, and its Monte Carlo error `mcse`: the standard deviation over batches of the draws, which
    are independent, divided by the root of their number.
    """
    count = min(_BATCHES, len(prediction))
    batches = [_prior_summary(prediction.iloc[batch::count]) for batch in range(count)]
    error = pd.concat(batches, axis=1).std(axis=1) / np.sqrt(count)
    return pd.DataFrame({"value": _prior_summary(prediction), "mcse": error})


def _prior_summary(prediction: pd.DataFrame) -> pd.Series[float]:
    rate, difference = 100.0 * prediction["event_rate"], 100.0 * prediction["risk_difference"]
    return pd.Series(
        {
            "event rate, median (%)": rate.median(),
            "event rate, 2.5 % quantile (%)": rate.quantile(_LIMITS[0]),
            "event rate, 97.5 % quantile (%)": rate.quantile(_LIMITS[1]),
            "probability of an event rate below 10 % (%)": 100.0 * (rate < 10.0).mean(),
            "probability of an event rate above 30 % (%)": 100.0 * (rate > 30.0).mean(),
            "average risk difference, SD (points)": difference.std(),
            "probability that it is beyond ±10 points (%)": 100.0 * (difference.abs() > 10.0).mean(),
            "spread of the log odds ratios, median": prediction["effect_spread"].median(),
        }
    )


def replicated_trials(posterior: xr.DataTree, design: TrialDesign, rng: np.random.Generator) -> FloatArray:
    """Outcomes of the trial drawn anew once per posterior draw, 0 or 1, shape (draws, patients)."""
    replicated = replicate_outcomes(event_probability_draws(posterior, design), rng)
    return replicated.to_numpy().reshape(-1, design.n_patients).astype(np.float64)


type Groups = Mapping[str, NDArray[np.bool_]]
"""By name: who belongs to the group, shape (patients,)."""


def rates_by_group(replicated: FloatArray, design: TrialDesign, groups: Groups) -> pd.DataFrame:
    """Observed event rates of groups of patients, beside those of the `replicated_trials`.

    Index: group. `patients`, `events`, `observed` (rate), `expected` (mean of the replicates), `lower`, `upper` (their
    central 95 %), `p_value`: probability that a replicate has more events, ties counting half; near 0 or 1 is a misfit.
    It is conservative, since the same outcomes were fitted.
    """
    return _by_group(replicated, design, groups, lambda outcomes, members: outcomes[..., members].mean(axis=-1))


def differences_by_group(replicated: FloatArray, design: TrialDesign, groups: Groups) -> pd.DataFrame:
    """Difference of event rates, treated minus control, within groups of patients; columns as in `rates_by_group`."""
    treated = design.treatment == 1.0
    for name, members in groups.items():
        if not ((members & treated).any() and (members & ~treated).any()):
            raise ValueError(f"group {name!r} has an arm without patients: leave it out")

    def difference(outcomes: FloatArray, members: NDArray[np.bool_]) -> FloatArray:
        in_treated, in_control = outcomes[..., members & treated], outcomes[..., members & ~treated]
        return np.asarray(in_treated.mean(axis=-1) - in_control.mean(axis=-1))

    return _by_group(replicated, design, groups, difference)


def _by_group(
    replicated: FloatArray,
    design: TrialDesign,
    groups: Groups,
    statistic: Callable[[FloatArray, NDArray[np.bool_]], FloatArray],
) -> pd.DataFrame:
    rows = {}
    for name, members in groups.items():
        if not members.any():
            raise ValueError(f"group {name!r} has no patients: leave it out")
        observed, replicates = float(statistic(design.outcome, members)), statistic(replicated, members)
        # Rates of one group are multiples of 1/n: rounding must not turn a tie into a difference.
        ties = np.isclose(replicates, observed, rtol=0.0, atol=1e-12)
        above = (replicates > observed) & ~ties
        lower, upper = np.quantile(replicates, _LIMITS)
        rows[name] = {
            "patients": int(members.sum()),
            "events": int(design.outcome[members].sum()),
            "observed": observed,
            "expected": float(replicates.mean()),
            "lower": float(lower),
            "upper": float(upper),
            "p_value": float(above.mean() + 0.5 * ties.mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")


def calibration_curve(predicted: FloatArray, replicated: FloatArray, outcome: FloatArray) -> pd.DataFrame:
    """Observed against predicted risk by isotonic regression, with the band of replicated trials.

    The reliability diagram of Dimitriadis, Gneiting & Jordan (2021), which needs no bins. ArviZ's own takes the mean of
    the replicates for the predicted risk, which ties many patients; here it is the posterior mean probability.

    A row per patient, in the order of the predicted risk: `predicted`; `observed` (isotonic); `lower`, `upper`: central
    95 % of the same curve in `replicated_trials`.
    """
    order = np.argsort(predicted, kind="stable")
    curves = np.array([optimize.isotonic_regression(trial[order]).x for trial in replicated])
    lower, upper = np.quantile(curves, _LIMITS, axis=0)
    observed = optimize.isotonic_regression(outcome[order]).x
    return pd.DataFrame({"predicted": predicted[order], "observed": observed, "lower": lower, "upper": upper})


def bands(values: FloatArray, edges: tuple[float, ...], name: str, unit: str) -> dict[str, NDArray[np.bool_]]:
    """Cut a covariate into bands ``[edge, next edge)``; membership by label, e.g. "age 55-65 years"."""
    labels = [f"{name} < {edges[0]:g} {unit}"]
    labels += [f"{name} {low:g}–{high:g} {unit}" for low, high in pairwise(edges)]
    labels += [f"{name} ≥ {edges[-1]:g} {unit}"]
    place = np.searchsorted(edges, values, side="right")
    return {label: place == number for number, label in enumerate(labels)}
