"""Equations (3) and (4) of the paper, taken literally: whom the treatment harms, and by how much.

The gammas of equation (3) are not published, and Listing 1 has another formula; the defaults below say where they come
from. Equation (4), ``logit(P_event) = logit(P_baseline + T TE)``, adds the effect to the probability, inside the
logit: read literally, TE is a risk difference. Gammas on the log-odds scale are added outside the logit, as Listing 1
does. The event is major bleeding: a positive effect is harm on either scale.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import expit, logit

from hte_utils.trial_truth import Covariates, EffectScale

if TYPE_CHECKING:
    from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]


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
