"""What is true in the simulated trial, laid out as the estimates are: by patient, by scale, by risk group.

The event is bleeding: a log odds ratio or risk difference above 0, or a risk ratio above 1, is harm.

The coefficients of Listing 1 on the scale of Listing 2, and what Listing 2's terms would give without any chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import statsmodels.api as sm
import xarray as xr

from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws, summarise_cate
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.model.diagnostics import modern_diagnostics
from hte_utils.model.listing_2 import listing2_draws
from hte_utils.trial import LISTING_COEFFICIENTS, trial_table

if TYPE_CHECKING:
    from hte_utils.effects.monte_carlo import FloatArray
    from hte_utils.effects.strata import RiskStrata
    from hte_utils.model.spec import TrialDesign
    from hte_utils.trial import ListingCoefficients, TrialTruth


_SHOWN = {
    EffectScale.LOG_ODDS_RATIO: ("log odds ratio", "+.2f", 1.0),
    EffectScale.RISK_DIFFERENCE: ("risk difference (points)", "+.1f", 100.0),
    EffectScale.RISK_RATIO: ("risk ratio", ".2f", 1.0),
}
_THINNING = 5  # a fifth of the draws tells the size of a Monte Carlo error well enough


def true_cate(truth: TrialTruth, scale: EffectScale) -> FloatArray:
    """Every patient's true effect of treatment (made on the log odds, as in Listing 1), shape (patients,)."""
    untreated, difference = truth.baseline_risk, truth.risk_difference
    if scale is EffectScale.RISK_DIFFERENCE:
        return np.asarray(difference)
    treated = untreated + difference
    if scale is EffectScale.RISK_RATIO:
        return np.asarray(treated / untreated)
    return np.asarray(np.log(treated / (1 - treated)) - np.log(untreated / (1 - untreated)))


def three_patients(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """True and predicted effect of a patient at low, middle and high true risk, on three scales.

    Predictions have the group effects in; with them, in brackets, the central 95 % credible interval.

    Returns
    -------
    pandas.DataFrame
        Rows: the patients at the 5th, 50th and 95th percentile of the true risk without treatment (in %), and for each
        what is true and what is predicted. Columns: odds ratio, risk difference (percentage points), risk ratio.
    """
    order = np.argsort(truth.baseline_risk, kind="stable")
    chosen = order[(np.array([0.05, 0.5, 0.95]) * (order.size - 1)).astype(int)]
    patients = design.apply(trial_table(truth).iloc[chosen])
    columns: dict[str, list[str]] = {}
    for scale, (label, pattern, factor) in _SHOWN.items():
        summary = summarise_cate(posterior, patients, scale=scale, group_effects=GroupEffects.INCLUDED)
        predicted = (factor * summary[["mean", "lower", "upper"]].to_array().to_numpy()).T
        columns[label] = []
        for true, (mean, lower, upper) in zip(factor * true_cate(truth, scale)[chosen], predicted, strict=True):
            interval = f"{lower:{pattern}} to {upper:{pattern}}"
            columns[label] += [f"{true:{pattern}}", f"{mean:{pattern}} ({interval})"]
    risks = [f"{100 * truth.baseline_risk[patient]:.1f} %" for patient in chosen]
    index = pd.MultiIndex.from_product([risks, ["true", "predicted"]], names=["untreated risk", ""])
    return pd.DataFrame(columns, index=index)


def true_effects_by_stratum(truth: TrialTruth, strata: RiskStrata) -> pd.DataFrame:
    """Mean over the patients of each risk group of what is true of them.

    Index `risk_group`; `baseline_risk` and `risk_difference` (probabilities), `log_odds_ratio`, and `share_harmed`, the
    share of patients whose risk treatment raises.
    """
    patients = pd.DataFrame(
        {
            "baseline_risk": truth.baseline_risk,
            "risk_difference": truth.risk_difference,
            "log_odds_ratio": true_cate(truth, EffectScale.LOG_ODDS_RATIO),
            "share_harmed": truth.risk_difference > 0,
        }
    )
    means = patients.groupby(strata.group).mean()
    return means.set_axis(strata.table.index)


def average_effects(posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth) -> pd.DataFrame:
    """Average effect over the trial's patients: true, and predicted without and with the group effects.

    Returns
    -------
    pandas.DataFrame
        Index: scale and computation. Columns `true`; `mean`, `mcse`, `lower`, `upper`: posterior mean of the average,
        its Monte Carlo standard error, and the central 95 % credible interval. Risk differences are in percentage
        points.
    """
    rows = {}
    for scale in (EffectScale.LOG_ODDS_RATIO, EffectScale.RISK_DIFFERENCE):
        label, _, factor = _SHOWN[scale]
        true = factor * float(true_cate(truth, scale).mean())
        for group_effects in (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED):
            draws = cate_draws(posterior, design, scale=scale, group_effects=group_effects)
            average = factor * draws.mean("patient")
            lower, upper = np.quantile(average, (0.025, 0.975))
            rows[label, group_effects.name] = {
                "true": true,
                "mean": float(average.mean()),
                "mcse": float(modern_diagnostics(average.to_dataset(name="average"))["mcse_mean"].iloc[0]),
                "lower": float(lower),
                "upper": float(upper),
            }
    index = pd.MultiIndex.from_tuples(rows, names=["scale", "group_effects"])
    return pd.DataFrame(list(rows.values()), index=index)


def true_effects_error(risk: xr.DataArray, truth: TrialTruth) -> pd.Series:
    """Monte Carlo standard error of the true mean risk difference in each risk group.

    The truth has no such error, but who belongs to which group has: the patients are ranked by posterior means.
    `risk`: draws of the baseline risk, dims (chain, draw, patient).
    """
    few = risk.isel(draw=slice(None, None, _THINNING))
    constant = xr.zeros_like(few) + xr.DataArray(truth.risk_difference, dims="patient")
    strata = stratify_by_risk(few, constant, relative_length=_THINNING)
    return strata.mcse["mean_te"]


def implied_coefficients(age_sd: float, coefficients: ListingCoefficients = LISTING_COEFFICIENTS) -> pd.Series:
    """Translate the listing's coefficients to the scale of Listing 2, where `age_sd` (years) divides age.

    Log odds ratios of bleeding by the paper's parameter names (positive: more bleeding): per standard deviation of
    age, per yes against no. BMI has no effect of its own in the listing. The intercept and the gender-specific effects
    have no counterpart that is a single number, since the listing's other terms (systolic pressure, BMI above 30, prior
    bleeding as a modifier) are not in the model.
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

    Every patient counts with both true risks, without and with treatment. A term of Listing 1 that Listing 2 lacks is
    taken up by those that it has, so that these "pseudo-true" coefficients are not Listing 1's (White 1982).
    Log odds ratios of bleeding, named as in :func:`implied_coefficients`.
    """
    labels = [f"b_{label}" for label in design.prognostic_labels]
    labels += [f"b_trt_{label}" for label in design.modifier_labels]
    groups = np.eye(len(design.group_labels))[design.group]
    arms = [np.column_stack([design.prognostic, arm * design.modifiers, groups, arm * groups]) for arm in (0, 1)]
    risks = np.concatenate([truth.baseline_risk, truth.baseline_risk + truth.risk_difference])
    fitted = sm.GLM(risks, np.vstack(arms), family=sm.families.Binomial()).fit()
    return pd.Series(fitted.params[: len(labels)], index=labels, name="best fit")


def beside_the_truth(
    posterior: xr.DataTree, design: TrialDesign, truth: TrialTruth, probability: float = 0.95
) -> pd.DataFrame:
    """Lay posterior means and central intervals beside the coefficients that the listing implies.

    One row per coefficient; columns truth, best fit, mean, lower, upper (log odds ratios of bleeding).
    """
    [age] = (coding for coding in design.coding.covariates if coding.covariate.label == "age")
    implied = implied_coefficients(age.sd)
    draws = listing2_draws(posterior)[list(implied.index)]
    tail = (1 - probability) / 2
    columns = {
        "mean": draws.mean(),
        "lower": draws.quantile(tail).drop_vars("quantile"),
        "upper": draws.quantile(1 - tail).drop_vars("quantile"),
    }
    estimates = {name: dataset.to_array().to_pandas() for name, dataset in columns.items()}
    return pd.DataFrame({"truth": implied, "best fit": best_fit(design, truth)[implied.index], **estimates})
