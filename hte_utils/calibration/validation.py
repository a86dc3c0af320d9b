"""Several predictions side by side: how calibrated they are, how they rank, and what acting on them would do.

Each `Candidate` predicts the same trial twice, in hindsight (apparent) and without having seen the patient
(cross-fitted), and a large number of new patients whose true risks are known. The tables are for readers: formatted,
effects in percentage points or bleeds per 1000 patients; positive = harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from hte_utils.calibration.effect_calibration import (
    calibrate_against_truth,
    log_odds_ratio_calibration_of_truth,
    regress_log_odds_ratio,
    regress_risk_difference,
)
from hte_utils.calibration.matched_pairs import c_for_benefit_of_truth, evaluate_for_benefit
from hte_utils.calibration.risk_calibration import (
    RiskCalibration,
    TrueRiskCalibration,
    calibrate_risk,
    calibrate_risk_against_truth,
)
from hte_utils.cate import EffectScale
from hte_utils.decisions.doubly_robust import doubly_robust_scores
from hte_utils.decisions.targeting import autoc, evaluate_targeting, qini, toc
from hte_utils.predictions.batched_predictions import BatchedPredictions, predict_in_batches
from hte_utils.predictions.cross_fitted_effects import predict_folds_in_batches
from hte_utils.trial_checks import FloatArray, IntArray
from hte_utils.true_effects import true_cate

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.predictions.cross_fitted_effects import FoldModel
    from hte_utils.predictions.effect_predictions import EffectPredictions
    from hte_utils.predictors import GroupEffects
    from hte_utils.spec import Patients, TrialDesign
    from hte_utils.trial import TrialTruth

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
        """Predict the trial's patients and new ones from a posterior, and the folds from theirs."""
        return cls(
            predict_in_batches(posterior, design, group_effects=group_effects),
            predict_folds_in_batches(folds, group_effects=group_effects),
            predict_in_batches(posterior, fresh, group_effects=group_effects),
        )

    def of_trial(self) -> dict[str, EffectPredictions]:
        """Predictions for the trial's own patients, by how they were made."""
        return {APPARENT: self.apparent.whole, CROSS_FITTED: self.cross_fitted.whole}


def risk_calibrations(candidate: Candidate, trial: Cohort, *, seed: int) -> dict[str, RiskCalibration]:
    """Calibration of the predicted risk in the trial, by how the predictions were made."""
    return {
        kind: calibrate_risk(trial.outcome, predictions.risk_under(trial.treatment), strata=trial.treatment, seed=seed)
        for kind, predictions in candidate.of_trial().items()
    }


def true_risk_calibration(candidate: Candidate, fresh: Cohort) -> TrueRiskCalibration:
    """What these calibrations would be in ever larger trials."""
    return calibrate_risk_against_truth(fresh.factual_risk, candidate.fresh.whole.risk_under(fresh.treatment))


def risk_calibration_table(
    found: Mapping[str, Mapping[str, RiskCalibration]], true: Mapping[str, TrueRiskCalibration]
) -> pd.DataFrame:
    """Lay out calibrations of the predicted risk, with 95 % intervals, and what they truly are.

    Parameters
    ----------
    found
        What `risk_calibrations` returns, by candidate.
    true
        What `true_risk_calibration` returns, by candidate.

    Returns
    -------
    pandas.DataFrame
        Index: candidate and kind of prediction. Text columns; ICI in percentage points, beside its mean for
        predictions that are right (`ICI if right`).
    """
    rows = {}
    for label, by_kind in found.items():
        for kind, each in by_kind.items():
            ici = each.ici.times(POINTS)
            right = f"{POINTS * each.ici_if_calibrated:.2f}"
            rows[label, kind] = [f"{each.intercept:+.2f}", f"{each.slope:.2f}", f"{ici:.2f}", right]
        known = true[label]
        rows[label, TRUE] = [f"{known.intercept:+.2f}", f"{known.slope:.2f}", f"{POINTS * known.ici:.2f}", ""]
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
                f"{pairs.e_average.times(POINTS):.1f}",
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
            rows[label, kind] = [f"{area.times(POINTS):+.2f}" for area in (found.autoc, found.qini)]
        curve = toc(-candidate.fresh.whole.risk_difference, -fresh.risk_difference)
        rows[label, TRUE] = [f"{POINTS * area(curve):+.2f}" for area in (autoc, qini)]
    curve = toc(-fresh.risk_difference, -fresh.risk_difference)
    rows["the true effects", TRUE] = [f"{POINTS * area(curve):+.2f}" for area in (autoc, qini)]
    return _table(rows, ["AUTOC (points)", "QINI (points)"])


def _table(rows: Mapping[tuple[str, str], list[str] | list[float]], columns: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["prediction", ""])
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)
