"""The tests of heterogeneity that a frequentist report of the trial would hold.

Likelihood-ratio tests in logistic models: of all treatment-covariate interactions at once, of treatment x predicted
risk (the PATH statement's risk model), and of each interaction alone, with Holm's correction for their number. An
interaction is a ratio of odds ratios; on the log scale a positive one means more harm for patients with more of the
covariate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import chi2
from statsmodels.stats.multitest import multipletests

from hte_utils.effects.logistic import (
    COVARIATES,
    TrialNumbers,
    Z,
    fit_logistic,
    interaction_terms,
    listing_2_terms,
    main_effect_terms,
    risk_model,
)
from hte_utils.model.checks import FloatArray
from hte_utils.model.spec import PAPER_SPEC


class LikelihoodRatioTest(NamedTuple):
    """Two nested models compared: twice the difference of their log likelihoods, and that of their coefficients."""

    statistic: float
    df: int

    @property
    def p_value(self) -> float:
        """Probability of a larger statistic if the smaller model is true (chi-squared)."""
        return float(chi2.sf(self.statistic, self.df))


def all_interactions(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against every treatment-covariate interaction (8 of them)."""
    numbers = TrialNumbers.of(trial)
    return _test(numbers, numbers.covariates, interaction_terms(numbers.covariates, numbers.treatment))


def listing_2_interactions(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against the four interactions of Listing 2: age, anticoagulant, diabetes, gender."""
    numbers = TrialNumbers.of(trial, PAPER_SPEC)
    terms = listing_2_terms(numbers.covariates, numbers.treatment, gender=True)
    return _test(numbers, numbers.covariates, terms)


def risk_interaction(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against one that depends on the predicted risk (the PATH statement's model)."""
    numbers = TrialNumbers.of(trial)
    predicted = risk_model(numbers)[0](numbers.covariates)
    return _test(numbers, predicted, interaction_terms(predicted, numbers.treatment))


def interactions_one_at_a_time(trial: pd.DataFrame) -> pd.DataFrame:
    """Each interaction alone, beside the main effects of all covariates.

    Returns
    -------
    pandas.DataFrame
        Index `covariate`. `interaction`, `lower`, `upper`: change of the log odds ratio for one SD more (age, BMI,
        blood pressure) or for the second category against the first, with its Wald interval; `p_value` of the
        likelihood-ratio test, `p_holm` corrected by Holm's method for the number of covariates.
    """
    numbers = TrialNumbers.of(trial)
    main = main_effect_terms(numbers.covariates, numbers.treatment)
    constant = fit_logistic(main, numbers.outcome)
    rows = []
    for covariate in numbers.covariates.T:
        single = fit_logistic(np.column_stack([main, numbers.treatment * covariate]), numbers.outcome)
        value, reach = single.coefficients[-1], Z * np.sqrt(single.covariance[-1, -1])
        p_value = LikelihoodRatioTest(2.0 * (single.log_likelihood - constant.log_likelihood), 1).p_value
        rows.append({"interaction": value, "lower": value - reach, "upper": value + reach, "p_value": p_value})
    table = pd.DataFrame(rows, index=pd.Index(COVARIATES, name="covariate"))
    return table.assign(p_holm=multipletests(table["p_value"], method="holm")[1])


def _test(numbers: TrialNumbers, covariates: FloatArray, terms: FloatArray) -> LikelihoodRatioTest:
    """The covariates' main effects alone against these terms."""
    main = main_effect_terms(covariates, numbers.treatment)
    smaller, larger = (fit_logistic(each, numbers.outcome).log_likelihood for each in (main, terms))
    return LikelihoodRatioTest(2.0 * (larger - smaller), terms.shape[1] - main.shape[1])
