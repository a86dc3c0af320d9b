"""All that is estimated of predicted effects from a trial's outcomes, with intervals that hold.

One table a prediction: calibration (intercept and slope on the log odds, slope on the risk difference), ranking (AUTOC,
QINI) and discrimination (C-for-benefit), each fold by fold and combined as in `hte_utils.predictions.sequential`. How
often each interval excludes "nothing" where there is nothing, and how often it holds what is true, is measured in
`hte_utils.calibration.rates`. The event is bleeding: positive effects are harm, and benefit is a negative risk
difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd

from hte_utils.calibration.bootstrap import Estimate
from hte_utils.calibration.effect_calibration import (
    log_odds_ratio_calibration_of_truth,
    regress_log_odds_ratio,
    regress_risk_difference,
)
from hte_utils.calibration.matched_pairs import c_for_benefit, c_for_benefit_of_truth
from hte_utils.cate import EffectScale
from hte_utils.decisions.doubly_robust import doubly_robust_scores
from hte_utils.decisions.targeting import GRID, autoc, autoc_error, qini, qini_error, toc, toc_on_grid
from hte_utils.evaluation import point_metrics
from hte_utils.predictions.sequential import NextFold, combine_deals, combine_folds, combine_truth
from hte_utils.trial import P_TREATED
from hte_utils.trial_checks import FloatArray, IntArray
from hte_utils.true_effects import true_cate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hte_utils.predictions.effect_predictions import EffectPredictions
    from hte_utils.trial import TrialTruth

NOTHING = {
    "intercept (log odds)": 0.0,
    "slope (log odds)": 0.0,
    "slope (risk)": 0.0,
    "AUTOC": 0.0,
    "QINI": 0.0,
    "C-for-benefit": 0.5,
}
"""The statistics, and the value of each where predictions have nothing to do with the effects (of the intercept: where
they are right on average)."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Randomised patients with outcomes and with the truth. All arrays have shape (patients,).

    `outcome`, `treatment`: 0/1.
    `untreated_risk`, `risk_difference`, `log_odds_ratio`: True probability of the event without treatment, and the true
        effect on two scales; positive = harm.
    `p_treated`: Probability with which each was randomised to treatment: the design's, not the share that came out.
    """

    outcome: IntArray
    treatment: IntArray
    untreated_risk: FloatArray
    risk_difference: FloatArray
    log_odds_ratio: FloatArray
    p_treated: float

    @classmethod
    def of(cls, truth: TrialTruth) -> Self:
        """Take what is needed from a trial of Listing 1."""
        return cls(
            truth.event.astype(np.int64),
            truth.treatment.astype(np.int64),
            truth.baseline_risk,
            truth.risk_difference,
            true_cate(truth, EffectScale.LOG_ODDS_RATIO),
            P_TREATED,
        )

    @property
    def treated_risk(self) -> FloatArray:
        """True probability of the event with treatment."""
        return self.untreated_risk + self.risk_difference

    @property
    def factual_risk(self) -> FloatArray:
        """True probability of the event under the treatment the patient had."""
        return np.where(self.treatment == 1, self.treated_risk, self.untreated_risk)

    def rows(self, rows: IntArray) -> Self:
        """Some of the patients."""
        return type(self)(
            self.outcome[rows],
            self.treatment[rows],
            self.untreated_risk[rows],
            self.risk_difference[rows],
            self.log_odds_ratio[rows],
            self.p_treated,
        )


def estimates(predictions: EffectPredictions, cohort: Cohort) -> dict[str, Estimate]:
    """Every statistic from outcomes, by the names of `NOTHING`: valid for predictions that do not know the outcomes."""
    outcome, treatment, p = cohort.outcome, cohort.treatment, cohort.p_treated
    line = regress_log_odds_ratio(predictions, outcome, treatment, p_treated=p)
    scores = doubly_robust_scores(predictions, outcome, treatment, p_treated=p)
    priority, benefit = -predictions.risk_difference, -scores.risk_difference
    curve = toc(priority, benefit)
    found = (
        line.intercept,
        line.slope,
        regress_risk_difference(predictions.risk_difference, scores),
        Estimate.normal(autoc(curve), autoc_error(priority, benefit)),
        Estimate.normal(qini(curve), qini_error(priority, benefit)),
        c_for_benefit(predictions, outcome, treatment),
    )
    return dict(zip(NOTHING, found, strict=True))


def true_values(predictions: EffectPredictions, cohort: Cohort) -> dict[str, float]:
    """Every statistic with the true risks in place of outcomes: what `estimates` is an estimate of."""
    intercept, log_odds_slope = log_odds_ratio_calibration_of_truth(
        predictions, cohort.untreated_risk, cohort.treated_risk, p_treated=cohort.p_treated
    )
    curve = toc(-predictions.risk_difference, -cohort.risk_difference)
    pairs = c_for_benefit_of_truth(
        predictions.risk_difference, cohort.untreated_risk, cohort.treated_risk, cohort.treatment
    )
    slope = point_metrics(predictions.risk_difference, cohort.risk_difference).calibration_slope
    found = (intercept, log_odds_slope, slope, autoc(curve), qini(curve), pairs.value)
    return dict(zip(NOTHING, found, strict=True))


def sequential_inference(deals: Sequence[Sequence[NextFold]], cohort: Cohort) -> pd.DataFrame:
    """Every statistic of sequential predictions, with its 95 % interval.

    `deals`: One prediction's folds, from `predict_sequentially`.
    `cohort`: The trial's patients.

    Index: statistic. `value`, `se`, `lower`, `upper`; `over_deals`, the standard deviation of the estimate over the
    deals (its own luck); `true`, what it estimates: the same means of what is true of the same predictions.
    """
    parts = _parts(deals, cohort)
    found = [[estimates(*part) for part in deal] for deal in parts]
    known = [[true_values(*part) for part in deal] for deal in parts]
    rows = {}
    for name in NOTHING:
        each = [combine_folds([fold[name] for fold in deal]) for deal in found]
        whole = combine_deals(each)
        truth = [
            combine_truth([fold[name] for fold in deal], np.array([fold[name] for fold in true]))
            for deal, true in zip(found, known, strict=True)
        ]
        spread = float(np.std([one.value for one in each], ddof=1)) if len(each) > 1 else np.nan
        rows[name] = [whole.value, whole.se, whole.lower, whole.upper, spread, float(np.mean(truth))]
    columns = ["value", "se", "lower", "upper", "over_deals", "true"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def sequential_curve(deals: Sequence[Sequence[NextFold]], cohort: Cohort) -> pd.DataFrame:
    """Targeting curve of sequential predictions: the mean of the folds' curves.

    `share` (q: 0.01 to 1), `toc`, pointwise 95 % interval `lower`, `upper`, and `true`: the same with true effects.
    """
    curves = []
    for deal in _parts(deals, cohort):
        found = []
        for predictions, fold in deal:
            scores = doubly_robust_scores(predictions, fold.outcome, fold.treatment, p_treated=fold.p_treated)
            priority = -predictions.risk_difference
            known = toc_on_grid(priority, -fold.risk_difference)[0]
            found.append([*toc_on_grid(priority, -scores.risk_difference), known])
        value, error, true = np.moveaxis(np.array(found), 1, 0)
        curves.append([value.mean(axis=0), np.sqrt(np.square(error).sum(axis=0)) / len(deal), true.mean(axis=0)])
    value, error, true = np.mean(curves, axis=0)
    ends = Estimate.normal(0.0, 1.0)
    table = {"lower": value + ends.lower * error, "upper": value + ends.upper * error, "true": true}
    return pd.DataFrame({"share": GRID, "toc": value} | table)


def _parts(deals: Sequence[Sequence[NextFold]], cohort: Cohort) -> list[list[tuple[EffectPredictions, Cohort]]]:
    return [[(fold.predictions, cohort.rows(fold.rows)) for fold in deal] for deal in deals]
