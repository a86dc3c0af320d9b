"""Calibration and discrimination of predicted effects: against the truth, and from outcomes alone, as in a real trial.

The event is bleeding: a positive effect is harm, and "benefit" is a negative risk difference. Nobody is ever seen
under both treatments, so in a real trial an effect prediction can only be checked for groups of patients: by comparing
the arms among patients with similar predictions, by regressing outcomes on treatment times prediction, or in matched
pairs of one treated and one control patient, whom the model holds to be alike.

As van Klaveren et al. (2018) have it, patients are matched by the rank of their predicted risk difference within the
arm, and a pair's prediction is the mean of its two. From the pairs come their C-for-benefit and the E-for-benefit of
Maas et al. (2023), here with a natural spline in place of local regression. The C-for-benefit depends on the matching
and is not a proper score (Xia, Gustafson & Sadatsafavi 2023).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import logit

from hte_utils.corrected.calibration import Estimate, curve_places, last_coefficient, spline_columns
from hte_utils.corrected.cross_fitting import Cohort, EffectPredictions
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.logistic import fit_replicates
from hte_utils.effects.strata import tied_ranks
from hte_utils.model.checks import FloatArray, IntArray, one_per_patient


class TrueEffectCalibration(NamedTuple):
    """Predicted against true effects of the same patients, on one scale.

    `slope` (least squares of true on predicted) is 1 if calibrated, below 1 if effects are predicted too far apart;
    `mean_error` is predicted minus true (positive: harm is overstated); `integrated_error` the mean absolute distance
    of the predictions from the smooth curve of true effects, what is wrong with them *as numbers*; `rmse` counts
    what they leave unexplained as well. `curve`: `predicted` (the central 98 %) and `true`.
    """

    slope: float
    mean_error: float
    integrated_error: float
    rmse: float
    curve: pd.DataFrame


def calibrate_against_truth(predicted: npt.ArrayLike, true: npt.ArrayLike) -> TrueEffectCalibration:
    """Hold predicted effects against the true effects of the same patients, both of shape (patients,)."""
    found = point_metrics(predicted, true)
    x = np.asarray(predicted, dtype=np.float64)
    columns, at = spline_columns(x, 6), curve_places(x)
    coefficients = np.linalg.lstsq(columns, np.asarray(true, dtype=np.float64))[0]
    integrated_error = float(np.abs(columns @ coefficients - x).mean())
    curve = pd.DataFrame({"predicted": at, "true": spline_columns(x, 6, at=at) @ coefficients})
    return TrueEffectCalibration(found.calibration_slope, found.bias, integrated_error, found.rmse, curve)


def effects_by_predicted_group(predictions: EffectPredictions, cohort: Cohort, group: npt.ArrayLike) -> pd.DataFrame:
    """Compare the arms within groups of patients whose predicted risk difference is similar.

    Index `group`, as given for each patient, 1 = lowest predicted risk difference (most benefit); `n`, `events`,
    `predicted` and `true` (mean risk differences), `observed` (rate of the treated minus rate of the controls) with
    Newcombe's 95 % interval `lower`, `upper`. Probabilities; positive = harm. NaN where an arm is empty.
    """
    from statsmodels.stats.proportion import confint_proportions_2indep  # takes a second to import

    patients = pd.DataFrame({"group": group, "arm": cohort.treatment, "event": cohort.outcome})
    patients = patients.assign(predicted=predictions.risk_difference, true=cohort.risk_difference)
    by_arm = patients.pivot_table(index="group", columns="arm", values="event", aggfunc=["sum", "size"])
    counts = [by_arm[name, arm].to_numpy(dtype=np.float64) for arm in (1, 0) for name in ("sum", "size")]
    events, n, events_control, n_control = counts
    lower, upper = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    table = patients.groupby("group").agg(
        n=("event", "size"), events=("event", "sum"), predicted=("predicted", "mean"), true=("true", "mean")
    )
    return table.assign(observed=events / n - events_control / n_control, lower=lower, upper=upper)


def regress_log_odds_ratio(predictions: EffectPredictions, cohort: Cohort) -> tuple[Estimate, Estimate]:
    """Intercept and slope of the calibration for benefit on the log odds ratio, by logistic regression.

    ``logit P(event) = a + b m + c treatment + d (treatment - p) r``, where r is the predicted log odds ratio, p the
    probability of treatment, and ``m = logit(predicted baseline risk) + p r`` the predicted log odds, averaged over the
    arms. `d` is the slope: what to multiply the predictions' differences with, 1 if calibrated, 0 if they have nothing
    to do with the effects. With `d` fixed at 1, `c` is the intercept: what to add to every predicted effect, 0 if
    calibrated, below 0 if harm is overstated.

    Treatment is centred, because an error of the predicted baseline risk goes into r with the opposite sign. In
    ``a + b logit(baseline risk) + treatment (c + d r)``, as it is often written, the treated alone would feel it, and
    `d` lies above 0 without any effect at all. `d` is exactly 1 for right predictions, and nearly 1 / k for those that
    are k times too far apart.
    """
    common, effect = _regressors(predictions, cohort.treatment, cohort.p_treated)
    outcome = cohort.outcome.astype(np.float64)
    intercept = last_coefficient(common, outcome, offset=effect)
    return intercept, last_coefficient(np.column_stack([common, effect]), outcome)


def true_log_odds_ratio_calibration(predictions: EffectPredictions, cohort: Cohort) -> tuple[float, float]:
    """Intercept and slope that `regress_log_odds_ratio` tends to in ever larger trials of such patients.

    Every patient enters in either arm, with its probability as weight and the true event probability as outcome.
    """
    risk = np.concatenate([cohort.untreated_risk, cohort.treated_risk])
    arm = np.repeat([0, 1], cohort.outcome.size)
    twice = EffectPredictions.scattered([predictions, predictions], [np.arange(arm.size)])
    weights = np.where(arm == 1, cohort.p_treated, 1.0 - cohort.p_treated)[None]
    common, effect = _regressors(twice, arm, cohort.p_treated)
    fixed = fit_replicates(common, risk, offset=effect, weights=weights)
    free = fit_replicates(np.column_stack([common, effect]), risk, weights=weights)
    return float(fixed[0, -1]), float(free[0, -1])


def _regressors(predictions: EffectPredictions, arm: IntArray, p_treated: float) -> tuple[FloatArray, FloatArray]:
    middle = logit(predictions.baseline_risk) + p_treated * predictions.log_odds_ratio
    return np.column_stack([np.ones(arm.size), middle, arm]), (arm - p_treated) * predictions.log_odds_ratio


def regress_risk_difference(predicted: npt.ArrayLike, scores: FloatArray) -> Estimate:
    """Slope of the calibration for benefit on the risk difference: doubly robust scores regressed on the predictions.

    The best linear predictor of Chernozhukov, Demirer, Duflo & Fernández-Val (2025); standard errors are robust to
    unequal variances. `predicted` risk differences, shape (patients,), must not have been made from the outcomes in the
    `scores` (`decisions.doubly_robust_scores`).
    """
    from statsmodels.regression.linear_model import OLS  # takes a second to import

    x = one_per_patient("predicted", predicted, scores.size)
    if np.ptp(x) == 0.0:
        raise ValueError("all predicted effects are equal: there is no slope to estimate")
    line = OLS(scores, np.column_stack([np.ones(x.size), x])).fit(cov_type="HC1")
    return Estimate.normal(line.params[1], line.bse[1])


class MatchedPairs(NamedTuple):
    """Who is matched with whom: positions in the patients' table, shape (pairs,), by rising predicted effect."""

    treated: IntArray
    control: IntArray

    @classmethod
    def of(cls, predicted: FloatArray, treatment: IntArray, outcome: npt.NDArray[Any], *, seed: int = 1) -> Self:
        """Match rank by rank; the larger arm leaves out its surplus, evenly over the ranks.

        Equal predictions are put in a random order that depends on the seed, and not on the order of the table.
        """
        first, _ = tied_ranks(predicted)
        rng = np.random.default_rng(seed)
        # Patients who agree in rank, arm and outcome may change places: nothing that follows can tell them apart.
        canonical = np.lexsort((outcome, treatment, first))
        order = canonical[np.lexsort((rng.random(treatment.size), first[canonical]))]
        treated, control = order[treatment[order] == 1], order[treatment[order] == 0]
        n_pairs = min(treated.size, control.size)
        middles = (np.arange(n_pairs) + 0.5) / n_pairs
        return cls(*(who[(middles * who.size).astype(np.int64)] for who in (treated, control)))

    def mean_of(self, values: FloatArray) -> FloatArray:
        """A pair's prediction: the mean of its two, shape (pairs,)."""
        return np.asarray((values[self.treated] + values[self.control]) / 2.0)

    def effects(self, outcome: npt.NDArray[Any]) -> FloatArray:
        """Observed effects (-1, 0, 1; 1 = harm), shape (..., pairs), of outcomes of shape (..., patients)."""
        return np.asarray(outcome[..., self.treated] - outcome[..., self.control], dtype=np.float64)


def concordance(predicted: FloatArray, chances: FloatArray) -> Estimate:
    """C-for-benefit: of two pairs with different observed effects, the one with more harm also has more predicted harm.

    `predicted` effects have shape (pairs,), ties count one half; `chances` of each observed effect (-1, 0, 1) shape
    (3, pairs): 0 or 1 once it is observed. Expected concordant over expected comparable pairs of pairs; 0.5 = no better
    than chance, NaN if all effects are equal. Standard error: root of the sum of the expected squares of each pair's
    influence on this ratio of U-statistics.
    """
    low, middle, high = chances
    less = np.stack([np.zeros_like(low), low, low + middle])  # another pair's chance of a lower effect than -1, 0, 1
    more = np.stack([middle + high, high, np.zeros_like(low)])
    # Of another pair with a lower (higher) predicted effect, one must also observe a lower (higher) one.
    good = _below(predicted, less) + more.sum(axis=1, keepdims=True) - _below(predicted, more) - (less + more) / 2.0
    differs = (less + more).sum(axis=1, keepdims=True) - (less + more)
    total = (chances * differs).sum()
    if not total > 0.0:
        return Estimate.normal(np.nan, np.nan)
    value = float((chances * good).sum() / total)
    influence = 2.0 * (good - value * differs) / total
    return Estimate.normal(value, float(np.sqrt((chances * np.square(influence)).sum())))


def _below(predicted: FloatArray, values: FloatArray) -> FloatArray:
    """Sum of `values`, shape (rows, pairs), over the pairs predicted lower than each; equals count one half."""
    first, last = tied_ranks(predicted)
    sums = np.pad(np.cumsum(values[:, np.argsort(predicted, kind="stable")], axis=1), ((0, 0), (1, 0)))
    return np.asarray((sums[:, first] + sums[:, last + 1]) / 2.0)


def c_for_benefit(predicted: FloatArray, risk: npt.NDArray[Any], treatment: IntArray) -> Estimate:
    """C-for-benefit of predicted risk differences; all arrays have shape (patients,).

    `risk` are outcomes (0/1) that the predictions do not know; or true probabilities of the event under the treatment
    that each had: then what trials of the same patients show on average, their standard deviation, and 95 % range.
    """
    pairs = MatchedPairs.of(predicted, treatment, risk)
    treated, control = (np.asarray(risk[who], dtype=np.float64) for who in pairs)
    better, worse = (1.0 - treated) * control, treated * (1.0 - control)
    return concordance(pairs.mean_of(predicted), np.stack([better, 1.0 - better - worse, worse]))


def e_for_benefit(
    predictions: EffectPredictions, cohort: Cohort, *, n_simulated: int = 200, seed: int
) -> tuple[float, Estimate]:
    """E-for-benefit, and what right predictions would show: the mean over simulated trials with its Monte Carlo error.

    The mean distance of predicted effects from the smooth curve of the pairs' observed ones (a probability). Never
    negative, so above 0 for perfect predictions as well: there is no interval, since a percentile bootstrap adds that
    bias a second time and excludes its own estimate.
    """
    pairs = MatchedPairs.of(predictions.risk_difference, cohort.treatment, cohort.outcome)
    predicted = pairs.mean_of(predictions.risk_difference)
    columns = spline_columns(predicted)
    risk = predictions.risk_under(cohort.treatment)
    simulated = np.random.default_rng(seed).random((n_simulated, risk.size)) < risk
    effects = np.vstack([pairs.effects(cohort.outcome), pairs.effects(simulated.astype(np.float64))])
    curves = columns @ np.linalg.lstsq(columns, effects.T)[0]
    value, *right = np.abs(curves.T - predicted).mean(axis=1)
    return float(value), Estimate.normal(float(np.mean(right)), float(np.std(right, ddof=1) / np.sqrt(n_simulated)))
