"""The paper's simulated trial: Listing 1 as printed, drawn from R's random stream.

The event is major bleeding, so a positive treatment effect is harm. Effects are on the log-odds scale unless a name
says otherwise. Line numbers are those of Listing 1, see `hte_utils.trial_truth`.

What the listing does, and the paper's text does not say:

- age and BMI are clamped to their limits (values beyond a limit become the limit), not truncated (lines 6, 21);
- blood pressure has no limits (lines 11-17); gender has probability 0.5, not Table 2's 0.52 (line 8);
- hypertension and all risks use the unrounded covariates; the table holds rounded ones (lines 69, 71-73);
- the treatment is drawn twice (lines 33 and 52): the second draw counts, the first moves the random stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, SupportsIndex

import numpy as np
from scipy.special import expit, logit

from hte_utils.r_arguments import checked_count
from hte_utils.r_stream import RRandom
from hte_utils.trial_truth import (
    LISTING_BASELINE,
    BaselineCoefficients,
    Covariates,
    EffectScale,
    TrialTruth,
    baseline_log_odds,
    trial_table,
)

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]
type Binary = NDArray[np.int8]

MAX_SUBJECTS: Final = 100_000_000
"""Largest trial: about 11 gigabytes of working memory; whatever is larger is more likely a slip than a plan."""

AGE_LIMITS: Final = (25.0, 85.0)
BMI_LIMITS: Final = (16.0, 50.0)
BLOOD_PRESSURE_MEAN: Final = (130.0, 80.0)
BLOOD_PRESSURE_COVARIANCE: Final = ((200.0, 100.0), (100.0, 100.0))


class TrialVariant(StrEnum):
    """Which treatment draw of Listing 1 counts.

    Attributes
    ----------
    AS_PRINTED
        The listing as it stands: drawn in line 33, drawn again in line 52. The data of Tables 1 and 4-8.
    FIRST_DRAW_REMOVED
        Without lines 32-33, the first draw. The first five records are Table 3.
    FIRST_DRAW_KEPT
        Both draws are made, and the first counts. Table 3 cannot tell it from `FIRST_DRAW_REMOVED`: all columns but
        the event are the same for every patient, and with the paper's seed the events are the same up to record 12.
    """

    AS_PRINTED = "as-printed"
    FIRST_DRAW_REMOVED = "first-draw-removed"
    FIRST_DRAW_KEPT = "first-draw-kept"


@dataclass(frozen=True, slots=True)
class EffectCoefficients:
    """The treatment's effect on the log-odds of bleeding: Listing 1, lines 43-49. Positive is harm.

    Attributes
    ----------
    base, age_per_decade, anticoagulant, diabetes, obese, prior_bleeding : float
        `age_per_decade` for ten years above 55, `obese` for a BMI above 30.
    """

    base: float = -0.2
    age_per_decade: float = 0.5
    anticoagulant: float = 0.4
    diabetes: float = -0.3
    obese: float = -0.2
    prior_bleeding: float = 0.3


LISTING_EFFECT: Final = EffectCoefficients()


@dataclass(frozen=True, slots=True)
class ListingCoefficients:
    """All coefficients of Listing 1.

    Attributes
    ----------
    baseline : BaselineCoefficients
        Lines 55-60.
    effect : EffectCoefficients
        Lines 43-49.
    """

    baseline: BaselineCoefficients = LISTING_BASELINE
    effect: EffectCoefficients = LISTING_EFFECT


LISTING_COEFFICIENTS: Final = ListingCoefficients()


def simulate_trial(
    n_subjects: SupportsIndex = 2000,
    seed: SupportsIndex = 123,
    *,
    variant: TrialVariant | str = TrialVariant.AS_PRINTED,
    coefficients: ListingCoefficients = LISTING_COEFFICIENTS,
) -> pd.DataFrame:
    """Simulate the paper's trial: Listing 1, equal to what R 4 returns for any number of patients and seed.

    Parameters
    ----------
    n_subjects : int
        Number of patients, 1 to 100 million. The paper's tables have 2000 (the listing's own default is 1000).
    seed : int
        R's seed, -2147483647 to 2147483647. The listing sets 123.
    variant : TrialVariant or str
        Which treatment draw counts; see `TrialVariant`.
    coefficients : ListingCoefficients
        The coefficients of the risks; the listing's unless you ask "what if".

    Returns
    -------
    pandas.DataFrame
        One row a patient: ``subject_id`` (from 1), ``age`` (years, one decimal), ``gender`` (Male, Female), ``bmi``
        (kg/m², one decimal), ``sbp``, ``dbp`` (mmHg, whole), ``hypertension``, ``diabetes``, ``smoking``,
        ``anticoagulant``, ``prior_bleeding`` (No, Yes), ``treatment`` (Control, Treatment), ``event`` (1 = major
        bleeding) and ``true_te`` (the true effect on the log-odds of bleeding; positive is harm).

    Raises
    ------
    TypeError, ValueError
        If an argument is not what is described above.

    Notes
    -----
    All columns equal R's to the last bit on x86-64 Linux. R itself stops where a factor has only one level in a
    small trial ("invalid 'labels'") or there is a single patient; here both categories are always known.

    Memory grows with the number of patients: 63 bytes each for the table, about 112 at the peak.
    """
    return trial_table(simulate_truth(n_subjects, seed, variant=variant, coefficients=coefficients))


def simulate_truth(
    n_subjects: SupportsIndex = 2000,
    seed: SupportsIndex = 123,
    *,
    variant: TrialVariant | str = TrialVariant.AS_PRINTED,
    coefficients: ListingCoefficients = LISTING_COEFFICIENTS,
) -> TrialTruth:
    """Simulate the same trial as `simulate_trial`, unrounded and with every patient's risks.

    Parameters
    ----------
    n_subjects, seed, variant, coefficients
        As for `simulate_trial`.

    Returns
    -------
    TrialTruth
        The columns of Listing 1 before line 67 makes a table of them. They equal R's to the last bit, but for
        ``event_probability``, whose last digits depend on how ``logit`` is written; the listing does not say.

    Raises
    ------
    TypeError, ValueError
        As for `simulate_trial`.
    """
    n = checked_count("n_subjects", n_subjects, least=1, most=MAX_SUBJECTS)
    which = checked_variant(variant)
    random = RRandom(seed)
    covariates = draw_covariates(random, n)
    treatment = _draw_treatment(random, n, which)
    baseline_risk: FloatArray = expit(baseline_log_odds(covariates, coefficients.baseline))
    effect = treatment_effect(covariates, coefficients.effect)
    event_probability: FloatArray = expit(logit(baseline_risk) + treatment * effect)
    event = _bernoulli(random, n, event_probability)
    return TrialTruth(
        covariates=covariates,
        treatment=treatment,
        baseline_risk=baseline_risk,
        treatment_effect=effect,
        scale=EffectScale.LOG_ODDS,
        event_probability=event_probability,
        event=event,
    )


def draw_covariates(random: RRandom, n: int) -> Covariates:
    """Listing 1, lines 5-30: the patients, drawn in the listing's order.

    Parameters
    ----------
    random : RRandom
        The stream to draw from; it moves on.
    n : int
        Number of patients.

    Returns
    -------
    Covariates
        Unrounded.
    """
    age = np.clip(random.rnorm(n, mean=55.0, sd=12.0), *AGE_LIMITS)  # lines 5-6
    gender = _bernoulli(random, n, 0.5)  # line 8
    sbp, dbp = random.mvrnorm(n, BLOOD_PRESSURE_MEAN, BLOOD_PRESSURE_COVARIANCE).T  # lines 11-17
    bmi = np.clip(random.rnorm(n, mean=28.0, sd=5.0), *BMI_LIMITS)  # lines 20-21
    return Covariates(
        age=age,
        gender=gender,
        sbp=sbp,
        dbp=dbp,
        bmi=bmi,
        hypertension=((sbp >= 140.0) | (dbp >= 90.0)).astype(np.int8),  # line 24
        diabetes=_bernoulli(random, n, 0.2 + 0.2 * (bmi > 30.0)),  # line 25
        smoking=_bernoulli(random, n, 0.25 - 0.1 * (age > 65.0)),  # line 26
        anticoagulant=_bernoulli(random, n, 0.3),  # line 29
        prior_bleeding=_bernoulli(random, n, 0.1),  # line 30
    )


def treatment_effect(patients: Covariates, gamma: EffectCoefficients = LISTING_EFFECT) -> FloatArray:
    """Listing 1, lines 43-49: the treatment's effect on the log-odds of bleeding. Positive is harm.

    Parameters
    ----------
    patients : Covariates
        Unrounded covariates.
    gamma : EffectCoefficients
        Coefficients, the listing's by default.

    Returns
    -------
    numpy.ndarray
        Log-odds ratios, shape (n,).
    """
    effect: FloatArray = (
        gamma.base
        + gamma.age_per_decade * (patients.age - 55.0) / 10.0
        + gamma.anticoagulant * patients.anticoagulant
        + gamma.diabetes * patients.diabetes
        + gamma.obese * (patients.bmi > 30.0)
        + gamma.prior_bleeding * patients.prior_bleeding
    )
    return effect


def checked_variant(variant: TrialVariant | str) -> TrialVariant:
    """Return the variant as a `TrialVariant`, or say which there are.

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    try:
        return TrialVariant(variant)
    except ValueError as error:
        known = ", ".join(repr(member.value) for member in TrialVariant)
        raise ValueError(f"variant must be a TrialVariant or one of {known}; got {variant!r}. Choose one") from error


def _draw_treatment(random: RRandom, n: int, variant: TrialVariant) -> Binary:
    first = _bernoulli(random, n, 0.5)  # line 33
    if variant is TrialVariant.FIRST_DRAW_REMOVED:  # one draw is left, and takes the first one's place
        return first
    second = _bernoulli(random, n, 0.5)  # line 52
    return second if variant is TrialVariant.AS_PRINTED else first


def _bernoulli(random: RRandom, n: int, prob: ArrayLike) -> Binary:
    return random.rbinom(n, 1, prob).astype(np.int8)
