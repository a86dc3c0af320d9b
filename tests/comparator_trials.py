"""Trials for the tests of the methods ladder."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from hte_utils.effects.logistic import TrialNumbers
from hte_utils.trial import (
    LISTING_COEFFICIENTS,
    EffectCoefficients,
    ListingCoefficients,
    TrialTruth,
    simulate_trial,
    simulate_truth,
)

LINEAR = ListingCoefficients(effect=EffectCoefficients(obese=0.0))
"""Listing 1 without its threshold in BMI: a logistic model with all interactions is then exactly right."""
SAME_FOR_ALL = ListingCoefficients(
    effect=EffectCoefficients(
        base=0.4, age_per_decade=0.0, anticoagulant=0.0, diabetes=0.0, obese=0.0, prior_bleeding=0.0
    )
)
"""One odds ratio for everybody."""


@cache
def trial_of(
    n_subjects: int = 2000, seed: int = 123, coefficients: ListingCoefficients = LISTING_COEFFICIENTS
) -> pd.DataFrame:
    return simulate_trial(n_subjects, seed, coefficients=coefficients).drop(columns="true_te")


@cache
def truth_of(
    n_subjects: int = 2000, seed: int = 123, coefficients: ListingCoefficients = LISTING_COEFFICIENTS
) -> TrialTruth:
    return simulate_truth(n_subjects, seed, coefficients=coefficients)


@cache
def numbers_of(n_subjects: int = 2000, seed: int = 123) -> TrialNumbers:
    return TrialNumbers.of(trial_of(n_subjects, seed))


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_events(trial: pd.DataFrame, rows: list[int]) -> pd.DataFrame:
    """The same patients, with events in these rows only."""
    event = np.zeros(len(trial), dtype=np.int64)
    event[rows] = 1
    return trial.assign(event=event)
