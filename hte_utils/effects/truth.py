"""What is true in the simulated trial, laid out as the estimates are: by patient, scale, risk group and coefficient.

The event is bleeding: a log odds ratio or risk difference above 0, or a risk ratio above 1, is harm.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logit

from hte_utils.effects.averages import Measure, average_effects, effect_measures, everybody, true_risks
from hte_utils.effects.cate import EffectScale, GroupEffects, cate, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.logistic import fit_replicates
from hte_utils.effects.strata import RiskStrata, error_of_group_means
from hte_utils.model.checks import FloatArray
from hte_utils.model.listing_2 import listing2_draws
from hte_utils.model.spec import TrialDesign
from hte_utils.trial import LISTING_COEFFICIENTS, ListingCoefficients, TrialTruth, trial_table

_SHOWN = {
    EffectScale.LOG_ODDS_RATIO: ("log odds ratio", "+.2f", 1.0),
    EffectScale.RISK_DIFFERENCE: ("risk difference (points)", "+.1f", 100.0),
    EffectScale.RISK_RATIO: ("risk ratio", ".2f", 1.0),
}


def true_cate(truth: TrialTruth, scale: EffectScale) -> FloatArray:
    """Every patient's true effect of treatment (made on the log odds, as in Listing 1), shape (patients,)."""
    if scale is EffectScale.RISK_DIFFERENCE:
        return truth.risk_difference
    treated = truth.baseline_risk + truth.risk_difference
    if scale is EffectScale.RISK_RATIO:
        return np.asarray(treated / truth.baseline_risk)
    return np.asarray(logit(treated) - logit(truth.baseline_risk))


def evaluate(
    posterior: xr.DataTree,
    design: TrialDesign,
    truth: TrialTruth,
    *,
    scale: EffectScale = EffectScale.LOG_ODDS_RATIO,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
    interval: float = 0.95,
) -> pd.DataFrame:
    """Hold the effects that a posterior predicts for a simulated trial's patients against the true ones.

    `design` is that of the trial of `truth`, patient by patient; `interval` the probability of the credible intervals
    whose coverage is counted; the others are as for `cate.cate_draws`. Index `metric`, those of
    `evaluation.CateEvaluation`; columns `value` and `mcse`.

    Examples
    --------
    >>> import hte_utils as hte
    >>> truth = hte.simulate_truth(500, seed=1)
    >>> design = hte.PAPER_SPEC.design(hte.simulate_trial(500, seed=1))
    >>> bool(hte.evaluate(hte.fit(design), design, truth).loc["coverage", "value"] > 0.5)
    True
    """
    draws = cate_draws(posterior, design, scale=scale, group_effects=group_effects)
    metrics = evaluate_cate(draws, true_cate(truth, scale), interval=interval).metrics()
    return pd.DataFrame(list(metrics.values()), index=pd.Index(metrics, name="metric"))


def three_patients(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """True and predicted effect of the patients at the 5th, 50th and 95th percentile of true risk, on three scales.

    Rows: their risk without treatment (in %), and what is true and what is predicted, group effects in, with the
    central 95 % credible interval.
    """
    order = np.argsort(truth.baseline_risk, kind="stable")
    chosen = order[(np.array([0.05, 0.5, 0.95]) * (order.size - 1)).astype(int)]
    patients = design.apply(trial_table(truth).iloc[chosen])
    columns: dict[str, list[str]] = {}
    for scale, (label, pattern, factor) in _SHOWN.items():
        summary = cate(posterior, patients, scale=scale)
        predicted = (factor * summary[["mean", "lower", "upper"]].to_array().to_numpy()).T
        columns[label] = []
        for true, (mean, lower, upper) in zip(factor * true_cate(truth, scale)[chosen], predicted, strict=True):
            interval = f"{lower:{pattern}} to {upper:{pattern}}"
            columns[label] += [f"{true:{pattern}}", f"{mean:{pattern}} ({interval})"]
    risks = [f"{100 * truth.baseline_risk[patient]:.1f} %" for patient in chosen]
    index = pd.MultiIndex.from_product([risks, ["true", "predicted"]], names=["untreated risk", ""])
    return pd.DataFrame(columns, index=index)


def averages_beside_the_truth(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """Average effect over the trial's patients: true, and predicted without and with the group effects.

    Index `scale`, `group_effects`; `true`, `mean`, `mcse`, `lower`, `upper` (of the average; central 95 % credible
    interval). Risk differences are in percentage points.
    """
    true = effect_measures(true_risks(truth, everybody(design.n_patients)))
    found = {each: average_effects(posterior, design, group_effects=each) for each in GroupEffects}
    rows = {}
    for scale, measure in (
        (EffectScale.LOG_ODDS_RATIO, Measure.MEAN_LOG_ODDS_RATIO),
        (EffectScale.RISK_DIFFERENCE, Measure.RISK_DIFFERENCE),
    ):
        label, _, factor = _SHOWN[scale]
        for group_effects in (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED):
            row = found[group_effects].xs(measure.name, level="measure").iloc[0]
            row = row.rename({"mcse_mean": "mcse"})[["mean", "mcse", "lower", "upper"]]
            rows[label, group_effects.name] = {"true": factor * true[measure.name].item()} | dict(factor * row)
    index = pd.MultiIndex.from_tuples(rows, names=["scale", "group_effects"])
    return pd.DataFrame(list(rows.values()), index=index)


def true_effects_by_stratum(truth: TrialTruth, strata: RiskStrata) -> pd.DataFrame:
    """Mean over each `risk_group` of its patients' true `baseline_risk`, `risk_difference` (probabilities) and effect.

    That is `log_odds_ratio`; `share_harmed`: the share of patients whose risk treatment raises.
    """
    patients = pd.DataFrame(
        {
            "baseline_risk": truth.baseline_risk,
            "risk_difference": truth.risk_difference,
            "log_odds_ratio": true_cate(truth, EffectScale.LOG_ODDS_RATIO),
            "share_harmed": truth.risk_difference > 0,
        }
    )
    return patients.groupby(strata.group).mean().set_axis(strata.table.index)


def true_effects_error(risk: xr.DataArray, truth: TrialTruth) -> pd.Series:
    """Monte Carlo standard error of the true mean risk difference in each risk group; `risk` as `stratify_by_risk`."""
    return error_of_group_means(risk, truth.risk_difference)


def implied_coefficients(age_sd: float, coefficients: ListingCoefficients = LISTING_COEFFICIENTS) -> pd.Series:
    """Listing 1's coefficients on Listing 2's scale, where `age_sd` (years) divides age: log odds ratios of bleeding.

    The intercept and the gender-specific effects have no counterpart that is a single number, since the listing's other
    terms (systolic pressure, BMI above 30, prior bleeding as a modifier) are not in the model.
    """
    baseline, effect = coefficients.baseline, coefficients.effect
    return pd.Series(
        {
            "b_age": baseline.age * age_sd,
            "b_anticoag": baseline.anticoagulant,
            "b_bmi": 0.0,
            "b_diabetes": baseline.diabetes,
            "b_prior": baseline.prior_bleeding,
            "b_trt_age": effect.age_per_decade / 10 * age_sd,
            "b_trt_anticoag": effect.anticoagulant,
            "b_trt_diabetes": effect.diabetes,
        },
        name="truth",
    )


def best_fit(design: TrialDesign, truth: TrialTruth) -> pd.Series:
    """Fit Listing 2's terms to the true risks themselves: what infinitely many outcomes of these patients would give.

    Every patient counts without and with treatment. Terms of Listing 1 that Listing 2 lacks are taken up by those that
    it has, so these "pseudo-true" coefficients (White 1982) are not Listing 1's. Log odds ratios of bleeding, named as
    by `implied_coefficients`, and the sums ``alpha[g]`` and ``delta[g]``.
    """
    labels = [f"b_{label}" for label in design.prognostic_labels]
    labels += [f"b_trt_{label}" for label in design.modifier_labels]
    labels += [f"{term}[{label}]" for term in ("alpha", "delta") for label in design.group_labels]
    groups = np.eye(len(design.group_labels))[design.group]
    arms = [np.column_stack([design.prognostic, arm * design.modifiers, groups, arm * groups]) for arm in (0, 1)]
    risks = np.concatenate([truth.baseline_risk, truth.baseline_risk + truth.risk_difference])
    return pd.Series(fit_replicates(np.vstack(arms), risks)[0], index=labels, name="best fit")


def beside_the_truth(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """Posterior means and central 95 % intervals beside the coefficients that the listing implies, and the best fit."""
    [age] = (coding for coding in design.coding.covariates if coding.covariate.label == "age")
    implied = implied_coefficients(age.sd)
    draws = listing2_draws(posterior)[list(implied.index)]
    table = draws.to_array().transpose("variable", ...).to_numpy().reshape(len(implied), -1)
    lower, upper = np.quantile(table, (0.025, 0.975), axis=1)
    columns = {"truth": implied, "best fit": best_fit(design, truth)[implied.index]}
    return pd.DataFrame(columns | {"mean": table.mean(axis=1), "lower": lower, "upper": upper})
