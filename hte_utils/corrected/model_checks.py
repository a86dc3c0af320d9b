"""Checks of a model, before it has seen outcomes (prior) and afterwards; sensitivity to its priors; comparison.

The event is major bleeding in the paper's trial, so positive effects are harm. The group effects are in.

- A prior is drawn in the form of a posterior, so that everything which takes one takes the other.
- What a report states are averages over patients and risk groups, not single coefficients: so those are diagnosed.
- Models are compared by leave-one-out cross-validation with Pareto-smoothed importance sampling (Vehtari, Gelman &
  Gabry 2017; computed by ArviZ).
- Power-scaling (Kallioinen et al. 2024; ArviZ's `psense`) raises a prior, or the likelihood, to a power near 1, and
  importance sampling gives the posterior that this would lead to. *Sensitivity* is how fast a posterior moves with the
  logarithm (base 2) of that power. Only top-level priors are scaled, as they advise for hierarchical models: the law of
  gender's deviations given their precision, and of the interactions given their common SD, belong to the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy import optimize, stats
from scipy.special import expit, logit

from hte_utils.effects.cate import EffectScale, GroupEffects, PatientEffects, baseline_risk_draws, cate_draws, labelled
from hte_utils.effects.monte_carlo import draws_matrix, jackknife_mean
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.candidates import CandidateModel
from hte_utils.model.checks import FloatArray
from hte_utils.model.diagnostics import modern_diagnostics
from hte_utils.model.listing_2 import Priors, posterior_tree
from hte_utils.model.spec import Patients, TrialDesign
from hte_utils.trial import TrialTruth

LIKELIHOOD: Final = "likelihood"
THRESHOLD: Final = 0.05
"""Sensitivity that Kallioinen et al. (2024) call worth attention."""
_LIMITS, _QUINTILES, _BATCHES = (0.025, 0.975), 5, 50
_BLOCK = 500  # draws whose patients are in memory together


def event_probability_draws(posterior: xr.DataTree, design: TrialDesign) -> xr.DataArray:
    """Probability of the event under the assigned arm; dims chain, draw, patient."""
    return labelled(1.0 / (1.0 + np.exp(-_assigned_log_odds(posterior, design))), posterior)


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
    return probabilities.copy(data=(rng.random(probabilities.shape) < probabilities.to_numpy()).astype(np.int8))


def _laws(priors: Priors) -> dict[str, Any]:
    """The laws of what has a prior of its own, as SciPy's distributions."""
    intercept, effect = priors.shared_intercept, priors.shared_effect
    precision = stats.gamma(priors.precision_shape, scale=1.0 / priors.precision_rate)
    return {
        "tau_re": precision,
        "tau_re_trt": precision,
        "b_intercept": stats.norm(intercept.mean, intercept.sd),
        "b_trt": stats.norm(effect.mean, effect.sd),
        "b_prognostic": stats.norm(0.0, priors.fixed_sd),
    }


def draw_from_prior(priors: Priors, patients: Patients, *, draws: int, rng: np.random.Generator) -> xr.DataTree:
    """Draw every quantity of the model from its prior, as one chain in the form of `hte_utils.model.fit.fit`.

    `patients` give the labels of covariates, modifiers and groups; their values do not matter.
    """
    sizes = {"b_prognostic": (draws, len(patients.prognostic_labels))}
    values = {name: law.rvs(sizes.get(name, draws), random_state=rng) for name, law in _laws(priors).items()}
    interactions = rng.standard_normal((draws, len(patients.modifier_labels)))
    if priors.interaction_scale is None:
        values["b_interaction"] = priors.fixed_sd * interactions
    else:
        values["sd_interaction"] = priors.interaction_scale * np.abs(rng.standard_normal(draws))
        values["b_interaction"] = values["sd_interaction"][:, None] * interactions
    for name in ("re", "re_trt"):
        deviations = rng.standard_normal((draws, len(patients.group_labels)))
        values[name] = deviations / np.sqrt(values[f"tau_{name}"])[:, None]
    values["te_group"] = values["b_trt"][:, None] + values["re_trt"]
    return posterior_tree({name: value[None] for name, value in values.items()}, None, patients)


def prior_prediction(
    model: CandidateModel, design: TrialDesign, *, draws: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Simulate trials of the given patients and arms from a model's prior; the observed outcomes are not looked at.

    One row per prior draw: `event_rate`, the share of events; over the patients, `risk_difference`, the mean (a
    probability), and `effect_spread`, the standard deviation of the log odds ratios.
    """
    blocks = []
    for block in np.array_split(np.arange(draws), -(-draws // _BLOCK)):
        prior = draw_from_prior(model.priors, design, draws=len(block), rng=rng)
        outcomes = replicate_outcomes(event_probability_draws(prior, design), rng)
        difference, log_odds_ratio = (
            cate_draws(prior, design, scale=scale, group_effects=GroupEffects.INCLUDED)
            for scale in (EffectScale.RISK_DIFFERENCE, EffectScale.LOG_ODDS_RATIO)
        )
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
    found = {}
    for name, members in groups.items():
        if not members.any():
            raise ValueError(f"group {name!r} has no patients: leave it out")
        found[name] = design.outcome[members].mean(), replicated[:, members].mean(axis=1)
    return _beside_replicates(found, design, groups)


def differences_by_group(replicated: FloatArray, design: TrialDesign, groups: Groups) -> pd.DataFrame:
    """Difference of event rates, treated minus control, within groups of patients; columns as in `rates_by_group`."""
    found, treated = {}, design.treatment == 1.0
    for name, members in groups.items():
        arms = members & treated, members & ~treated
        if not (arms[0].any() and arms[1].any()):
            raise ValueError(f"group {name!r} has an arm without patients: leave it out")
        observed, replicates = (
            [outcomes[..., arm].mean(axis=-1) for arm in arms] for outcomes in (design.outcome, replicated)
        )
        found[name] = observed[0] - observed[1], replicates[0] - replicates[1]
    return _beside_replicates(found, design, groups)


def _beside_replicates(
    found: Mapping[str, tuple[Any, FloatArray]], design: TrialDesign, groups: Groups
) -> pd.DataFrame:
    rows = {}
    for name, (observed, replicates) in found.items():
        # Rates of one group are multiples of 1/n: rounding must not turn a tie into a difference.
        ties = np.isclose(replicates, observed, rtol=0.0, atol=1e-12)
        lower, upper = np.quantile(replicates, _LIMITS)
        rows[name] = {
            "patients": int(groups[name].sum()),
            "events": int(design.outcome[groups[name]].sum()),
            "observed": observed,
            "expected": replicates.mean(),
            "lower": lower,
            "upper": upper,
            "p_value": ((replicates > observed) & ~ties).mean() + 0.5 * ties.mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("group")


def calibration_curve(predicted: FloatArray, replicated: FloatArray, outcome: FloatArray) -> pd.DataFrame:
    """Observed against predicted risk by isotonic regression, with the central 95 % of `replicated_trials`.

    The reliability diagram of Dimitriadis, Gneiting & Jordan (2021), which needs no bins. ArviZ's own takes the mean of
    the replicates for the predicted risk, which ties many patients; here it is the posterior mean probability. A row
    per patient, in the order of the predicted risk: `predicted`, `observed`, `lower`, `upper`.
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


def reported_quantities(posterior: xr.DataTree, patients: Patients) -> xr.Dataset:
    """Draws of the averages over `patients` that a report of this trial would state; dims chain, draw.

    `risk untreated`, `risk treated`: mean event probability (per cent) if nobody, everybody is treated; `average log
    odds ratio`; `average risk difference`, and `risk difference Q1` to `Q5` by quintile of the posterior mean risk
    without treatment (percentage points).
    """
    included = GroupEffects.INCLUDED
    untreated = 100.0 * baseline_risk_draws(posterior, patients, group_effects=included)
    log_odds_ratio, difference = (
        cate_draws(posterior, patients, scale=scale, group_effects=included)
        for scale in (EffectScale.LOG_ODDS_RATIO, EffectScale.RISK_DIFFERENCE)
    )
    difference = 100.0 * difference
    quintile = quantile_groups(untreated.mean(["chain", "draw"]), _QUINTILES)
    quantities = {
        "risk untreated": untreated.mean("patient"),
        "risk treated": (untreated + difference).mean("patient"),
        "average log odds ratio": log_odds_ratio.mean("patient"),
        "average risk difference": difference.mean("patient"),
    }
    for number in range(1, _QUINTILES + 1):
        quantities[f"risk difference Q{number}"] = difference.isel(patient=quintile == number).mean("patient")
    return xr.Dataset({name: values.drop_attrs().rename(name) for name, values in quantities.items()})


def diagnostics_of_quantities(quantities: xr.Dataset) -> pd.DataFrame:
    """Mean, SD and today's diagnostics of derived quantities (Vehtari et al. 2021; ArviZ).

    Index: quantity. Columns `mean`, `sd`, `r_hat` (rank-normalised), `ess_bulk`, `ess_tail`, `mcse_mean`, `mcse_sd`,
    the last two in the quantity's unit.
    """
    both = ["chain", "draw"]
    found = {"mean": quantities.mean(both), "sd": quantities.std(both, ddof=1)}
    moments = pd.DataFrame({name: each.to_array("quantity").to_series() for name, each in found.items()})
    return moments.join(modern_diagnostics(quantities)).rename_axis("quantity")


def diagnostics_of_worst_patients(effects: xr.DataArray, n_worst: int = 50) -> pd.DataFrame:
    """Diagnostics of the patients' effects whose Monte Carlo error is largest beside their posterior SD.

    All patients are screened by batch means, which is fast; ArviZ then looks at the `n_worst` worst. `effects` are
    draws of the CATE, dims chain, draw, patient. As `diagnostics_of_quantities`, by patient, smallest bulk ESS first.
    """
    matrix, edges = draws_matrix(effects)
    relative_error = jackknife_mean(matrix, edges).mcse() / matrix.std(axis=0, ddof=1)
    worst = effects.isel(patient=np.argsort(relative_error)[::-1][:n_worst])
    each = {str(int(patient)): worst.sel(patient=patient, drop=True) for patient in worst["patient"].to_numpy()}
    table = diagnostics_of_quantities(xr.Dataset(each).drop_attrs())
    return table.rename_axis("patient").sort_values("ess_bulk")


def leave_one_out(posterior: xr.DataTree, design: TrialDesign) -> Any:
    """ArviZ's estimate of the elpd of the trial's patients, each left out in turn, with pointwise values and Pareto k.

    The expected log predictive density (elpd) is that of a new patient's outcome, summed over the patients. Two
    thousand draws are plenty.
    """
    log_likelihood = log_likelihood_draws(posterior, design).to_dataset(name="event")
    groups = {"posterior": posterior["posterior"].to_dataset(), "log_likelihood": log_likelihood}
    return _arviz_stats().loo(xr.DataTree.from_dict(groups), pointwise=True)


def elpd_error(posterior: xr.DataTree, design: TrialDesign) -> float:
    """Monte Carlo standard error of the elpd that `leave_one_out` estimates, for nearly independent draws.

    A patient's leave-one-out density is the harmonic mean of the likelihoods over the draws; each draw moves the sum of
    their logarithms over all patients at once (delta method).
    """
    inverse = np.exp(-log_likelihood_draws(posterior, design).to_numpy()).reshape(-1, design.n_patients)
    influence = (inverse / inverse.mean(axis=0)).sum(axis=1)
    return float(influence.std(ddof=1) / np.sqrt(influence.size))


def comparison_table(estimates: Mapping[str, Any], reference: str) -> pd.DataFrame:
    """Lay the models' elpds (`leave_one_out`, by label, of the same patients) beside that of a reference model.

    Index: model, in the order given; `elpd` and its standard error `se`; `difference` from the reference (positive:
    predicts better) and `se_difference`, from the patients' paired differences; `p_loo`, the effective number of
    parameters; `largest_k`, the largest Pareto k (below 0.7 is sound).
    """
    compared = _arviz_stats().compare(dict(estimates), reference=reference, round_to="none").loc[list(estimates)]
    names = {"elpd": "elpd", "se": "se", "elpd_diff": "difference", "dse": "se_difference", "p": "p_loo"}
    largest_k = [float(estimate.pareto_k.max()) for estimate in estimates.values()]
    table = pd.DataFrame(compared[list(names)]).rename(columns=names)
    return table.assign(largest_k=largest_k).rename_axis("model")


def attainable_difference(truth: TrialTruth) -> dict[str, float]:
    """What knowing every true effect gains in log predictive density over the best constant odds ratio.

    Both forecasts of a treated patient start from the true baseline risk; one adds the true effect on the log odds, the
    other the `constant` that predicts best on average. `expected` gain, summed over the patients of the trial; its `sd`
    over the outcomes of such trials; `realised`, the gain with the outcomes of this trial.
    """
    treated = truth.treatment == 1
    baseline = logit(truth.baseline_risk[treated])
    true = truth.event_probability[treated]
    # The derivative of the expected log score: bleeds predicted minus bleeds expected.
    constant = float(optimize.brentq(lambda value: (expit(baseline + value) - true).sum(), -10.0, 10.0))
    forecast = expit(baseline + constant)
    if_event, if_none = np.log(true / forecast), np.log((1.0 - true) / (1.0 - forecast))
    return {
        "constant": constant,
        "expected": float((true * if_event + (1.0 - true) * if_none).sum()),
        "sd": float(np.sqrt((true * (1.0 - true) * np.square(if_event - if_none)).sum())),
        "realised": float(np.where(truth.event[treated] == 1, if_event, if_none).sum()),
    }


def log_prior_draws(posterior: xr.DataTree, priors: Priors) -> xr.Dataset:
    """Log density of every top-level prior at every draw; dims chain, draw.

    Variables `intercept` (b_intercept), `treatment` (b_trt), `main effects` (b_prognostic), `interactions`
    (b_interaction, or their common SD if it is learned), `precisions` (tau_re and tau_re_trt).
    """
    draws, laws = posterior["posterior"].to_dataset(), _laws(priors)
    scale = priors.interaction_scale
    interactions = "b_interaction" if scale is None else "sd_interaction"
    laws[interactions] = laws["b_prognostic"] if scale is None else stats.halfnorm(scale=scale)

    def log_density(name: str) -> xr.DataArray:
        values = draws[name]
        others = [dim for dim in values.dims if dim not in ("chain", "draw")]
        return values.copy(data=np.asarray(laws[name].logpdf(values.to_numpy()))).sum(others)

    return xr.Dataset(
        {
            "intercept": log_density("b_intercept"),
            "treatment": log_density("b_trt"),
            "main effects": log_density("b_prognostic"),
            "interactions": log_density(interactions),
            "precisions": log_density("tau_re") + log_density("tau_re_trt"),
        }
    )


def sensitivity(posterior: xr.DataTree, design: TrialDesign, priors: Priors, quantities: xr.Dataset) -> pd.DataFrame:
    """Power-scaling sensitivity of quantities of the same draws (dims chain, draw) to priors and likelihood.

    Index: quantity. Columns: the variables of `log_prior_draws`, `all priors`, and `likelihood`.
    """
    for dim in ("chain", "draw"):
        if not quantities[dim].equals(posterior["posterior"].to_dataset()[dim]):
            raise ValueError(f"quantities and posterior differ in their {dim} labels: compute them from the same draws")
    log_prior = log_prior_draws(posterior, priors)
    log_likelihood = log_likelihood_draws(posterior, design).sum("patient").to_dataset(name=LIKELIHOOD)
    tree = xr.DataTree.from_dict({"posterior": quantities, "log_prior": log_prior, "log_likelihood": log_likelihood})

    def sense(group: str, component: str | None) -> pd.Series[float]:
        found = _arviz_stats().psense(tree, group=group, group_var_names=component)
        return pd.Series({str(name): float(value) for name, value in found.data_vars.items()})

    columns = {str(name): sense("prior", str(name)) for name in log_prior.data_vars}
    columns |= {"all priors": sense("prior", None), LIKELIHOOD: sense("likelihood", LIKELIHOOD)}
    return pd.DataFrame(columns).rename_axis("quantity")


def _arviz_stats() -> Any:
    return import_module("arviz_stats")  # when used: it takes seconds to load, and has no type hints
