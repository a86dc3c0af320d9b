"""Effects in subgroups and of single patients by a model that learns from the trial how much they can differ.

A logistic regression whose interactions with treatment share a size ω that the trial has a say in
(`Priors.interaction_scale`), fitted by the project's engine; with times, a hazard in place of the odds, with an effect
that may change over time, and risks by the horizon. Beside it: what the subgroups show without a model, how
the answer changes with the prior, and cross-fitted predictions of effects held against outcomes they have not seen.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hte_utils.corrected.cross_fitting import N_FOLDS, Cohort, EffectPredictions
from hte_utils.corrected.decisions import autoc, doubly_robust_scores
from hte_utils.corrected.effect_calibration import c_for_benefit, regress_log_odds_ratio
from hte_utils.corrected.subgroups import memberships
from hte_utils.effects.averages import Measure, draws_of, effect_measures, everybody, standardised_risks
from hte_utils.effects.cate import EffectScale, cate
from hte_utils.effects.logistic import fit_replicates
from hte_utils.effects.survival import patient_effects_by, risks_by
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.model.fit import FitRecord, FitWarning, record_of
from hte_utils.model.listing_2 import Priors
from hte_utils.model.quick_posterior import QuickFallbackWarning, quick_posterior
from hte_utils.model.spec import Covariate, CovariateCoding, DesignCoding, TrialDesign, TrialSpec
from hte_utils.model.survival import quick_times
from hte_utils.report.columns import OwnTrial
from hte_utils.report.hazards import Hazards
from hte_utils.report.heterogeneity import RiskModel
from hte_utils.report.times import as_times, crude_effects

if TYPE_CHECKING:
    import xarray as xr

MOST_GROUPS = 8
"""Levels of a group beyond which its effects enter as one covariate: in more dimensions than that the quick engine's
proposal fails, and other engines need minutes for thousands of patients."""
MOST_SUBGROUP_LEVELS = 8
_DRAWS = 500
_RIDGE_SD = 0.35  # of interactions, in cross-fitted predictions: the prior median of ω
SENSITIVITY = (0.5, 1.0, 2.0)
THRESHOLDS = (0.0, 0.005, 0.01, 0.02, 0.05)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Shrunken(NamedTuple):
    """What the model says. Effects are risk differences, as probabilities.

    `subgroups`: index population ("column: level"); counts by arm, `estimate`, `lower`, `upper` without a model, and
    `mean`, `model_lower`, `model_upper` (95 % credible) with it. `patients`: quantiles over patients of the posterior
    means, and of the ends of their intervals. `sure`: share of patients whose effect is positive, and negative, with a
    probability above 95 %. `average`: index measure, of all patients, by the model. `sensitivity`: index the prior's
    scale; `mean`, `lower`, `upper` of the average effect and the spread `sd_patients` of the patients' posterior means.
    `fits`: how each posterior was made.
    """

    subgroups: pd.DataFrame
    patients: pd.DataFrame
    sure: tuple[float, float]
    average: pd.DataFrame
    sensitivity: pd.DataFrame
    fits: tuple[FitRecord, ...]
    group_as_covariate: bool


def subgroup_members(trial: OwnTrial) -> pd.DataFrame:
    """Who belongs to which subgroup: those asked for, or every factor and the median of every number."""
    cuts: Mapping[str, tuple[float, ...]] = trial.question.subgroups
    columns: dict[str, object] = {}
    for each in trial.covariates:
        columns[each.name] = each.numbers
        if each.levels:
            columns[each.name] = _categorical(each.numbers.astype(np.int64), each.levels)
    title = " × ".join(trial.question.group)
    if trial.has_group:
        columns[title] = _categorical(trial.group, trial.group_labels)
    if not cuts:
        found: dict[str, tuple[float, ...]] = {}
        for each in trial.covariates:
            if not each.levels:
                found[each.name] = (float(np.median(each.numbers)),)
            elif len(each.levels) <= MOST_SUBGROUP_LEVELS:
                found[each.name] = ()
        if trial.has_group and len(trial.group_labels) <= MOST_SUBGROUP_LEVELS:
            found[title] = ()
        cuts = found
    members = memberships(pd.DataFrame(columns), cuts)
    both = [bool(np.unique(trial.treatment[members[name]]).size == 2) for name in members]
    return members.loc[:, both]


def _categorical(codes: IntArray, levels: tuple[str, ...]) -> pd.Categorical:
    return pd.Categorical(np.array(levels, dtype=object)[codes], categories=list(levels))


def shrunken_effects(trial: OwnTrial, members: pd.DataFrame) -> Shrunken:
    """Fit the model to every imputed version of the trial and pool the draws; FitWarning raised if a fit failed."""
    scale = trial.question.interaction_scale
    measures, fits, patients, positive = [], [], [], []
    for posterior, design, record in _posteriors(trial, scale):
        measures.append(effect_measures(_risks(trial, posterior, design, members)))
        fits.append(record)
        effects = _patient_effects(trial, posterior, design)
        patients.append(np.stack([effects[name].to_numpy() for name in ("mean", "lower", "upper")]))
        positive.append(effects["p_harm"].to_numpy())
    pooled, each = _draws(measures, Measure.RISK_DIFFERENCE), np.mean(patients, axis=0)
    averages = {measure.name: _draws(measures, measure)[:, 0] for measure in Measure}
    sure = np.mean(positive, axis=0)
    table = crude_effects(trial, members).xs(Measure.RISK_DIFFERENCE.name, level="measure")
    lower, upper = np.quantile(pooled, (0.025, 0.975), axis=0)
    table = pd.DataFrame(table).assign(mean=pooled.mean(axis=0), model_lower=lower, model_upper=upper)
    spread = np.quantile(each, QUANTILES, axis=1)
    return Shrunken(
        table,
        pd.DataFrame(spread, index=pd.Index(QUANTILES, name="quantile"), columns=["mean", "lower", "upper"]),
        (float((sure > 0.95).mean()), float((sure < 0.05).mean())),
        pd.DataFrame.from_dict({name: _summary(draws) for name, draws in averages.items()}, orient="index"),
        _sensitivity(trial, pooled[:, 0], float(each[0].std())),
        tuple(fits),
        trial.has_group and len(trial.group_labels) > MOST_GROUPS,
    )


def missed_by_model(trial: OwnTrial, members: pd.DataFrame, truth: FloatArray) -> tuple[FloatArray, float]:
    """Whether the model's interval misses each population's true effect, and the share of the patients' that miss.

    `truth`: each patient's risk difference. NaN where the quick engine could not fit the model, or there is nothing to
    fit it to.
    """
    unknown = np.full(members.shape[1], np.nan), np.nan
    if trial.outcome.min() == trial.outcome.max():
        return unknown
    try:
        posterior, design, _ = next(_posteriors(trial, trial.question.interaction_scale, fallback="error"))
    except (FitWarning, QuickFallbackWarning, np.linalg.LinAlgError):
        return unknown
    draws = _draws([effect_measures(_risks(trial, posterior, design, members))], Measure.RISK_DIFFERENCE)
    lower, upper = np.quantile(draws, (0.025, 0.975), axis=0)
    true = np.array([truth[members[name]].mean() for name in members])
    of_patients = _patient_effects(trial, posterior, design)
    beyond = (truth < of_patients["lower"].to_numpy()) | (of_patients["upper"].to_numpy() < truth)
    return np.asarray((true < lower) | (upper < true), dtype=np.float64), float(beyond.mean())


def _risks(trial: OwnTrial, posterior: xr.DataTree, design: TrialDesign, members: pd.DataFrame) -> xr.Dataset:
    """Average risks of populations, with times by the horizon."""
    if trial.question.horizon is None:
        return standardised_risks(posterior, design, members)
    return risks_by(posterior, design, trial.question.horizon, members)


def _draws(measures: list[xr.Dataset], measure: Measure) -> FloatArray:
    """Average effects, shape (draws, populations), of all imputed versions together."""
    return np.concatenate([draws_of(each[measure.name]) for each in measures])


def _summary(draws: FloatArray) -> dict[str, float]:
    lower, upper = np.quantile(draws, (0.025, 0.975))
    return {"estimate": float(draws.mean()), "lower": float(lower), "upper": float(upper), "se": float(draws.std())}


def _patient_effects(trial: OwnTrial, posterior: xr.DataTree, design: TrialDesign) -> xr.Dataset | pd.DataFrame:
    """Each patient's risk difference: `mean`, `lower`, `upper`, `p_harm`."""
    if trial.question.horizon is None:
        return cate(posterior, design, scale=EffectScale.RISK_DIFFERENCE)
    return patient_effects_by(posterior, design, trial.question.horizon)


def _sensitivity(trial: OwnTrial, average: FloatArray, sd: float) -> pd.DataFrame:
    rows = {}
    scale = trial.question.interaction_scale
    for factor in SENSITIVITY:
        draws, spread = average, sd
        if factor != 1.0:
            posterior, design, _ = next(_posteriors(trial, factor * scale))
            measures = [effect_measures(_risks(trial, posterior, design, everybody(trial.n)))]
            draws = _draws(measures, Measure.RISK_DIFFERENCE)[:, 0]
            means = _patient_effects(trial, posterior, design)["mean"].to_numpy()
            spread = float(means.std())
        lower, upper = np.quantile(draws, (0.025, 0.975))
        rows[factor * scale] = {"mean": draws.mean(), "lower": lower, "upper": upper, "sd_patients": spread}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("scale")


def _posteriors(
    trial: OwnTrial, scale: float, fallback: Literal["ignore", "error"] = "ignore"
) -> Iterator[tuple[xr.DataTree, TrialDesign, FitRecord]]:
    """A posterior for each imputed version, by the quick engine, or by NUTS where that fails (or an error instead)."""
    for number in range(len(trial.imputed)):
        design = model_design(trial, number)
        priors = Priors(
            precision_rate=0.25,
            intercept_mean=float(logit(trial.outcome.mean())),
            intercept_sd=1.0,
            interaction_scale=scale,
        )
        seed = np.random.SeedSequence((trial.question.seed, 13, number))
        with warnings.catch_warnings():
            warnings.simplefilter(fallback, QuickFallbackWarning)  # the record says it, and the page with it
            warnings.simplefilter("error", FitWarning)
            if trial.time is None:
                found = quick_posterior(design, priors=priors, draws=_DRAWS, seed=seed)
                posterior, record = found.tree(), found.record
            else:
                times = replace(as_times(trial), trial=design)
                hazard = float(np.log(times.events.sum() / times.exposure.sum()))
                priors = replace(priors, intercept_mean=hazard)
                changes = times.ends.size > 1
                posterior = quick_times(times, priors=priors, changing_effect=changes, draws=_DRAWS, seed=seed)
                record = record_of(posterior)
        yield posterior, design, record


def model_design(trial: OwnTrial, number: int) -> TrialDesign:
    """The trial as the hierarchical model sees it. Labels are numbered: a reader's names may be anything.

    Without a group everybody is in one. A group of many levels enters as one covariate, the shrunken log odds of its
    levels in a regression without interactions.
    """
    prognostic = trial.matrix(number)
    group, labels = trial.group, tuple(str(place) for place in range(len(trial.group_labels)))
    modifiers, n_modifiers = trial.modifier_matrix(number)
    if trial.has_group and len(labels) > MOST_GROUPS:
        model = RiskModel.of(trial, number)
        if trial.time is None:
            coefficients = fit_replicates(model.terms, trial.outcome, precision=model.precision)[0]
        else:
            coefficients = Hazards.of(trial, number).fit()
        level = trial.group_dummies() @ coefficients[-len(labels) + 1 :]
        prognostic = np.column_stack([prognostic, level - level.mean()])
        group, labels = np.zeros_like(group), ("0",)
    names = tuple(f"x{place}" for place in range(prognostic.shape[1]))
    spec = TrialSpec(
        "outcome", "treatment", "group", tuple(Covariate(name, name) for name in names), names[:n_modifiers]
    )
    coding = DesignCoding(spec, tuple(CovariateCoding(each, None, 0.0, 1.0) for each in spec.prognostic), labels)
    return TrialDesign(prognostic, modifiers, group.copy(), coding, trial.outcome, trial.treatment)


class Predicted(NamedTuple):
    """Cross-fitted predictions of effects against outcomes that they have not seen.

    `slope`: what to multiply the predicted log odds ratios' differences with (1 if calibrated, 0 if they have nothing
    to do with the effects); `concordance`: C-for-benefit (0.5 is chance); `autoc`: area under the targeting curve, a
    risk difference. `net_benefit`: index threshold; `treated` (share of the patients whose predicted benefit exceeds
    it), `net_benefit` of treating these, and of treating `everybody`, per patient.
    """

    slope: float
    concordance: float
    autoc: float
    net_benefit: pd.DataFrame


def predicted_effects(trial: OwnTrial, fold: IntArray) -> Predicted:
    """Predict each patient's effect by ridge regressions fitted to the other folds, and hold that against outcomes."""
    model = RiskModel.of(trial)
    modifiers, _ = trial.modifier_matrix(0)
    arm = model.terms[:, 1:2]
    terms = np.hstack([model.terms, arm * modifiers])
    precision = np.append(model.precision, np.full(modifiers.shape[1], _RIDGE_SD**-2))
    others = (fold != np.arange(N_FOLDS)[:, None]).astype(np.float64)
    fits = fit_replicates(terms, trial.outcome, weights=others, precision=precision)[fold]
    n_main = model.terms.shape[1]
    log_odds = np.einsum("ij,ij->i", model.terms, fits[:, :n_main]) - fits[:, 1] * arm[:, 0]
    ratio = fits[:, 1] + np.einsum("ij,ij->i", modifiers, fits[:, n_main:])
    risk = expit(log_odds)
    predictions = EffectPredictions(risk, expit(log_odds + ratio) - risk, ratio, np.full(trial.n, np.nan))
    outcome, treatment = trial.outcome.astype(np.int64), trial.treatment.astype(np.int64)
    unknown = np.full(trial.n, np.nan)  # nobody knows the truth of a real trial
    share = float(trial.treatment.mean())
    cohort = Cohort(outcome, treatment, unknown, unknown, unknown, share)
    scores = doubly_robust_scores(predictions, outcome, treatment, p_treated=share)
    good = 1.0 if trial.question.benefit else -1.0
    rows = {}
    for threshold in THRESHOLDS:
        chosen = good * predictions.risk_difference > threshold
        rows[threshold] = {
            "treated": chosen.mean(),
            "net_benefit": (chosen * (good * scores - threshold)).mean(),
            "everybody": (good * scores - threshold).mean(),
        }
    _, slope = regress_log_odds_ratio(predictions, cohort)
    return Predicted(
        slope.value,
        c_for_benefit(predictions.risk_difference, trial.outcome, treatment).value,
        autoc(good * predictions.risk_difference, good * scores).value,
        pd.DataFrame.from_dict(rows, orient="index").rename_axis("threshold"),
    )
