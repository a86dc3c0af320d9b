"""The coefficients that Listing 1 implies for the model of Listing 2: what a perfect analysis would find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hte_utils.parameters import listing2_draws
from hte_utils.trial import LISTING_COEFFICIENTS

if TYPE_CHECKING:
    import xarray as xr

    from hte_utils.trial import ListingCoefficients


def implied_coefficients(age_sd: float, coefficients: ListingCoefficients = LISTING_COEFFICIENTS) -> pd.Series:
    """Translate the listing's coefficients to the scale on which Listing 2 estimates them.

    Parameters
    ----------
    age_sd
        Standard deviation (years) by which age is divided in the model.
    coefficients
        Of the data-generating listing.

    Returns
    -------
    pandas.Series
        Log odds ratios of bleeding by the paper's parameter names (positive: more bleeding): per standard deviation
        of age, per yes against no. BMI has no effect of its own in the listing. The intercept and the gender-specific
        effects have no counterpart that is a single number, since the listing's other terms (systolic pressure,
        BMI above 30, prior bleeding as a modifier) are not in the model.
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


def beside_the_truth(posterior: xr.DataTree, age_sd: float, probability: float = 0.95) -> pd.DataFrame:
    """Lay posterior means and central intervals beside the coefficients that the listing implies.

    Parameters
    ----------
    posterior
        Draws of Listing 2.
    age_sd
        As for :func:`implied_coefficients`.
    probability
        Of the interval.

    Returns
    -------
    pandas.DataFrame
        One row per coefficient; columns truth, mean, lower, upper (log odds ratios of bleeding).
    """
    truth = implied_coefficients(age_sd)
    draws = listing2_draws(posterior)[list(truth.index)]
    tail = (1 - probability) / 2
    columns = {
        "mean": draws.mean(),
        "lower": draws.quantile(tail).drop_vars("quantile"),
        "upper": draws.quantile(1 - tail).drop_vars("quantile"),
    }
    estimates = {name: dataset.to_array().to_pandas() for name, dataset in columns.items()}
    return pd.DataFrame({"truth": truth, **estimates})
