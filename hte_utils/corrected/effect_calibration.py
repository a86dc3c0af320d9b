"""Calibration of predicted effects: against the truth, and as one has to do it in a real trial, from outcomes alone.

The event is bleeding: a positive effect is harm, and "benefit" is a negative risk difference. Nobody is ever seen
under both treatments, so in a real trial an effect prediction can only be checked for groups of patients: by comparing
the arms among patients with similar predictions, or by regressing outcomes on treatment times prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from hte_utils.corrected.calibration import Estimate, last_coefficient, spline_columns
from hte_utils.corrected.predictions import EffectPredictions
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.logistic import fit_replicates
from hte_utils.model.checks import FloatArray, IntArray, one_per_patient

if TYPE_CHECKING:
    from hte_utils.corrected.policies import Scores

_CURVE_POINTS = 101
_CURVE_RANGE = (0.01, 0.99)


@dataclass(frozen=True, slots=True, eq=False)
class TrueEffectCalibration:
    """Predicted against true effects of the same patients, on one scale.

    `intercept`, `slope`: Least squares of true on predicted effects: 0 and 1 if calibrated; a slope below 1 = predicted
        too far apart.
    `mean_error`: Mean of predicted minus true; positive = harm is overstated.
    `integrated_error`: Mean, over the patients, of the absolute distance of the prediction from the smooth curve of
        true effects given predictions: what is wrong with the predictions *as numbers*, whatever they leave
        unexplained.
    `rmse`: Root mean squared error, which counts the unexplained as well.
    `curve`: Columns `predicted`, `true`: the smooth curve over the central 98 % of the predictions.
    """

    intercept: float
    slope: float
    mean_error: float
    integrated_error: float
    rmse: float
    curve: pd.DataFrame


@dataclass(frozen=True, slots=True)
class BenefitRegression:
    """Calibration of predicted effects by regression, on one scale.

    `intercept`: What to add to every predicted effect: 0 if calibrated, below 0 if harm is overstated (slope fixed at
        1).
    `slope`: What to multiply the predictions' differences with: 1 if calibrated, 0 if they have nothing to do with the
        effects, below 1 if they lie too far apart.
    """

    intercept: Estimate
    slope: Estimate


def calibrate_against_truth(predicted: npt.ArrayLike, true: npt.ArrayLike) -> TrueEffectCalibration:
    """Hold predicted effects against the true effects of the same patients, both of shape (patients,)."""
    found = point_metrics(predicted, true)
    x, y = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    columns = spline_columns(x, 6)
    coefficients = np.linalg.lstsq(columns, y)[0]
    first, last = (float(end) for end in np.quantile(x, _CURVE_RANGE))
    at = np.linspace(first, last, _CURVE_POINTS)
    return TrueEffectCalibration(
        intercept=found.calibration_intercept,
        slope=found.calibration_slope,
        mean_error=found.bias,
        integrated_error=float(np.abs(columns @ coefficients - x).mean()),
        rmse=found.rmse,
        curve=pd.DataFrame({"predicted": at, "true": spline_columns(x, 6, at=at) @ coefficients}),
    )


def effects_by_predicted_group(
    predictions: EffectPredictions, outcome: npt.ArrayLike, treatment: npt.ArrayLike, group: npt.ArrayLike
) -> pd.DataFrame:
    """Compare the arms within groups of patients whose predicted risk difference is similar.

    `predictions`, `outcome`, `treatment`: Of the same patients; outcomes and arms 0/1.
    `group`: Group of each patient from 1 (lowest predicted risk difference), shape (patients,): of cross-fitted
        predictions from `cross_fitting.groups_within_folds`.

    Index `group`: 1 = lowest predicted risk difference (most benefit). Columns `n`, `predicted` (mean predicted risk
    difference), `observed` (rate of the treated minus rate of the controls) with Newcombe's 95 % interval `lower`,
    `upper`, and `events`. Probabilities; positive = harm. NaN where an arm is empty.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep  # takes a second to import

    y, arm = np.asarray(outcome, dtype=np.float64), np.asarray(treatment).astype(np.int64)
    groups = np.asarray(group)
    rows = []
    for number in range(1, int(groups.max()) + 1):
        here = groups == number
        counts = [(int(y[here & (arm == which)].sum()), int((here & (arm == which)).sum())) for which in (1, 0)]
        (events, n), (events_control, n_control) = counts
        observed, ends = np.nan, (np.nan, np.nan)
        if n and n_control:
            observed = events / n - events_control / n_control
            ends = confint_proportions_2indep(events, n, events_control, n_control, method="newcomb", compare="diff")
        rows.append(
            {
                "n": int(here.sum()),
                "events": events + events_control,
                "predicted": float(predictions.risk_difference[here].mean()),
                "observed": observed,
                "lower": float(ends[0]),
                "upper": float(ends[1]),
            }
        )
    return pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="group"))


def regress_log_odds_ratio(
    predictions: EffectPredictions, outcome: npt.ArrayLike, treatment: npt.ArrayLike, *, p_treated: float
) -> BenefitRegression:
    """Calibration for benefit on the log odds ratio, by logistic regression.

    ``logit P(event) = a + b m + c treatment + d (treatment - p) r``, where r is the predicted log odds ratio, p the
    probability of treatment, and ``m = logit(predicted baseline risk) + p r`` the predicted log odds, averaged over the
    arms: `d` is the slope; with `d` fixed at 1, `c` is the intercept. Treatment is centred, because an error of the
    predicted baseline risk goes into r with the opposite sign. In ``a + b logit(baseline risk) + treatment (c + d r)``,
    as it is often written, the treated alone would feel it, and `d` lies above 0 without any effect at all. `d` is
    exactly 1 for right predictions, and nearly 1 / k for those that are k times too far apart.
    """
    y, arm = np.asarray(outcome, dtype=np.float64), np.asarray(treatment).astype(np.int64)
    common, effect = _regressors(predictions, arm, p_treated)
    return BenefitRegression(
        intercept=last_coefficient(common, y, offset=effect),
        slope=last_coefficient(np.column_stack([common, effect]), y),
    )


def log_odds_ratio_calibration_of_truth(
    predictions: EffectPredictions, untreated_risk: npt.ArrayLike, treated_risk: npt.ArrayLike, *, p_treated: float
) -> tuple[float, float]:
    """Intercept and slope that `regress_log_odds_ratio` tends to in ever larger trials of such patients.

    Every patient enters in either arm, with its probability as weight and the true event probability as outcome.

    `untreated_risk`, `treated_risk`: Their true event probabilities, shape (patients,).
    `p_treated`: Probability of treatment.
    """
    both = np.concatenate([np.asarray(untreated_risk), np.asarray(treated_risk)])
    arm = np.repeat([0, 1], predictions.n_patients)
    weights = np.where(arm == 1, p_treated, 1.0 - p_treated)[None]
    twice = EffectPredictions.scattered([predictions, predictions], [np.arange(arm.size)])
    common, effect = _regressors(twice, arm, p_treated)
    fixed = fit_replicates(common, both, offset=effect, weights=weights)[0, -1]
    free = fit_replicates(np.column_stack([common, effect]), both, weights=weights)[0, -1]
    return float(fixed), float(free)


def _regressors(predictions: EffectPredictions, arm: IntArray, p_treated: float) -> tuple[FloatArray, FloatArray]:
    middle = logit(predictions.baseline_risk) + p_treated * predictions.log_odds_ratio
    return np.column_stack([np.ones(arm.size), middle, arm]), (arm - p_treated) * predictions.log_odds_ratio


def regress_risk_difference(predicted: npt.ArrayLike, scores: Scores) -> Estimate:
    """Slope of the calibration for benefit on the risk difference: doubly robust scores regressed on the predictions.

    The best linear predictor of Chernozhukov, Demirer, Duflo & Fernández-Val (2025); standard errors are robust to
    unequal variances.

    `predicted`: Predicted risk differences, shape (patients,); must not have been made from the outcomes in `scores`.
    `scores`: Of the same patients.
    """
    score = scores.risk_difference
    x = one_per_patient("predicted", predicted, score.size)
    if np.ptp(x) == 0.0:
        raise ValueError("all predicted effects are equal: there is no slope to estimate")
    centred = x - x.mean()
    slope = float(centred @ score / (centred @ centred))
    residual = score - score.mean() - slope * centred
    variance = np.square(centred * residual).sum() / (centred @ centred) ** 2 * x.size / (x.size - 2)  # HC1
    return Estimate.normal(slope, float(np.sqrt(variance)))
