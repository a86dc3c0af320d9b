"""The tests of heterogeneity that a frequentist report of the trial would hold.

Likelihood-ratio tests in logistic models: of all treatment-covariate interactions at once, of treatment x predicted
risk (the PATH statement's risk model), and of each interaction alone, with Holm's correction for their number. An
interaction is a ratio of odds ratios; on the log scale a positive one means more harm for patients with more of the
covariate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2, norm

from hte_utils.comparators.covariates import COVARIATES, TrialNumbers
from hte_utils.comparators.estimates import INTERVAL
from hte_utils.comparators.likelihood import LikelihoodFit, fit_logistic
from hte_utils.comparators.logistic_effects import interaction_terms, main_effect_terms
from hte_utils.comparators.risk_modelling import predicted_log_odds
from hte_utils.spec import PAPER_SPEC

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LikelihoodRatioTest:
    """Two nested models compared.

    Attributes
    ----------
    statistic
        Twice the difference of the log likelihoods.
    df
        Number of coefficients by which the models differ.
    """

    statistic: float
    df: int

    @property
    def p_value(self) -> float:
        """Probability of a larger statistic if the smaller model is true (chi-squared)."""
        return float(chi2.sf(self.statistic, self.df))


def all_interactions(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against every treatment-covariate interaction (8 of them)."""
    numbers = TrialNumbers.of(trial)
    constant = fit_logistic(main_effect_terms(numbers.covariates, numbers.treatment), numbers.outcome)
    full = fit_logistic(interaction_terms(numbers.covariates, numbers.treatment), numbers.outcome)
    return _compare(constant, full, len(COVARIATES))


def listing_2_interactions(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against the four interactions of Listing 2: age, anticoagulant, diabetes, gender."""
    design = PAPER_SPEC.design(trial)
    group = np.eye(len(design.group_labels))[design.group]
    arm = design.treatment[:, None]
    common = [group, design.prognostic, arm]
    varying = [group[:, 1:] * arm, design.modifiers * arm]
    constant, full = (fit_logistic(np.hstack(terms), design.outcome) for terms in (common, [*common, *varying]))
    return _compare(constant, full, sum(each.shape[1] for each in varying))


def risk_interaction(trial: pd.DataFrame) -> LikelihoodRatioTest:
    """One odds ratio for everybody against one that depends on the predicted risk (the PATH statement's model)."""
    numbers = TrialNumbers.of(trial)
    predicted = predicted_log_odds(numbers)(numbers.covariates)[:, None]
    constant = fit_logistic(main_effect_terms(predicted, numbers.treatment), numbers.outcome)
    varying = fit_logistic(interaction_terms(predicted, numbers.treatment), numbers.outcome)
    return _compare(constant, varying, 1)


def interactions_one_at_a_time(trial: pd.DataFrame) -> pd.DataFrame:
    """Each interaction alone, beside the main effects of all covariates.

    Returns
    -------
    pandas.DataFrame
        Index `covariate`. `interaction`, `lower`, `upper`: change of the log odds ratio for one SD more (age, BMI,
        blood pressure) or for the second category against the first, with its Wald interval; `p_value` of the
        likelihood-ratio test, `p_holm` corrected by Holm's method for the number of covariates.
    """
    import pandas as pd
    from statsmodels.stats.multitest import multipletests

    numbers = TrialNumbers.of(trial)
    main = main_effect_terms(numbers.covariates, numbers.treatment)
    constant = fit_logistic(main, numbers.outcome)
    rows = []
    for column in range(len(COVARIATES)):
        product = numbers.treatment * numbers.covariates[:, column]
        single = fit_logistic(np.column_stack([main, product]), numbers.outcome)
        rows.append({**_last_coefficient(single), "p_value": _compare(constant, single, 1).p_value})
    table = pd.DataFrame(rows, index=pd.Index(COVARIATES, name="covariate"))
    return table.assign(p_holm=multipletests(table["p_value"], method="holm")[1])


def _compare(smaller: LikelihoodFit, larger: LikelihoodFit, df: int) -> LikelihoodRatioTest:
    return LikelihoodRatioTest(2.0 * (larger.log_likelihood - smaller.log_likelihood), df)


def _last_coefficient(fitted: LikelihoodFit) -> dict[str, float]:
    value = float(fitted.coefficients.value[-1])
    covariance = fitted.coefficients.covariance
    reach = norm.isf((1.0 - INTERVAL) / 2.0) * float(np.sqrt(np.nan if covariance is None else covariance[-1, -1]))
    return {"interaction": value, "lower": value - reach, "upper": value + reach}
