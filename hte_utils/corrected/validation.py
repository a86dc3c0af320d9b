"""Several predictions side by side: what is estimated of their effects, with intervals that hold, and what is true.

Calibration (intercept and slope on the log odds, slope on the risk difference), ranking (AUTOC, QINI) and
discrimination (C-for-benefit), each fold by fold and combined as in `hte_utils.corrected.cross_fitting`; how often the
intervals err is measured in `hte_utils.corrected.rates`. Tables are text for readers, effects in percentage points;
positive effects are harm, and benefit is a negative risk difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from hte_utils.corrected import effect_calibration
from hte_utils.corrected.calibration import Estimate, RiskCalibration, calibrate_risk, calibrate_risk_against_truth
from hte_utils.corrected.cross_fitting import Cohort, EffectPredictions, NextFold, combine_folds
from hte_utils.corrected.decisions import GRID, autoc, doubly_robust_scores, qini, toc
from hte_utils.corrected.effect_calibration import c_for_benefit, calibrate_against_truth, e_for_benefit
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.logistic import Z

APPARENT, CROSS_FITTED, SEQUENTIAL, TRUE = "apparent", "cross-fitted", "sequential", "true (new patients)"
NULL_RATE = "its null rate"
POINTS = 100.0

NOTHING: Final = {
    "intercept (log odds)": 0.0,
    "slope (log odds)": 0.0,
    "slope (risk)": 0.0,
    "AUTOC": 0.0,
    "QINI": 0.0,
    "C-for-benefit": 0.5,
}
"""The statistics, and the value of each where predictions have nothing to do with the effects (of the intercept: where
they are right on average)."""


class Candidate(NamedTuple):
    """One way to predict: for the trial's patients in hindsight, without having seen them, and for new patients."""

    apparent: EffectPredictions
    cross_fitted: EffectPredictions
    new: EffectPredictions

    def of_trial(self) -> dict[str, EffectPredictions]:
        """Predictions for the trial's own patients, by how they were made."""
        return {APPARENT: self.apparent, CROSS_FITTED: self.cross_fitted}


def benefit_estimates(predictions: EffectPredictions, cohort: Cohort) -> dict[str, Estimate]:
    """Every statistic from outcomes, by the names of `NOTHING`: valid for predictions that do not know the outcomes."""
    scores = doubly_robust_scores(predictions, cohort.outcome, cohort.treatment, p_treated=cohort.p_treated)
    predicted = predictions.risk_difference
    found = (
        *effect_calibration.regress_log_odds_ratio(predictions, cohort),
        effect_calibration.regress_risk_difference(predicted, scores),
        autoc(-predicted, -scores),
        qini(-predicted, -scores),
        c_for_benefit(predicted, cohort.outcome, cohort.treatment),
    )
    return dict(zip(NOTHING, found, strict=True))


def true_benefit_values(predictions: EffectPredictions, cohort: Cohort) -> dict[str, float]:
    """Every statistic with the true risks in place of outcomes: what `benefit_estimates` estimates."""
    predicted, true = predictions.risk_difference, cohort.risk_difference
    found = (
        *effect_calibration.true_log_odds_ratio_calibration(predictions, cohort),
        point_metrics(predicted, true).calibration_slope,
        autoc(-predicted, -true).value,
        qini(-predicted, -true).value,
        c_for_benefit(predicted, cohort.factual_risk, cohort.treatment).value,
    )
    return dict(zip(NOTHING, found, strict=True))


def sequential_inference(deals: Sequence[Sequence[NextFold]], cohort: Cohort) -> pd.DataFrame:
    """Every statistic of one prediction's sequential folds, with its 95 % interval.

    Index: statistic. `value`, `se`, `lower`, `upper`; `true`, what it estimates: the same means of what is true of the
    same predictions.
    """
    by_deal = []
    for deal in deals:
        parts = [(fold.predictions, cohort.rows(fold.rows)) for fold in deal]
        found = [[(each.value, each.se) for each in benefit_estimates(*part).values()] for part in parts]
        values, errors = np.moveaxis(np.array(found), 2, 0)
        true = np.array([list(true_benefit_values(*part).values()) for part in parts])
        value, error, weights = combine_folds(values, errors)
        by_deal.append([value, error, (weights * true).sum(axis=0)])
    value, error, true = np.mean(by_deal, axis=0)
    table = pd.DataFrame([Estimate.normal(*each) for each in zip(value, error, strict=True)], index=list(NOTHING))
    return table.assign(true=true)


def sequential_curve(deals: Sequence[Sequence[NextFold]], cohort: Cohort) -> pd.DataFrame:
    """Mean of the folds' targeting curves: `share` (q), `toc`, pointwise 95 % `lower`, `upper`, and `true` effects'."""
    curves = []
    for deal in deals:
        found = []
        for predictions, rows in deal:
            fold, priority = cohort.rows(rows), -predictions.risk_difference
            scores = doubly_robust_scores(predictions, fold.outcome, fold.treatment, p_treated=fold.p_treated)
            found.append([*toc(priority, -scores), toc(priority, -fold.risk_difference)[0]])
        value, error, true = np.moveaxis(np.array(found), 1, 0)
        curves.append([value.mean(axis=0), np.sqrt(np.square(error).sum(axis=0)) / len(deal), true.mean(axis=0)])
    value, error, true = np.mean(curves, axis=0)
    ends = {"lower": value - Z * error, "upper": value + Z * error}
    return pd.DataFrame({"share": GRID, "toc": value} | ends | {"true": true})


def risk_calibrations(candidate: Candidate, trial: Cohort, new: Cohort, *, seed: int) -> dict[str, RiskCalibration]:
    """Calibration of the predicted risk, by how the predictions were made; among new patients against true risks."""
    found = {
        kind: calibrate_risk(trial.outcome, predictions.risk_under(trial.treatment), strata=trial.treatment, seed=seed)
        for kind, predictions in candidate.of_trial().items()
    }
    return found | {TRUE: calibrate_risk_against_truth(new.factual_risk, candidate.new.risk_under(new.treatment))}


def risk_calibration_table(found: Mapping[str, Mapping[str, RiskCalibration]]) -> pd.DataFrame:
    """What `risk_calibrations` found, by candidate and kind, as text with 95 % intervals; ICI in percentage points."""
    rows = {}
    for label, by_kind in found.items():
        for kind, each in by_kind.items():
            row = [f"{each.intercept:+.2f}", f"{each.slope:.2f}", f"{POINTS * each.ici:.2f}", _right(each.ici_if_right)]
            if kind == TRUE:
                row = [f"{each.intercept.value:+.2f}", f"{each.slope.value:.2f}", row[2], ""]
            rows[label, kind] = row
    return _table(rows, ["intercept", "slope", "ICI (points)", "ICI if right"])


def effect_truth_table(candidates: Mapping[str, Candidate], new: Cohort) -> pd.DataFrame:
    """Predicted against true effects of the new patients on two scales; numbers, risk differences in points."""
    rows = {}
    for label, candidate in candidates.items():
        for scale, factor in (("risk difference", POINTS), ("log odds ratio", 1.0)):
            predicted, true = (factor * getattr(each, scale.replace(" ", "_")) for each in (candidate.new, new))
            rows[label, scale] = list(calibrate_against_truth(predicted, true)[:4])
    return _table(rows, ["slope", "mean error", "integrated error", "RMSE"])


def benefit_table(
    candidates: Mapping[str, Candidate],
    sequential: Mapping[str, pd.DataFrame],
    null_rates: pd.Series,
    trial: Cohort,
    new: Cohort,
) -> pd.DataFrame:
    """What is estimated of predicted effects: in hindsight, with valid 95 % intervals, and what is true, as text.

    `null_rates`: each interval's rejection rate under its null, as text, by candidate and statistic. Index: candidate
    and kind. AUTOC and QINI are in percentage points; in hindsight no interval would hold.
    """
    rows = {}
    for label, candidate in candidates.items():
        hindsight = benefit_estimates(candidate.apparent, trial)
        rows[label, APPARENT] = [_shown(name, each.value) for name, each in hindsight.items()]
        found = sequential[label].loc[list(NOTHING), ["value", "lower", "upper"]]
        rows[label, SEQUENTIAL] = [
            "{} ({} to {})".format(*(_shown(name, each) for each in row))
            for name, row in zip(NOTHING, found.to_numpy().tolist(), strict=True)
        ]
        rows[label, NULL_RATE] = list(null_rates[label].reindex(list(NOTHING)))
        rows[label, TRUE] = [_shown(*each) for each in true_benefit_values(candidate.new, new).items()]
    benefit = -new.risk_difference
    best = {"AUTOC": autoc(benefit, benefit).value, "QINI": qini(benefit, benefit).value}
    rows["the true effects", TRUE] = [_shown(name, best[name]) if name in best else "" for name in NOTHING]
    return _table(rows, list(NOTHING))


def e_for_benefit_table(candidates: Mapping[str, Candidate], trial: Cohort, new: Cohort, *, seed: int) -> pd.DataFrame:
    """E-for-benefit in percentage points, what right predictions would show on average, and the true distance."""
    rows = {}
    for label, candidate in candidates.items():
        for kind, predictions in candidate.of_trial().items():
            value, if_right = e_for_benefit(predictions, trial, seed=seed)
            rows[label, kind] = [f"{POINTS * value:.2f}", _right(if_right)]
        known = calibrate_against_truth(candidate.new.risk_difference, new.risk_difference)
        rows[label, TRUE] = [f"{POINTS * known.integrated_error:.2f}", ""]
    return _table(rows, ["E-for-benefit (points)", "if right"])


def _right(distance: Estimate) -> str:
    return f"{POINTS * distance.value:.2f} ± {POINTS * distance.se:.2f}"


def _shown(statistic: str, value: float) -> str:
    if statistic in ("AUTOC", "QINI"):
        return f"{POINTS * value:+.2f}"
    return f"{value:+.2f}" if statistic.startswith("intercept") else f"{value:.2f}"


def _table(rows: Mapping[tuple[str, str], list[str] | list[float]], columns: list[str]) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(rows, names=["prediction", ""])
    return pd.DataFrame(list(rows.values()), index=index, columns=columns)
