"""A simulated trial with its truth: the patients, their risks with and without treatment, and the table of it all.

The event is major bleeding: a positive treatment effect is harm. Line numbers are those of Listing 1 (Appendix A of
the paper), where a line that the page breaks in two counts once; so do the numbers printed on its second page.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from hte_utils.r_stream import round_to_tenths

if TYPE_CHECKING:
    from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]
type Binary = NDArray[np.int8]


class EffectScale(StrEnum):
    """What a treatment effect is added to; on both scales a positive effect is harm.

    Attributes
    ----------
    LOG_ODDS
        The log-odds of bleeding: Listing 1, line 63.
    RISK_DIFFERENCE
        The probability of bleeding: equation (4), taken literally.
    """

    LOG_ODDS = "log-odds"
    RISK_DIFFERENCE = "risk difference"


@dataclass(frozen=True, slots=True)
class BaselineCoefficients:
    """Log-odds of bleeding without treatment: the betas of equation (1), with the values of Listing 1, lines 55-60.

    Attributes
    ----------
    intercept, age, anticoagulant, prior_bleeding, diabetes, sbp : float
        beta_0 to beta_5; `age` a year above 55, `sbp` a mmHg above 130.
    """

    intercept: float = -3.5
    age: float = 0.02
    anticoagulant: float = 0.8
    prior_bleeding: float = 1.2
    diabetes: float = 0.3
    sbp: float = 0.01


LISTING_BASELINE: Final = BaselineCoefficients()


@dataclass(frozen=True, slots=True)
class Covariates:
    """The patients before randomisation, unrounded.

    Attributes
    ----------
    age, sbp, dbp, bmi : numpy.ndarray
        Years, mmHg, mmHg, kg/m², shape (n,).
    gender : numpy.ndarray
        1 = Female, 0 = Male, shape (n,).
    hypertension, diabetes, smoking, anticoagulant, prior_bleeding : numpy.ndarray
        1 = Yes, 0 = No, shape (n,).
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
    """A simulated trial with what no real trial shows: every patient's risks. All arrays have shape (n,).

    Attributes
    ----------
    covariates : Covariates
        The patients, unrounded.
    treatment : numpy.ndarray
        1 = Treatment, 0 = Control.
    baseline_risk : numpy.ndarray
        Probability of bleeding without treatment, equation (2).
    treatment_effect : numpy.ndarray
        The patient's effect on `scale`; the table's ``true_te``.
    scale : EffectScale
        The scale of `treatment_effect`.
    event_probability : numpy.ndarray
        Probability of bleeding under the treatment that was assigned, line 63.
    event : numpy.ndarray
        1 = bled, 0 = did not.
    """

    covariates: Covariates
    treatment: Binary
    baseline_risk: FloatArray
    treatment_effect: FloatArray
    scale: EffectScale
    event_probability: FloatArray
    event: Binary

    @property
    def risk_difference(self) -> FloatArray:
        """Probability of bleeding under treatment minus that without, shape (n,), whatever the effect's scale."""
        if self.scale is EffectScale.RISK_DIFFERENCE:
            return self.treatment_effect
        treated: FloatArray = expit(logit(self.baseline_risk) + self.treatment_effect)
        return treated - self.baseline_risk


def baseline_log_odds(patients: Covariates, beta: BaselineCoefficients = LISTING_BASELINE) -> FloatArray:
    """Equation (1); Listing 1, lines 55-60: the log-odds of bleeding without treatment.

    Parameters
    ----------
    patients : Covariates
        Unrounded covariates.
    beta : BaselineCoefficients
        Coefficients, the listing's by default.

    Returns
    -------
    numpy.ndarray
        Log-odds, shape (n,).
    """
    log_odds: FloatArray = (
        beta.intercept
        + beta.age * (patients.age - 55.0)
        + beta.anticoagulant * patients.anticoagulant
        + beta.prior_bleeding * patients.prior_bleeding
        + beta.diabetes * patients.diabetes
        + beta.sbp * (patients.sbp - 130.0)
    )
    return log_odds


def trial_table(truth: TrialTruth) -> pd.DataFrame:
    """Make the analyst's table of a trial: Listing 1, lines 66-82.

    Parameters
    ----------
    truth : TrialTruth
        The simulated trial.

    Returns
    -------
    pandas.DataFrame
        The columns that `hte_utils.trial.simulate_trial` describes. ``attrs["true_te_scale"]`` names the scale of
        ``true_te``, as the value of an `EffectScale`.
    """
    patients = truth.covariates
    columns = {
        "subject_id": np.arange(1, truth.event.size + 1),
        "age": round_to_tenths(patients.age),
        "gender": _factor(patients.gender, "Male", "Female"),
        "bmi": round_to_tenths(patients.bmi),
        "sbp": np.rint(patients.sbp),
        "dbp": np.rint(patients.dbp),
        "hypertension": _factor(patients.hypertension, "No", "Yes"),
        "diabetes": _factor(patients.diabetes, "No", "Yes"),
        "smoking": _factor(patients.smoking, "No", "Yes"),
        "anticoagulant": _factor(patients.anticoagulant, "No", "Yes"),
        "prior_bleeding": _factor(patients.prior_bleeding, "No", "Yes"),
        "treatment": _factor(truth.treatment, "Control", "Treatment"),
        "event": truth.event.astype(np.int64),
        "true_te": truth.treatment_effect,
    }
    table = pd.DataFrame(columns, copy=False)
    table.attrs["true_te_scale"] = truth.scale.value
    return table


def _factor(codes: Binary, zero: str, one: str) -> pd.Categorical[str]:
    return pd.Categorical.from_codes(codes, categories=pd.Index([zero, one]))
