"""Several predictions side by side: how calibrated they are, how they rank, and what acting on them would do.

Each `Candidate` predicts the same trial twice, in hindsight (apparent) and without having seen the patient
(cross-fitted), and a large number of new patients whose true risks are known. The tables are for readers: formatted,
effects in percentage points or bleeds per 1000 patients; positive = harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import pandas as pd

from hte_utils.corrected.calibration import (
    RiskCalibration,
    TrueRiskCalibration,
    calibrate_risk,
    calibrate_risk_against_truth,
)
from hte_utils.corrected.cross_fitting import predict_folds_in_batches
from hte_utils.corrected.effect_calibration import calibrate_against_truth
from hte_utils.corrected.for_benefit import NOTHING, Cohort, e_for_benefit, estimates, true_values
from hte_utils.corrected.policies import autoc, qini, toc
from hte_utils.corrected.predictions import BatchedPredictions, predict_in_batches

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.corrected.cross_fitting import FoldModel
    from hte_utils.corrected.predictions import EffectPredictions
    from hte_utils.effects.cate import GroupEffects
    from hte_utils.model.spec import Patients, TrialDesign

APPARENT, CROSS_FITTED, SEQUENTIAL, TRUE = "apparent", "cross-fitted", "sequential", "true (new patients)"
POINTS = 100.0


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

    Index: candidate and kind of prediction. Text columns; ICI in percentage points, beside its mean for predictions
    that are right (`ICI if right`, ± its Monte Carlo error).
    """
    rows = {}
    for label, by_kind in found.items():
        for kind, each in by_kind.items():
            right = f"{POINTS * each.ici_if_calibrated:.2f} ± {POINTS * each.ici_if_calibrated_mcse:.2f}"
            ici = f"{POINTS * each.ici:.2f}"
            rows[label, kind] = [f"{each.intercept:+.2f}", f"{each.slope:.2f}", ici, right]
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


def benefit_table(
    candidates: Mapping[str, Candidate], sequential: Mapping[str, pd.DataFrame], trial: Cohort, fresh: Cohort
) -> pd.DataFrame:
    """Lay out what is estimated of predicted effects: in hindsight, with valid 95 % intervals, and what is true.

    `candidates`: The predictions, by label.
    `sequential`: What `sequential_inference` found, by label.
    `trial`, `fresh`: The trial's patients and the new ones.

    Index: candidate and kind; text columns by the names of `NOTHING`, AUTOC and QINI in percentage points. There are no
    intervals in hindsight, since none would hold.
    """
    rows = {}
    for label, candidate in candidates.items():
        hindsight = {name: each.value for name, each in estimates(candidate.apparent.whole, trial).items()}
        rows[label, APPARENT] = {name: _shown(name, value) for name, value in hindsight.items()}
        found = sequential[label]
        rows[label, SEQUENTIAL] = {
            str(name): "{} ({} to {})".format(*(_shown(str(name), each) for each in row))
            for name, row in zip(found.index, found[["value", "lower", "upper"]].to_numpy().tolist(), strict=True)
        }
        rows[label, TRUE] = {
            name: _shown(name, each) for name, each in true_values(candidate.fresh.whole, fresh).items()
        }
    best = toc(-fresh.risk_difference, -fresh.risk_difference)
    areas = {"AUTOC": _shown("AUTOC", autoc(best)), "QINI": _shown("QINI", qini(best))}
    rows["the true effects", TRUE] = dict.fromkeys(NOTHING, "") | areas
    return _table({key: list(row.values()) for key, row in rows.items()}, list(NOTHING))


def _shown(statistic: str, value: float) -> str:
    if statistic in ("AUTOC", "QINI"):
        return f"{POINTS * value:+.2f}"
    return f"{value:+.2f}" if statistic.startswith("intercept") else f"{value:.2f}"


def e_for_benefit_table(
    candidates: Mapping[str, Candidate], trial: Cohort, fresh: Cohort, *, seed: int
) -> pd.DataFrame:
    """E-for-benefit in percentage points, what right predictions would show on average, and the true distance."""
    rows = {}
    for label, candidate in candidates.items():
        for kind, predictions in candidate.of_trial().items():
            found = e_for_benefit(predictions, trial.outcome, trial.treatment, seed=seed)
            rows[label, kind] = [
                f"{POINTS * found.value:.2f}",
                f"{POINTS * found.if_right:.2f} ± {POINTS * found.if_right_mcse:.2f}",
            ]
        known = calibrate_against_truth(candidate.fresh.whole.risk_difference, fresh.risk_difference)
        rows[label, TRUE] = [f"{POINTS * known.integrated_error:.2f}", ""]
    return _table(rows, ["E-for-benefit (points)", "if right"])


def _table(rows: Mapping[tuple[str, str], list[str] | list[float]], columns: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["prediction", ""])
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)
