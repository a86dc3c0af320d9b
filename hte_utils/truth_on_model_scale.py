"""The coefficients of Listing 1 on the scale of Listing 2, and what Listing 2's terms would give without any chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import statsmodels.api as sm

from hte_utils.parameters import listing2_draws
from hte_utils.trial import LISTING_COEFFICIENTS

if TYPE_CHECKING:
    import xarray as xr

    from hte_utils.spec import TrialDesign
    from hte_utils.trial import ListingCoefficients, TrialTruth


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
