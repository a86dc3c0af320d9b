"""Logistic regression with treatment and covariates: one odds ratio for everybody.

The analysis that most trials report. Risk differences still differ between patients, because risks do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hte_utils.comparators.covariates import TrialNumbers
from hte_utils.comparators.estimates import MethodResult
from hte_utils.comparators.likelihood import fit_logistic
from hte_utils.comparators.logistic_effects import logistic_effects, main_effect_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd


def fit_constant(trial: pd.DataFrame, populations: Sequence[pd.DataFrame], _rng: np.random.Generator) -> MethodResult:
    """Constant odds ratio; see `hte_utils.comparators.estimates.Method`. No randomness."""
    numbers = TrialNumbers.of(trial)
    fitted = fit_logistic(main_effect_terms(numbers.covariates, numbers.treatment), numbers.outcome)
    estimates = []
    for population in populations:
        covariates = numbers.encode(population)
        untreated, treated = (main_effect_terms(covariates, arm) for arm in (0.0, 1.0))
        estimates.append(logistic_effects(fitted.coefficients, untreated, treated))
    return MethodResult(tuple(estimates), fitted.notes)
