"""The trial as the paper's text describes it: Table 2 and equations (1) to (4), taken literally.

The tables of the paper come from Listing 1 (`hte_utils.trial.listing_1`), which differs from the text. Here the text
has the word: age, BMI and blood pressure are truly truncated, gender has probability 0.52, and the treatment acts
through "age > 65", anticoagulants and "BMI > 30", each of which raises the risk of bleeding.

What the text leaves open: the betas of equation (1) are Listing 1's; for the gammas of equation (3) the defaults below
say where they come from; "truncated at realistic values" says nothing about which: see `SBP_LIMITS`. *Equation (4)*,
``logit(P_event) = logit(P_baseline + T TE)``, adds the effect to the probability, inside the logit: read literally, TE
is a risk difference, where Listing 1 has a log odds ratio. The literal reading is the default.

The event is major bleeding: a positive effect is harm on either scale. Random numbers are NumPy's, for there is no
stream of the paper's to follow.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Final, SupportsIndex

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import truncnorm

from hte_utils.trial import listing_1
from hte_utils.trial.listing_1 import Binary, Covariates, EffectScale, TrialTruth
from hte_utils.trial.r_stream import FloatArray

FEMALE_PROBABILITY: Final = 0.52
SBP_LIMITS: Final = (80.0, 220.0)
"""mmHg, as `DBP_LIMITS`: beyond them a trial would query a reading. They cut off one patient in 4000."""
DBP_LIMITS: Final = (40.0, 130.0)


@dataclass(frozen=True, slots=True)
class DescribedEffects:
    """The gammas of equation (3), positive is harm, and the scale that their sum is on.

    `older` is for age above 65, `anticoagulant` for users of anticoagulants, `obese` for a BMI above 30.
    """

    base: float
    older: float
    anticoagulant: float
    obese: float
    scale: EffectScale


LOG_ODDS_EFFECTS: Final = DescribedEffects(
    0.2, older=0.5, anticoagulant=0.4, obese=0.2, scale=EffectScale.LOG_ODDS_RATIO
)
"""Listing 1's magnitudes with the signs of the text: -0.2 and -0.2 turn positive, 0.5 for ten years above 55 becomes
0.5 for being above 65."""
RISK_DIFFERENCE_EFFECTS: Final = DescribedEffects(0.01, 0.025, 0.02, 0.01, scale=EffectScale.RISK_DIFFERENCE)
"""The same effects as probabilities: times 0.05, the mean over Listing 1's patients of p (1 - p), which is the slope of
the probability on the log-odds. No patient's probability can leave [0, 1] with them."""


def simulate_trial_as_described(
    n_subjects: SupportsIndex = 2000, seed: SupportsIndex = 123, *, effects: DescribedEffects = RISK_DIFFERENCE_EFFECTS
) -> pd.DataFrame:
    """Simulate the trial that Table 2 and equations (1) to (4) describe.

    `n_subjects` are 1 to 100 million, `seed` is that of NumPy's generator, 0 or more, and `effects` are the gammas of
    equation (3). The columns are those of `hte_utils.trial.simulate_trial`; ``true_te`` is on the scale of `effects`,
    by default a **risk difference** and not a log-odds ratio: ``attrs["true_te_scale"]`` says which.

    Raises
    ------
    TypeError, ValueError
        If a number is no integer or out of range, or a patient's probability of bleeding would leave [0, 1].
    """
    return listing_1.trial_table(simulate_truth_as_described(n_subjects, seed, effects=effects))


def simulate_truth_as_described(
    n_subjects: SupportsIndex = 2000, seed: SupportsIndex = 123, *, effects: DescribedEffects = RISK_DIFFERENCE_EFFECTS
) -> TrialTruth:
    """Simulate the trial of `simulate_trial_as_described` (parameters and errors are its), unrounded, with risks."""
    n, random = listing_1.checked_count(n_subjects), np.random.default_rng(operator.index(seed))
    patients = draw_described_covariates(random, n)
    treatment = _bernoulli(random, listing_1.P_TREATED, n)
    untreated: FloatArray = expit(listing_1.baseline_log_odds(patients))
    effect = described_effect(patients, effects)
    treated = risk_under_treatment(untreated, effect, effects.scale)
    probability = np.where(treatment == 1, treated, untreated)
    event = _bernoulli(random, probability, n)
    return TrialTruth(patients, treatment, untreated, effect, effects.scale, probability, event)


def draw_described_covariates(random: np.random.Generator, n: int) -> Covariates:
    """Draw n patients from Table 2, unrounded; the rules "> 65", "> 30" and hypertension's use unrounded values."""
    age = _truncated_normal(random, 55.0, 12.0, listing_1.AGE_LIMITS, n)
    gender = _bernoulli(random, FEMALE_PROBABILITY, n)
    sbp, dbp = draw_blood_pressure(random, n, SBP_LIMITS, DBP_LIMITS)
    bmi = _truncated_normal(random, 28.0, 5.0, listing_1.BMI_LIMITS, n)
    return listing_1.with_yes_no_covariates(age, gender, sbp, dbp, bmi, lambda p: _bernoulli(random, p, n))


def draw_blood_pressure(
    random: np.random.Generator, n: int, sbp_limits: tuple[float, float], dbp_limits: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Draw pairs from the bivariate normal of Table 2; those outside the limits are drawn again."""
    sbp, dbp = np.empty(n), np.empty(n)
    missing = np.arange(n)
    while missing.size:
        # Σ = [200 100; 100 100]: SBP has variance 200, and DBP given SBP slope 1/2 and variance 50.
        above_mean = math.sqrt(200.0) * random.standard_normal(missing.size)
        sbp[missing] = listing_1.BLOOD_PRESSURE_MEAN[0] + above_mean
        residual = math.sqrt(50.0) * random.standard_normal(missing.size)
        dbp[missing] = listing_1.BLOOD_PRESSURE_MEAN[1] + 0.5 * above_mean + residual
        missing = np.flatnonzero((np.clip(sbp, *sbp_limits) != sbp) | (np.clip(dbp, *dbp_limits) != dbp))
    return sbp, dbp


def described_effect(patients: Covariates, gamma: DescribedEffects) -> FloatArray:
    """Equation (3): the treatment's effect on the scale of `gamma`, shape (n,). Positive is harm."""
    effect: FloatArray = (
        gamma.base
        + gamma.older * (patients.age > 65.0)
        + gamma.anticoagulant * patients.anticoagulant
        + gamma.obese * (patients.bmi > 30.0)
    )
    return effect


def risk_under_treatment(baseline_risk: FloatArray, effect: FloatArray, scale: EffectScale) -> FloatArray:
    """Equation (4) with T = 1: the probability of bleeding under treatment, all shapes (n,).

    Raises ``ValueError`` if a probability would leave [0, 1]; that of every patient counts, whatever the arm.
    """
    if scale is EffectScale.LOG_ODDS_RATIO:
        log_odds_reading: FloatArray = expit(logit(baseline_risk) + effect)
        return log_odds_reading
    risk = baseline_risk + effect
    outside = np.flatnonzero((risk < 0.0) | (risk > 1.0))
    if outside.size:
        first = outside[0]
        raise ValueError(
            "the probability of bleeding under treatment must stay in [0, 1]; it leaves it for "
            f"{outside.size} of {risk.size} patients, the first being subject {first + 1} with {risk[first]:.4g} = "
            f"baseline risk {baseline_risk[first]:.4g} + effect {effect[first]:.4g}. "
            "Choose effects nearer to 0, or the log-odds scale"
        )
    return risk


def _truncated_normal(
    random: np.random.Generator, mean: float, sd: float, limits: tuple[float, float], n: int
) -> FloatArray:
    low, high = ((limit - mean) / sd for limit in limits)
    draws: FloatArray = truncnorm.rvs(low, high, loc=mean, scale=sd, size=n, random_state=random)
    return draws


def _bernoulli(random: np.random.Generator, probability: float | NDArray[np.floating], n: int) -> Binary:
    return (random.random(n) < probability).astype(np.int8)
