"""Several predictions side by side: how calibrated they are, how they rank, and what acting on them would do.

Each `Candidate` predicts the same trial twice, in hindsight (apparent) and without having seen the patient (cross-fitted),
and a large number of new patients whose true risks are known. The tables are for readers: formatted, effects in
percentage points or bleeds per 1000 patients; positive = harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from hte_utils.batched_predictions import BatchedPredictions, predict_in_batches
from hte_utils.calibration import calibrate_risk, calibrate_risk_against_truth
from hte_utils.cate import EffectScale
from hte_utils.cross_fitted_effects import predict_folds_in_batches
from hte_utils.doubly_robust import Scores, doubly_robust_scores
from hte_utils.effect_calibration import (
    calibrate_against_truth,
    log_odds_ratio_calibration_of_truth,
    regress_log_odds_ratio,
    regress_risk_difference,
)
from hte_utils.matched_pairs import c_for_benefit_of_truth, evaluate_for_benefit
from hte_utils.policy import PER_THOUSAND, estimated_difference, true_value, treat_if_predicted_to_benefit
from hte_utils.targeting import autoc, evaluate_targeting, qini, toc
from hte_utils.trial_checks import FloatArray, IntArray
from hte_utils.true_effects import true_cate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.bootstrap import Estimate
    from hte_utils.cross_fitted_effects import FoldModel
    from hte_utils.effect_predictions import EffectPredictions
    from hte_utils.predictors import GroupEffects
    from hte_utils.spec import Patients, TrialDesign
    from hte_utils.trial_truth import TrialTruth

APPARENT, CROSS_FITTED, TRUE = "apparent", "cross-fitted", "true (new patients)"
POINTS = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Randomised patients with outcomes and with the truth. All arrays have shape (patients,).

    Attributes
    ----------
    outcome, treatment
        0/1.
    untreated_risk, risk_difference, log_odds_ratio
        True probability of the event without treatment, and the true effect on two scales; positive = harm.
    """

    outcome: IntArray
    treatment: IntArray
    untreated_risk: FloatArray
    risk_difference: FloatArray
    log_odds_ratio: FloatArray

    @classmethod
    def of(cls, truth: TrialTruth) -> Self:
        """Take what is needed from a simulated trial."""
        return cls(
            truth.event.astype(np.int64),
            truth.treatment.astype(np.int64),
            truth.baseline_risk,
            truth.risk_difference,
            true_cate(truth, EffectScale.LOG_ODDS_RATIO),
        )

    @property
    def treated_risk(self) -> FloatArray:
        """True probability of the event with treatment."""
        return self.untreated_risk + self.risk_difference

    @property
    def factual_risk(self) -> FloatArray:
        """True probability of the event under the treatment the patient had."""
        return np.where(self.treatment == 1, self.treated_risk, self.untreated_risk)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One way to predict: for the trial's patients in hindsight, without having seen them, and for new patients."""

    apparent: BatchedPredictions
    cross_fitted: BatchedPredictions
    fresh: BatchedPredictions

    @classmethod
    def of(
        cls,
        posterior: xr.DataTree,
        design: TrialDesign,
        folds: tuple[FoldModel, ...],
        fresh: Patients,
        group_effects: GroupEffects,
    ) -> Self:
        """Predict from a posterior of the trial, from posteriors of its folds, and for new patients.

        New patients are predicted from a tenth of the draws: that is precise enough for them.
        """
        few = posterior.isel(draw=slice(None, None, 10))
        return cls(
            predict_in_batches(posterior, design, group_effects=group_effects),
            predict_folds_in_batches(folds, group_effects=group_effects),
            predict_in_batches(few, fresh, group_effects=group_effects),
        )

    def of_trial(self) -> dict[str, EffectPredictions]:
        """Predictions for the trial's own patients, by how they were made."""
        return {APPARENT: self.apparent.whole, CROSS_FITTED: self.cross_fitted.whole}


def scores_of(candidate: Candidate, cohort: Cohort) -> Scores:
    """Doubly robust scores of the trial's patients, from cross-fitted predictions."""
    return doubly_robust_scores(candidate.cross_fitted.whole, cohort.outcome, cohort.treatment)


def risk_calibration_table(
    candidates: Mapping[str, Candidate], trial: Cohort, fresh: Cohort, *, seed: int
) -> pd.DataFrame:
    """Intercept, slope and ICI of the predicted risk, with 95 % intervals, and what they truly are.

    Returns
    -------
    pandas.DataFrame
        Index: candidate and kind of prediction. Text columns; ICI in percentage points, beside its mean for
        predictions that are right (`ICI if right`).
    """
    rows = {}
    for label, candidate in candidates.items():
        for kind, predictions in candidate.of_trial().items():
            risk = predictions.risk_under(trial.treatment)
            found = calibrate_risk(trial.outcome, risk, strata=trial.treatment, seed=seed)
            ici = _scaled(found.ici, POINTS)
            right = f"{POINTS * found.ici_if_calibrated:.2f}"
            rows[label, kind] = [f"{found.intercept:+.2f}", f"{found.slope:.2f}", f"{ici:.2f}", right]
        truth = calibrate_risk_against_truth(fresh.factual_risk, candidate.fresh.whole.risk_under(fresh.treatment))
        rows[label, TRUE] = [f"{truth.intercept:+.2f}", f"{truth.slope:.2f}", f"{POINTS * truth.ici:.2f}", ""]
    return _table(rows, ["intercept", "slope", "ICI (points)", "ICI if right"])


def effect_truth_table(candidates: Mapping[str, Candidate], fresh: Cohort) -> pd.DataFrame:
    """Predicted against true effects of the new patients on two scales; numbers, risk differences in points."""
    rows = {}
    for label, candidate in candidates.items():
        for scale, name, factor in (
            ("risk difference", "risk_difference", POINTS),
            ("log odds ratio", "log_odds_ratio", 1),
        ):
            found = calibrate_against_truth(
                factor * getattr(candidate.fresh.whole, name), factor * getattr(fresh, name)
            )
            rows[label, scale] = [found.slope, found.mean_error, found.integrated_error, found.rmse]
    return _table(rows, ["slope", "mean error", "integrated error", "RMSE"])


def benefit_table(candidates: Mapping[str, Candidate], trial: Cohort, fresh: Cohort, *, seed: int) -> pd.DataFrame:
    """Calibration for benefit and C-for-benefit, with 95 % intervals, and what they truly are.

    Returns
    -------
    pandas.DataFrame
        Index: candidate and kind of prediction. Text columns: intercept and slope on the log odds ratio, slope on the
        risk difference, C-for-benefit, E-for-benefit (points).
    """
    rows = {}
    for label, candidate in candidates.items():
        for kind, predictions in candidate.of_trial().items():
            log_odds = regress_log_odds_ratio(predictions, trial.outcome, trial.treatment)
            scores = doubly_robust_scores(predictions, trial.outcome, trial.treatment)
            points = regress_risk_difference(predictions.risk_difference, scores)
            pairs = evaluate_for_benefit(predictions, trial.outcome, trial.treatment, seed=seed)
            rows[label, kind] = [
                f"{log_odds.intercept:+.2f}",
                f"{log_odds.slope:.2f}",
                f"{points.slope:.2f}",
                f"{pairs.c_for_benefit:.2f}",
                f"{_scaled(pairs.e_average, POINTS):.1f}",
            ]
        rows[label, TRUE] = _true_benefit_row(candidate.fresh.whole, fresh, seed)
    columns = ["intercept (log odds)", "slope (log odds)", "slope (risk)", "C-for-benefit", "E-for-benefit (points)"]
    return _table(rows, columns)


def _true_benefit_row(predictions: EffectPredictions, fresh: Cohort, seed: int) -> list[str]:
    line = log_odds_ratio_calibration_of_truth(predictions, fresh.untreated_risk, fresh.treated_risk)
    points = calibrate_against_truth(predictions.risk_difference, fresh.risk_difference)
    concordance = c_for_benefit_of_truth(
        predictions.risk_difference,
        fresh.untreated_risk,
        fresh.treated_risk,
        fresh.treatment,
        n_simulated=20,
        seed=seed,
    )
    return [
        f"{line.intercept:+.2f}",
        f"{line.slope:.2f}",
        f"{points.slope:.2f}",
        f"{concordance.value:.2f}",
        f"{POINTS * points.integrated_error:.1f}",
    ]


def rate_table(candidates: Mapping[str, Candidate], trial: Cohort, fresh: Cohort, *, seed: int) -> pd.DataFrame:
    """AUTOC and QINI, in percentage points of bleeds avoided, with 95 % intervals, and what they truly are."""
    rows = {}
    for label, candidate in candidates.items():
        for kind, predictions in candidate.of_trial().items():
            scores = doubly_robust_scores(predictions, trial.outcome, trial.treatment)
            found = evaluate_targeting(-predictions.risk_difference, -scores.risk_difference, seed=seed)
            rows[label, kind] = [f"{_scaled(area, POINTS):+.2f}" for area in (found.autoc, found.qini)]
        curve = toc(-candidate.fresh.whole.risk_difference, -fresh.risk_difference)
        rows[label, TRUE] = [f"{POINTS * area(curve):+.2f}" for area in (autoc, qini)]
    curve = toc(-fresh.risk_difference, -fresh.risk_difference)
    rows["the true effects", TRUE] = [f"{POINTS * area(curve):+.2f}" for area in (autoc, qini)]
    return _table(rows, ["AUTOC (points)", "QINI (points)"])


def policy_table(candidates: Mapping[str, Candidate], trial: Cohort, fresh: Cohort) -> pd.DataFrame:
    """What acting on each prediction would do, per 1000 patients; and what the trial can say about it.

    Returns
    -------
    pandas.DataFrame
        Index: policy. Numbers for the new patients: `bleeds`, `regret` (above the oracle), `treated`, `wrong`. Text:
        `fewer than nobody, by the trial`: the rate minus that of treating nobody, estimated from the trial's outcomes
        by the cross-fitted policy (95 % interval), and the same for the truth of the trial's own patients.
    """
    nobody, everybody = np.zeros(trial.outcome.size, dtype=np.bool_), np.ones(trial.outcome.size, dtype=np.bool_)
    # Any cross-fitted predictions make unbiased scores; the first candidate's serve the policies that need none.
    scores = scores_of(next(iter(candidates.values())), trial)
    rows = {
        "treat nobody": _policy_row(np.zeros(fresh.outcome.size, dtype=np.bool_), fresh, nobody, trial, scores),
        "treat everybody": _policy_row(np.ones(fresh.outcome.size, dtype=np.bool_), fresh, everybody, trial, scores),
    }
    for label, candidate in candidates.items():
        policy = treat_if_predicted_to_benefit(candidate.fresh.whole)
        crossed = treat_if_predicted_to_benefit(candidate.cross_fitted.whole)
        rows[label] = _policy_row(policy, fresh, crossed, trial, scores_of(candidate, trial))
    rows["oracle"] = _policy_row(fresh.risk_difference < 0, fresh, trial.risk_difference < 0, trial, scores)
    columns = ["bleeds", "regret", "treated", "wrong", "against nobody, true", "against nobody, estimated"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def _policy_row(
    policy: np.ndarray, fresh: Cohort, in_trial: np.ndarray, trial: Cohort, scores: Scores
) -> list[float | str]:
    value = true_value(policy, fresh.untreated_risk, fresh.risk_difference)
    nobody = np.zeros(in_trial.size, dtype=np.bool_)
    true = PER_THOUSAND * float((in_trial * trial.risk_difference).mean())
    estimated = _scaled(estimated_difference(in_trial, nobody, scores), PER_THOUSAND)
    per_thousand = [value.event_rate, value.regret, value.share_treated, value.wrong]
    return [
        *(PER_THOUSAND * each for each in per_thousand),
        f"{true:+.1f}",
        f"{estimated:+.1f}" if in_trial.any() else "0",
    ]


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return type(estimate)(*(factor * getattr(estimate, name) for name in ("value", "se", "lower", "upper")))


def _table(rows: Mapping[tuple[str, str], list[str] | list[float]], columns: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["prediction", ""])
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)
