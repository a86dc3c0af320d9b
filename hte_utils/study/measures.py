"""Performance measures of one method in one replicate and one population: the "P" of ADEMP.

The event is bleeding: a positive effect is harm. Risks and risk differences are probabilities. Every measure is a
column of the stored results, `MEASURES` lists them with what they mean; a measure that does not apply is NaN:

- a method that estimates no log odds ratio, no baseline risk, or no interval has none of the measures that need them;
- a correlation or calibration slope does not exist where the effects do not vary;
- a profile is a single patient, and has its error (``bias``), coverage and width, but no spread and no quintiles.

References
----------
Morris, White & Crowther (2019), Statistics in Medicine 38:2074-2102, for the protocol and the names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import quantile_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.methods.estimates import EffectEstimates, IntervalEstimate
    from hte_utils.study.generate import PatientTruth

type FloatArray = NDArray[np.float64]

N_GROUPS: Final = 5
LEAST_FOR_GROUPS: Final = 20

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
_OF_GROUP: Final = {
    "rd_estimate": "mean estimated risk difference",
    "rd_truth": "mean true risk difference",
    "lor_estimate": "mean estimated log odds ratio",
    "lor_truth": "mean true log odds ratio",
    "risk_estimate": "mean estimated baseline risk",
}

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
            f"q{group}_{name}": f"quintile {group} of the method's own predicted baseline risk (1 is lowest): {text}"
            for group in range(1, N_GROUPS + 1)
            for name, text in _OF_GROUP.items()
        },
    }
)
"""Columns of the results, and what each means."""


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
    treated = estimates.risk_difference.value < 0.0
    regret = np.where(treated, truth.risk_difference, 0.0) - np.minimum(truth.risk_difference, 0.0)
    found |= {"treated_share": float(treated.mean()), "regret": float(regret.mean())}
    if estimates.baseline_risk is not None:
        error = estimates.baseline_risk - truth.baseline_risk
        found["risk_bias"] = float(error.mean())
        if n >= LEAST_FOR_GROUPS:
            found["risk_rmse"] = math.sqrt(float(np.square(error).mean()))
            found |= _by_group(estimates.baseline_risk, estimates, truth)
    return found


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


def _by_group(risk: FloatArray, estimates: EffectEstimates, truth: PatientTruth) -> dict[str, float]:
    group = quantile_groups(risk, N_GROUPS)
    columns = {
        "rd_estimate": estimates.risk_difference.value,
        "rd_truth": truth.risk_difference,
        "lor_truth": truth.log_odds_ratio,
        "risk_estimate": risk,
    }
    if estimates.log_odds_ratio is not None:
        columns["lor_estimate"] = estimates.log_odds_ratio.value
    return {
        f"q{number}_{name}": float(values[group == number].mean())
        for number in range(1, N_GROUPS + 1)
        for name, values in columns.items()
    }
