"""The paper's simulated trial: Listing 1 as printed, drawn from R's random stream.

The event is major bleeding, so a positive treatment effect is harm. Effects are on the log-odds scale unless a name
says otherwise. Line numbers are those of Listing 1 (Appendix A), where a line that the page breaks in two counts once.
What the listing does, and the paper's text does not say: age and BMI are clamped to their limits, not truncated (lines
6, 21); blood pressure has no limits (lines 11-17); gender has probability 0.5, not Table 2's 0.52 (line 8);
hypertension and all risks use the unrounded covariates, the table holds rounded ones (lines 69, 71-73); the treatment
is drawn twice (lines 33 and 52): the second draw counts, the first moves the random stream.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, SupportsIndex

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from hte_utils.trial.r_stream import FloatArray, RRandom, round_to_tenths

type Binary = NDArray[np.int8]

MAX_SUBJECTS: Final = 100_000_000
"""Largest trial: about 11 gigabytes (112 bytes a patient); whatever is larger is more likely a slip than a plan."""
P_TREATED: Final = 0.5
"""Probability of treatment: how Listing 1 randomises (lines 33 and 52)."""
AGE_LIMITS: Final = (25.0, 85.0)
BMI_LIMITS: Final = (16.0, 50.0)
BLOOD_PRESSURE_MEAN: Final = (130.0, 80.0)
BLOOD_PRESSURE_COVARIANCE: Final = ((200.0, 100.0), (100.0, 100.0))


class TrialVariant(StrEnum):
    """Which treatment draw of Listing 1 counts.

    `AS_PRINTED`: drawn in line 33, drawn again in line 52: the data of Tables 1 and 4-8. `FIRST_DRAW_REMOVED`: without
    lines 32-33; its first five records are Table 3. `FIRST_DRAW_KEPT`: both are made, and the first counts. Table 3
    cannot tell the last two apart: all columns but the event are the same, and the events up to record 12.
    """

    AS_PRINTED = "as-printed"
    FIRST_DRAW_REMOVED = "first-draw-removed"
    FIRST_DRAW_KEPT = "first-draw-kept"


class EffectScale(StrEnum):
    """The scale on which a patient's risks with and without treatment are compared; positive direction = harm.

    Listing 1 (line 63) adds the effect to the log odds of bleeding; equation (4), taken literally, to the probability.
    """

    LOG_ODDS_RATIO = "log odds ratio"
    RISK_DIFFERENCE = "risk difference"
    RISK_RATIO = "risk ratio"

    @property
    def no_effect(self) -> float:
        """The value that means "treatment changes nothing"; larger values are harm."""
        return 1.0 if self is EffectScale.RISK_RATIO else 0.0


@dataclass(frozen=True, slots=True)
class BaselineCoefficients:
    """beta_0 to beta_5 of equation (1), Listing 1, lines 55-60; `age` for years above 55, `sbp` for mmHg above 130."""

    intercept: float = -3.5
    age: float = 0.02
    anticoagulant: float = 0.8
    prior_bleeding: float = 1.2
    diabetes: float = 0.3
    sbp: float = 0.01


@dataclass(frozen=True, slots=True)
class EffectCoefficients:
    """The effect on the log-odds of bleeding, Listing 1, lines 43-49; decades above 55, obese above a BMI of 30."""

    base: float = -0.2
    age_per_decade: float = 0.5
    anticoagulant: float = 0.4
    diabetes: float = -0.3
    obese: float = -0.2
    prior_bleeding: float = 0.3


LISTING_BASELINE: Final = BaselineCoefficients()
LISTING_EFFECT: Final = EffectCoefficients()


@dataclass(frozen=True, slots=True)
class ListingCoefficients:
    """All coefficients of Listing 1: of the risk without treatment, and of the effect."""

    baseline: BaselineCoefficients = LISTING_BASELINE
    effect: EffectCoefficients = LISTING_EFFECT


LISTING_COEFFICIENTS: Final = ListingCoefficients()


@dataclass(frozen=True, slots=True)
class Covariates:
    """The patients before randomisation, unrounded; arrays of shape (n,).

    Age in years, pressures in mmHg, BMI in kg/m²; gender 1 = Female, 0 = Male; the others 1 = Yes, 0 = No.
    """

    age: FloatArray
    gender: Binary
    sbp: FloatArray
    dbp: FloatArray
    bmi: FloatArray
    hypertension: Binary
    diabetes: Binary
    smoking: Binary
    anticoagulant: Binary
    prior_bleeding: Binary


@dataclass(frozen=True, slots=True)
class TrialTruth:
    """A simulated trial with what no real trial shows: every patient's risks. All arrays have shape (n,)."""

    covariates: Covariates
    treatment: Binary  # 1 = Treatment, 0 = Control
    baseline_risk: FloatArray  # probability of bleeding without treatment, equation (2)
    treatment_effect: FloatArray  # on `scale`; the table's ``true_te``
    scale: EffectScale
    event_probability: FloatArray  # of bleeding under the treatment that was assigned, line 63
    event: Binary  # 1 = bled, 0 = did not

    @property
    def risk_difference(self) -> FloatArray:
        """Probability of bleeding under treatment minus that without, shape (n,), whatever the effect's scale."""
        if self.scale is EffectScale.RISK_DIFFERENCE:
            return self.treatment_effect
        treated: FloatArray = expit(logit(self.baseline_risk) + self.treatment_effect)
        return treated - self.baseline_risk


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
    n_subjects, seed
        Number of patients, 1 to 100 million (2000 in the paper's tables); R's seed, -2147483647 to 2147483647.
    variant, coefficients
        Which treatment draw counts; the coefficients of the risks, the listing's unless you ask "what if".

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
        If a number is no integer or out of range, or there is no such variant. R itself stops where a small trial's
        factor has one level; here both categories are always known.

    Examples
    --------
    >>> import hte_utils as hte
    >>> int(hte.simulate_trial()["event"].sum())
    113
    """
    return trial_table(simulate_truth(n_subjects, seed, variant=variant, coefficients=coefficients))


def simulate_truth(
    n_subjects: SupportsIndex = 2000,
    seed: SupportsIndex = 123,
    *,
    variant: TrialVariant | str = TrialVariant.AS_PRINTED,
    coefficients: ListingCoefficients = LISTING_COEFFICIENTS,
) -> TrialTruth:
    """Simulate the same trial as `simulate_trial` (parameters and errors are its), unrounded and with all risks.

    Equal to R's up to rounding: the listing does not say how ``logit`` is written, and so leaves last digits open.

    Examples
    --------
    >>> import hte_utils as hte
    >>> float(hte.simulate_truth().risk_difference.mean().round(4))
    0.0102
    """
    n, variant, random = checked_count(n_subjects), TrialVariant(variant), RRandom(seed)
    covariates = draw_covariates(random, n)
    treatment = random.rbinom(n, 1, P_TREATED)  # line 33
    if variant is not TrialVariant.FIRST_DRAW_REMOVED:  # else one draw is left, and takes the first one's place
        second = random.rbinom(n, 1, P_TREATED)  # line 52
        treatment = second if variant is TrialVariant.AS_PRINTED else treatment
    baseline_risk: FloatArray = expit(baseline_log_odds(covariates, coefficients.baseline))
    effect = treatment_effect(covariates, coefficients.effect)
    event_probability: FloatArray = expit(logit(baseline_risk) + treatment * effect)  # line 63
    event = random.rbinom(n, 1, event_probability)  # line 64
    return TrialTruth(
        covariates, treatment, baseline_risk, effect, EffectScale.LOG_ODDS_RATIO, event_probability, event
    )


def draw_covariates(random: RRandom, n: int) -> Covariates:
    """Listing 1, lines 5-30: n patients, unrounded, drawn in the listing's order; `random` moves on."""
    age = np.clip(random.rnorm(n, 55.0, 12.0), *AGE_LIMITS)  # lines 5-6
    gender = random.rbinom(n, 1, 0.5)  # line 8
    sbp, dbp = random.mvrnorm(n, BLOOD_PRESSURE_MEAN, BLOOD_PRESSURE_COVARIANCE).T  # lines 11-17
    bmi = np.clip(random.rnorm(n, 28.0, 5.0), *BMI_LIMITS)  # lines 20-21
    return with_yes_no_covariates(age, gender, sbp, dbp, bmi, lambda p: random.rbinom(n, 1, p))


def with_yes_no_covariates(
    age: FloatArray,
    gender: Binary,
    sbp: FloatArray,
    dbp: FloatArray,
    bmi: FloatArray,
    bernoulli: Callable[[float | NDArray[np.floating]], Binary],
) -> Covariates:
    """Add what follows from the unrounded measurements, or is drawn given them: Listing 1, lines 24-30; Table 2."""
    hypertension = ((sbp >= 140.0) | (dbp >= 90.0)).astype(np.int8)  # line 24
    diabetes = bernoulli(0.2 + 0.2 * (bmi > 30.0))  # line 25
    smoking = bernoulli(0.25 - 0.1 * (age > 65.0))  # line 26
    anticoagulant, prior_bleeding = bernoulli(0.3), bernoulli(0.1)  # lines 29, 30
    return Covariates(age, gender, sbp, dbp, bmi, hypertension, diabetes, smoking, anticoagulant, prior_bleeding)


def baseline_log_odds(patients: Covariates, beta: BaselineCoefficients = LISTING_BASELINE) -> FloatArray:
    """Equation (1); Listing 1, lines 55-60: log-odds of bleeding without treatment, shape (n,)."""
    log_odds: FloatArray = (
        beta.intercept
        + beta.age * (patients.age - 55.0)
        + beta.anticoagulant * patients.anticoagulant
        + beta.prior_bleeding * patients.prior_bleeding
        + beta.diabetes * patients.diabetes
        + beta.sbp * (patients.sbp - 130.0)
    )
    return log_odds


def treatment_effect(patients: Covariates, gamma: EffectCoefficients = LISTING_EFFECT) -> FloatArray:
    """Listing 1, lines 43-49: log odds ratios of bleeding under treatment, shape (n,). Positive is harm."""
    effect: FloatArray = (
        gamma.base
        + gamma.age_per_decade * (patients.age - 55.0) / 10.0
        + gamma.anticoagulant * patients.anticoagulant
        + gamma.diabetes * patients.diabetes
        + gamma.obese * (patients.bmi > 30.0)
        + gamma.prior_bleeding * patients.prior_bleeding
    )
    return effect


def trial_table(truth: TrialTruth) -> pd.DataFrame:
    """Make the analyst's table of a trial: Listing 1, lines 66-82; the columns are those of `simulate_trial`.

    ``attrs["true_te_scale"]`` names the scale of ``true_te``, as the value of an `EffectScale`.
    """
    patients = truth.covariates
    yes_no = ("hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding")
    columns = {
        "subject_id": np.arange(1, truth.event.size + 1),
        "age": round_to_tenths(patients.age),
        "gender": _factor(patients.gender, "Male", "Female"),
        "bmi": round_to_tenths(patients.bmi),
        "sbp": np.rint(patients.sbp),
        "dbp": np.rint(patients.dbp),
        **{name: _factor(getattr(patients, name), "No", "Yes") for name in yes_no},
        "treatment": _factor(truth.treatment, "Control", "Treatment"),
        "event": truth.event.astype(np.int64),
        "true_te": truth.treatment_effect,
    }
    table = pd.DataFrame(columns, copy=False)
    table.attrs["true_te_scale"] = truth.scale.value
    return table


def checked_count(n_subjects: SupportsIndex) -> int:
    """The number of patients; ``TypeError`` if it is no integer, ``ValueError`` if out of range."""
    n = operator.index(n_subjects)
    if not 1 <= n <= MAX_SUBJECTS:
        raise ValueError(f"n_subjects must be from 1 to {MAX_SUBJECTS:,}; got {n}")
    return n


def _factor(codes: Binary, zero: str, one: str) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, categories=pd.Index([zero, one]))
