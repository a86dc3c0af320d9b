"""How good a method's estimates are, for patients whose truth is known: the "P" of ADEMP.

The event is bleeding: a positive effect is harm. Risks and risk differences are probabilities. A measure that does not
apply is NaN: a method that estimates no log odds ratio, no baseline risk, or no interval has none of the measures that
need them; a correlation or calibration slope does not exist where the effects do not vary; a single patient has an
error (``bias``), coverage and width, but no spread.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102, for the protocol and the names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from hte_utils.effects.evaluation import point_metrics
from hte_utils.methods.estimates import EffectEstimates, IntervalEstimate
from hte_utils.model.checks import FloatArray

POINTS: Final = 100.0
"""Percentage points of a probability of 1."""
PER_THOUSAND: Final = 1000.0

WORTHS: Final = (1, 2, 5)
"""Bleeds per 1000 patients that a benefit of treatment elsewhere (strokes prevented, say) may be worth."""

_INDIVIDUAL: Final = {
    "bias": "mean over patients of estimated minus true effect; positive: harm overstated",
    "rmse": "root mean squared error over patients",
    "mae": "mean absolute error over patients",
    "correlation": "Pearson correlation of estimated and true effects over patients",
    "slope": "calibration slope: least squares of true on estimated effects; below 1: estimated too far apart",
    "coverage": "share of patients whose true effect lies in their own 95 % interval, ends included",
    "width": "mean over patients of the width of that interval; infinite if one of them is",
}
_SCALES: Final = {"lor": "log odds ratio", "rd": "risk difference, a probability"}

MEASURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{
            f"{scale}_{name}": f"{text} ({unit})"
            for scale, unit in _SCALES.items()
            for name, text in _INDIVIDUAL.items()
        },
        "risk_bias": "mean over patients of estimated minus true baseline risk (probability)",
        "risk_rmse": "root mean squared error of the baseline risk (probability)",
        "ate_estimate": "estimated average risk difference (probability)",
        "ate_lower": "lower end of its 95 % interval",
        "ate_upper": "upper end of its 95 % interval",
        "ate_truth": "true average risk difference of the same patients (probability)",
        "treated_share": "share of patients whom 'treat when the estimated risk difference is below 0' treats",
        "regret": "bleeds per patient that this rule causes above treating exactly those with a true risk difference "
        "below 0 (probability; 0 is perfect)",
        **{
            f"regret_{worth}": "the same where treatment brings every patient a benefit elsewhere that is worth "
            f"{worth} bleeds per 1000, so that 'below' is below that; loss in bleeds per patient"
            for worth in WORTHS
        },
        "interaction_p": "p-value of the method's own test of effect modification (its interactions against none)",
    }
)
"""Columns of the results, and what each means."""


@dataclass(frozen=True, slots=True, eq=False)
class PatientTruth:
    """What is true of each patient, shape (n,) each, read-only.

    Attributes
    ----------
    log_odds_ratio
        Effect of treatment on the log-odds of bleeding; positive is harm.
    baseline_risk
        Probability of bleeding without treatment.
    risk_difference
        Probability of bleeding with treatment minus that without.
    """

    log_odds_ratio: FloatArray
    baseline_risk: FloatArray
    risk_difference: FloatArray

    def __post_init__(self) -> None:
        for array in (self.log_odds_ratio, self.baseline_risk, self.risk_difference):
            array.setflags(write=False)


def measure(estimates: EffectEstimates, truth: PatientTruth) -> dict[str, float]:
    """Compare a method's estimates with what is true of the same patients.

    Returns
    -------
    dict
        A value for each of `MEASURES`, in their order; NaN where a measure does not apply.

    Raises
    ------
    ValueError
        If the estimates are of another number of patients than the truth.
    """
    n = truth.risk_difference.size
    if estimates.n_patients != n:
        raise ValueError(f"the method gave estimates of {estimates.n_patients} patients where there are {n}")
    found = dict.fromkeys(MEASURES, math.nan)
    effects = {
        "lor": (estimates.log_odds_ratio, truth.log_odds_ratio),
        "rd": (estimates.risk_difference, truth.risk_difference),
    }
    for scale, (estimate, true) in effects.items():
        if estimate is not None:
            found |= {f"{scale}_{name}": value for name, value in _individual(estimate, true).items()}
    average = estimates.average_risk_difference
    found |= {"ate_estimate": float(average.value), "ate_truth": float(truth.risk_difference.mean())}
    if average.lower is not None and average.upper is not None:
        found |= {"ate_lower": float(average.lower), "ate_upper": float(average.upper)}
    estimated, true = estimates.risk_difference.value, truth.risk_difference
    found |= {"treated_share": float((estimated < 0.0).mean()), "regret": regret(estimated, true)}
    found |= {f"regret_{worth}": regret(estimated, true, worth / PER_THOUSAND) for worth in WORTHS}
    if estimates.baseline_risk is not None:
        error = estimates.baseline_risk - truth.baseline_risk
        found["risk_bias"] = float(error.mean())
        if n > 1:
            found["risk_rmse"] = math.sqrt(float(np.square(error).mean()))
    return found


def regret(estimated: FloatArray, true: FloatArray, worth: float = 0.0) -> float:
    """Mean loss of treating where the estimated risk difference is below `worth`, against where the true one is.

    Both (patients,), probabilities; `worth` is the risk difference at which treatment is worth as much as it costs.
    """
    net = true - worth
    return float((np.where(estimated < worth, net, 0.0) - np.minimum(net, 0.0)).mean())


def _individual(estimate: IntervalEstimate, truth: FloatArray) -> dict[str, float]:
    if truth.size > 1:
        metrics = point_metrics(estimate.value, truth)
        found = {name: getattr(metrics, name) for name in ("bias", "rmse", "mae", "correlation")}
        found["slope"] = metrics.calibration_slope
    else:
        found = {"bias": float(estimate.value[0] - truth[0])}  # its size over replicates follows from it
    if estimate.lower is not None and estimate.upper is not None:
        found["coverage"] = float(((estimate.lower <= truth) & (truth <= estimate.upper)).mean())
        found["width"] = float((estimate.upper - estimate.lower).mean())
    return found
