"""Effects in subgroups and between them, without a prior, and who is harmed with which probability.

Effects within subgroups by a posterior come from `hte_utils.effects.averages`. Whether subgroups *differ* is a question
about their difference (a test within each does not answer it). The event is bleeding: a risk difference or log odds
ratio above 0, or a risk ratio above 1, is **harm**.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.effects.averages import Measure, draws_of, effect_measures, everybody
from hte_utils.effects.logistic import Z, delta_method_errors, fit_logistic, risks_and_gradients
from hte_utils.model.checks import FloatArray, complete_column, one_per_patient, read_covariate
from hte_utils.model.spec import TrialDesign

if TYPE_CHECKING:
    import xarray as xr

SUBGROUPS: Final[Mapping[str, tuple[float, ...]]] = {"gender": (), "age": (65,), "anticoagulant": (), "diabetes": ()}
"""Columns of the trial by which chapter 9 divides the patients: thresholds of a number, none for categories."""
HARM_CLASSES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def memberships(trial: pd.DataFrame, subgroups: Mapping[str, tuple[float, ...]] = SUBGROUPS) -> pd.DataFrame:
    """Who belongs to which population: all patients first, then each subgroup.

    `subgroups` by column: increasing thresholds of a number (a value equal to one belongs to the lower group), or none:
    one subgroup per category that occurs. Boolean, a row per patient, columns named ``"variable: level"``.
    """
    tables = [everybody(len(trial))]
    for name, cuts in subgroups.items():
        if any(not low < high for low, high in pairwise(cuts)):
            raise ValueError(f"thresholds of {name!r} must be in increasing order, not {cuts!r}")
        if cuts:
            between = [f"above {low:g} to {high:g}" for low, high in pairwise(cuts)]
            labels = [f"{cuts[0]:g} or less", *between, f"above {cuts[-1]:g}"]
            level: Any = pd.Categorical.from_codes(np.searchsorted(cuts, read_covariate(trial, name)), pd.Index(labels))
        else:
            values = complete_column(trial, name)
            if not isinstance(values.dtype, pd.CategoricalDtype):
                raise TypeError(f"column {name!r} must be categorical, not {values.dtype}: give thresholds")
            level = pd.Categorical(values.cat.remove_unused_categories())
        tables.append(pd.get_dummies(level, prefix=name, prefix_sep=": "))
    return pd.concat(tables, axis=1)


def neighbouring_levels(members: pd.DataFrame) -> list[tuple[str, str]]:
    """Pairs of populations that are neighbouring levels of the same variable, lower level first."""
    variable = {name: name.partition(": ")[0] for name in members.columns}
    return [(low, high) for low, high in pairwise(members.columns) if variable[low] == variable[high]]


def subgroup_contrasts(risks: xr.Dataset, pairs: Sequence[tuple[str, str]], *, interval: float = 0.95) -> pd.DataFrame:
    """How much the average risk difference of one population exceeds that of another (interaction).

    `risks` are those of `averages.standardised_risks`, `pairs` of populations (first, second). Index: "second minus
    first"; `mean`, and `lower`, `upper` of the equal-tailed credible interval (positive: the second is harmed more).
    """
    effects = effect_measures(risks)[Measure.RISK_DIFFERENCE.name]
    rows = {}
    for first, second in pairs:
        difference = np.diff(draws_of(effects.sel(population=[first, second])), axis=1)
        lower, upper = np.quantile(difference, ((1 - interval) / 2, (1 + interval) / 2))
        rows[f"{second} minus {first}"] = {"mean": difference.mean(), "lower": lower, "upper": upper}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("contrast")


def harm_by_probability(p_harm: npt.ArrayLike, true_difference: npt.ArrayLike) -> pd.DataFrame:
    """Hold each patient's posterior probability of harm against the true risk difference (positive = harm).

    Index: classes of `p_harm`, a value on a bound in the upper one. `patients`; `expected_harmed`, the mean of
    `p_harm`; `truly_harmed`, the share whose true risk difference is positive; `true_difference`, its mean (a
    probability). NaN where a class is empty.
    """
    probability, difference = one_per_patient("p_harm", p_harm), np.asarray(true_difference)
    if probability.min() < 0.0 or probability.max() > 1.0:
        raise ValueError("p_harm must hold probabilities from 0 to 1: hand over cate(...)['p_harm']")
    labels = [f"{low:g} to {high:g}" for low, high in pairwise(HARM_CLASSES)]
    place = np.searchsorted(HARM_CLASSES[1:-1], probability, side="right")
    by_class = pd.DataFrame(
        {"expected_harmed": probability, "truly_harmed": difference > 0, "true_difference": difference}
    ).groupby(place)
    table = by_class.mean().reindex(range(len(labels)))
    table.insert(0, "patients", by_class.size().reindex(table.index, fill_value=0))
    return table.set_axis(pd.Index(labels, name="P(harm)"))


_INTERVALS = {
    Measure.RISK_DIFFERENCE: ("diff", "newcomb"),
    Measure.RISK_RATIO: ("ratio", "log"),
    Measure.MARGINAL_LOG_ODDS_RATIO: ("odds-ratio", "logit"),
}


def unadjusted_effects(design: TrialDesign, members: pd.DataFrame, *, interval: float = 0.95) -> pd.DataFrame:
    """Compare the event rates of the two arms, without a model.

    Index `population` (columns of `members`), `measure` (risk difference, risk ratio, marginal log odds ratio by the
    names of `Measure`); columns `estimate`, `lower`, `upper` (Newcombe's interval for the difference, log intervals for
    the ratios; NaN for a ratio of nothing), and `events_control`, `n_control`, `events_treated`, `n_treated`.
    """
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name in members.columns:
        counts: dict[str, float] = {}
        for arm, treatment in {"control": 0.0, "treated": 1.0}.items():
            chosen = members[name].to_numpy() & (design.treatment == treatment)
            if not chosen.any():
                raise ValueError(f"population {name!r} has no {arm} patients: it cannot be compared; leave it out")
            counts |= {f"events_{arm}": int(design.outcome[chosen].sum()), f"n_{arm}": int(chosen.sum())}
        events, n, events_control, n_control = (
            counts[f"{what}_{arm}"] for arm in ("treated", "control") for what in ("events", "n")
        )
        found = compared_rates(events, n, events_control, n_control, interval)
        rows |= {(name, measure): effect | counts for measure, effect in found.items()}
    return _table(rows)


def compared_rates(
    events: float, n: float, events_control: float, n_control: float, interval: float = 0.95
) -> dict[str, dict[str, float]]:
    """Effects of two event rates with their intervals, by measure; the counts need not be whole numbers."""
    treated, control = events / n, events_control / n_control
    estimates = {Measure.RISK_DIFFERENCE: treated - control}
    if min(treated, control) > 0.0:
        estimates[Measure.RISK_RATIO] = treated / control
        if max(treated, control) < 1.0:
            estimates[Measure.MARGINAL_LOG_ODDS_RATIO] = float(logit(treated) - logit(control))
    rows: dict[str, dict[str, float]] = {}
    for measure, (compare, method) in _INTERVALS.items():
        found = dict.fromkeys(("estimate", "lower", "upper"), math.nan)
        if measure in estimates:
            ends = confint_proportions_2indep(
                events, n, events_control, n_control, compare=compare, method=method, alpha=1.0 - interval
            )
            lower, upper = np.log(ends) if measure is Measure.MARGINAL_LOG_ODDS_RATIO else ends
            found = {"estimate": estimates[measure], "lower": float(lower), "upper": float(upper)}
        rows[measure.name] = found
    return rows


def likelihood_effects(design: TrialDesign, members: pd.DataFrame) -> pd.DataFrame:
    """Average effects by maximum likelihood with the terms of the Bayesian model, standardised: no prior.

    One intercept and one treatment effect per group, the prognostic covariates, and the interactions of the modifiers
    with treatment; the result is that of `standardised_effects`. ValueError if the likelihood has no maximum.
    """
    fitted = fit_logistic(model_terms(design, design.treatment), design.outcome)
    if fitted.notes:
        raise ValueError(
            f"the likelihood has no maximum ({', '.join(fitted.notes)}): events are separated by the covariates. Use "
            "fewer covariates, a penalty, or a prior"
        )
    untreated, treated = (model_terms(design, np.full(design.n_patients, arm)) for arm in (0.0, 1.0))
    return standardised_effects(fitted.coefficients, fitted.covariance, untreated, treated, members)


def model_terms(design: TrialDesign, treatment: FloatArray) -> FloatArray:
    """Terms of the Bayesian model under the given treatment, shape (patients, coefficients)."""
    group = np.eye(len(design.group_labels))[design.group]
    treated = treatment[:, None]
    return np.hstack([group, group * treated, design.prognostic, design.modifiers * treated])


def standardised_effects(
    coefficients: FloatArray, covariance: FloatArray, untreated: FloatArray, treated: FloatArray, members: pd.DataFrame
) -> pd.DataFrame:
    """Average effects over populations with 95 % intervals by the delta method, the patients taken as given.

    `untreated` and `treated` are the terms of a logistic regression if nobody, and if everybody is treated, shape
    (patients, coefficients). Index `population`, `measure` (all of `Measure`); columns `estimate`, `lower`, `upper`,
    `se`. Of the risk ratio, `se` is that of its logarithm, from which its interval is made.
    """
    rows = {}
    for name in members.columns:
        inside = members[name].to_numpy()
        arms = [risks_and_gradients(coefficients, terms[inside]) for terms in (untreated, treated)]
        (p0, p1), (d0, d1) = ([each[k].mean(axis=0) for each in arms] for k in (0, 1))
        contrast = (treated[inside] - untreated[inside]).mean(axis=0)
        odds = p0 * (1.0 - p0), p1 * (1.0 - p1)
        found = {
            Measure.RISK_DIFFERENCE: (p1 - p0, d1 - d0),
            Measure.RISK_RATIO: (np.log(p1 / p0), d1 / p1 - d0 / p0),
            Measure.MARGINAL_LOG_ODDS_RATIO: (logit(p1) - logit(p0), d1 / odds[1] - d0 / odds[0]),
            Measure.MEAN_LOG_ODDS_RATIO: (contrast @ coefficients, contrast),
        }
        for measure, (estimate, gradient) in found.items():
            se = float(delta_method_errors(gradient, covariance))
            row = np.array([estimate, estimate - Z * se, estimate + Z * se])
            row = np.exp(row) if measure is Measure.RISK_RATIO else row
            rows[name, measure.name] = dict(zip(("estimate", "lower", "upper"), row, strict=True)) | {"se": se}
    return _table(rows)


def _table(rows: dict[tuple[str, str], dict[str, float]]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["population", "measure"])
    return pd.DataFrame(list(rows.values()), index=index)
