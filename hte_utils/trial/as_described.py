"""The trial as the paper's text describes it: Table 2 and equations (1) to (4), taken literally.

The tables of the paper come from Listing 1 (`hte_utils.trial.listing_1`), which differs from the text. Here the text
has the word: age, BMI and blood pressure are truly truncated, gender has probability 0.52, and the treatment acts
through "age > 65", anticoagulants and "BMI > 30", each of which raises the risk of bleeding.

What the text leaves open, and what is done about it:

- *The betas of equation (1)* are not published: Listing 1's are the default.
- *The gammas of equation (3)* are not published: the defaults below say where they come from.
- *Equation (4)*, ``logit(P_event) = logit(P_baseline + T TE)``, adds the effect to the probability, inside the logit:
  read literally, TE is a risk difference, where Listing 1 has a log odds ratio. The literal reading is the default.
- *"Truncated at realistic values"* says nothing about which: see `BloodPressureLimits`.

The event is major bleeding: a positive effect is harm on either scale. Random numbers are NumPy's, for there is no
stream of the paper's to follow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Final, SupportsIndex

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import truncnorm

from hte_utils.r_arguments import checked_count
from hte_utils.trial.listing_1 import (
    AGE_LIMITS,
    BLOOD_PRESSURE_MEAN,
    BMI_LIMITS,
    LISTING_BASELINE,
    MAX_SUBJECTS,
    BaselineCoefficients,
    Binary,
    Covariates,
    EffectScale,
    FloatArray,
    TrialTruth,
    baseline_log_odds,
    trial_table,
)

FEMALE_PROBABILITY: Final = 0.52
_LARGEST_SEED: Final = 2**63 - 1
_NARROWEST_LIMITS: Final = 10.0  # mmHg: keeps the share of pairs inside the limits above some 5 %


@dataclass(frozen=True, slots=True)
class DescribedEffects:
    """The gammas of equation (3) and the scale they are on. Positive is harm.

    Attributes
    ----------
    base : float
        gamma_0, "the average increase in bleeding risk caused by treatment".
    older : float
        gamma_1, more for age above 65.
    anticoagulant : float
        gamma_2, more for users of anticoagulants.
    obese : float
        gamma_3, more for a BMI above 30.
    scale : EffectScale
        What the sum is added to: the probability of bleeding (equation (4) as written) or its log-odds.

    Raises
    ------
    TypeError, ValueError
        If a gamma is not a finite number, or the scale is no `EffectScale`.
    """

    base: float
    older: float
    anticoagulant: float
    obese: float
    scale: EffectScale

    def __post_init__(self) -> None:
        if not isinstance(self.scale, EffectScale):
            raise TypeError(
                f"scale must be an EffectScale; got {self.scale!r}. Choose EffectScale.RISK_DIFFERENCE or .LOG_ODDS"
            )
        for field in fields(self)[:-1]:
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float | np.number):
                raise TypeError(
                    f"{field.name} must be a number; got {value!r}. Give the effect on the {self.scale} scale"
                )
            if not math.isfinite(value):
                raise ValueError(f"{field.name} must be finite; got {value}. Give the effect on the {self.scale} scale")


LOG_ODDS_EFFECTS: Final = DescribedEffects(
    base=0.2, older=0.5, anticoagulant=0.4, obese=0.2, scale=EffectScale.LOG_ODDS
)
"""Listing 1's magnitudes with the signs of the text: -0.2 and -0.2 turn positive, 0.5 for ten years above 55 becomes
0.5 for being above 65."""

RISK_DIFFERENCE_EFFECTS: Final = DescribedEffects(
    base=0.01, older=0.025, anticoagulant=0.02, obese=0.01, scale=EffectScale.RISK_DIFFERENCE
)
"""The same effects as probabilities: times 0.05, the mean over Listing 1's patients of p (1 - p), which is the slope of
the probability on the log-odds. No patient's probability can leave [0, 1] with them."""


@dataclass(frozen=True, slots=True)
class BloodPressureLimits:
    """Where blood pressure is truncated, in mmHg.

    The paper says "at realistic values". The defaults are limits beyond which a trial would query a reading; they
    cut off one patient in 4000.

    Attributes
    ----------
    sbp, dbp : tuple of float
        Lowest and highest value; infinite means no limit.

    Raises
    ------
    TypeError
        If the limits are not pairs of numbers.
    ValueError
        If the limits do not hold the mean (130 and 80 mmHg) or are less than 10 mmHg apart, which would make the
        drawing of pairs endless.
    """

    sbp: tuple[float, float] = (80.0, 220.0)
    dbp: tuple[float, float] = (40.0, 130.0)

    def __post_init__(self) -> None:
        for name, mean in zip(("sbp", "dbp"), BLOOD_PRESSURE_MEAN, strict=True):
            try:
                low, high = map(float, getattr(self, name))
            except (TypeError, ValueError) as error:
                raise TypeError(
                    f"{name} must be a pair of numbers in mmHg; got {getattr(self, name)!r}. Give (lowest, highest)"
                ) from error
            if not (low <= mean <= high and high - low >= _NARROWEST_LIMITS):
                raise ValueError(
                    f"the limits of {name} must hold its mean {mean:g} and be {_NARROWEST_LIMITS:g} mmHg apart or "
                    f"more; got ({low:g}, {high:g}). Widen them"
                )


REALISTIC_BLOOD_PRESSURE: Final = BloodPressureLimits()


def simulate_trial_as_described(
    n_subjects: SupportsIndex = 2000,
    seed: SupportsIndex = 123,
    *,
    effects: DescribedEffects = RISK_DIFFERENCE_EFFECTS,
    baseline: BaselineCoefficients = LISTING_BASELINE,
    limits: BloodPressureLimits = REALISTIC_BLOOD_PRESSURE,
) -> pd.DataFrame:
    """Simulate the trial that Table 2 and equations (1) to (4) describe.

    Parameters
    ----------
    n_subjects : int
        Number of patients, 1 to 100 million.
    seed : int
        Seed of NumPy's generator, 0 or more.
    effects : DescribedEffects
        The gammas of equation (3), with their scale.
    baseline : BaselineCoefficients
        The betas of equation (1), on the log-odds scale.
    limits : BloodPressureLimits
        Where blood pressure is truncated.

    Returns
    -------
    pandas.DataFrame
        The columns of `hte_utils.trial.simulate_trial`. ``true_te`` is on the scale of `effects`, by default a
        **risk difference** and not a log-odds ratio; ``attrs["true_te_scale"]`` says which.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a number is out of range, or a patient's probability of bleeding would leave [0, 1].
    """
    return trial_table(simulate_truth_as_described(n_subjects, seed, effects=effects, baseline=baseline, limits=limits))


def simulate_truth_as_described(
    n_subjects: SupportsIndex = 2000,
    seed: SupportsIndex = 123,
    *,
    effects: DescribedEffects = RISK_DIFFERENCE_EFFECTS,
    baseline: BaselineCoefficients = LISTING_BASELINE,
    limits: BloodPressureLimits = REALISTIC_BLOOD_PRESSURE,
) -> TrialTruth:
    """Simulate the same trial as `simulate_trial_as_described` (parameters and errors are its), unrounded, with risks.

    Returns
    -------
    TrialTruth
        The patients, their risks and outcomes; ``scale`` is that of `effects`.
    """
    n = checked_count("n_subjects", n_subjects, least=1, most=MAX_SUBJECTS)
    random = np.random.default_rng(checked_count("seed", seed, most=_LARGEST_SEED))
    _check_kind("effects", effects, DescribedEffects)
    _check_kind("baseline", baseline, BaselineCoefficients)
    _check_kind("limits", limits, BloodPressureLimits)
    patients = draw_described_covariates(random, n, limits)
    treatment = _bernoulli(random, 0.5, n)
    baseline_risk: FloatArray = expit(baseline_log_odds(patients, baseline))
    effect = described_effect(patients, effects)
    event_probability = np.where(
        treatment == 1, risk_under_treatment(baseline_risk, effect, effects.scale), baseline_risk
    )
    return TrialTruth(
        covariates=patients,
        treatment=treatment,
        baseline_risk=baseline_risk,
        treatment_effect=effect,
        scale=effects.scale,
        event_probability=event_probability,
        event=_bernoulli(random, event_probability, n),
    )


def draw_described_covariates(random: np.random.Generator, n: int, limits: BloodPressureLimits) -> Covariates:
    """Draw n patients from Table 2, unrounded; the rules "> 65", "> 30" and hypertension's use unrounded values."""
    age = _truncated_normal(random, 55.0, 12.0, AGE_LIMITS, n)
    gender = _bernoulli(random, FEMALE_PROBABILITY, n)
    sbp, dbp = _blood_pressure(random, limits, n)
    bmi = _truncated_normal(random, 28.0, 5.0, BMI_LIMITS, n)
    return Covariates(
        age=age,
        gender=gender,
        sbp=sbp,
        dbp=dbp,
        bmi=bmi,
        hypertension=((sbp >= 140.0) | (dbp >= 90.0)).astype(np.int8),
        diabetes=_bernoulli(random, 0.2 + 0.2 * (bmi > 30.0), n),
        smoking=_bernoulli(random, 0.25 - 0.1 * (age > 65.0), n),
        anticoagulant=_bernoulli(random, 0.3, n),
        prior_bleeding=_bernoulli(random, 0.1, n),
    )


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
    """Equation (4) with T = 1: the probability of bleeding under treatment, shape (n,).

    Parameters
    ----------
    baseline_risk, effect : numpy.ndarray
        Probability without treatment, and the effect on `scale`, shape (n,).
    scale : EffectScale
        Whether the effect is added to the probability, as the equation is written, or to its log-odds.

    Returns
    -------
    numpy.ndarray
        Probabilities, shape (n,).

    Raises
    ------
    ValueError
        If a probability would leave [0, 1]; that of every patient counts, whatever the arm.
    """
    if scale is EffectScale.LOG_ODDS:
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


def _blood_pressure(random: np.random.Generator, limits: BloodPressureLimits, n: int) -> tuple[FloatArray, FloatArray]:
    """Pairs from the bivariate normal of Table 2; those outside the limits are drawn again."""
    sbp, dbp = np.empty(n), np.empty(n)
    open_places = np.arange(n)
    while open_places.size:
        # Σ = [200 100; 100 100]: SBP has variance 200, and DBP given SBP slope 1/2 and variance 50.
        above_mean = math.sqrt(200.0) * random.standard_normal(open_places.size)
        sbp[open_places] = BLOOD_PRESSURE_MEAN[0] + above_mean
        residual = math.sqrt(50.0) * random.standard_normal(open_places.size)
        dbp[open_places] = BLOOD_PRESSURE_MEAN[1] + 0.5 * above_mean + residual
        inside = _between(sbp[open_places], limits.sbp) & _between(dbp[open_places], limits.dbp)
        open_places = open_places[~inside]
    return sbp, dbp


def _between(values: FloatArray, limits: tuple[float, float]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (values >= limits[0]) & (values <= limits[1])
    return inside


def _bernoulli(random: np.random.Generator, probability: float | FloatArray | NDArray[np.floating], n: int) -> Binary:
    return (random.random(n) < probability).astype(np.int8)


def _check_kind(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}; got {value!r}. Make one")
