"""Metrics "for benefit" from matched pairs: one treated and one control patient with similar predicted effects.

A pair shows what no patient shows: an outcome under each treatment, of two people whom the model holds to be alike.
Its observed effect is -1, 0 or 1 (treated minus control outcome; 1 = harm). From the pairs come the C-for-benefit
(van Klaveren et al. 2018), the probability that of two pairs with different observed effects the one with more
observed harm also has more predicted harm, and the E-for-benefit (Maas et al. 2023), the mean distance between the
predicted effect and the smooth curve of the observed effect.

Patients are matched by the rank of their predicted risk difference within the arm, and a pair's prediction is the mean
of its two (van Klaveren et al. 2018); the smooth curve is a natural spline where Maas et al. use local regression. The
C-for-benefit depends on the matching and is not a proper score (Xia, Gustafson & Sadatsafavi 2023).

All that is estimated of predicted effects from a trial's outcomes, with intervals that hold.

One table a prediction: calibration (intercept and slope on the log odds, slope on the risk difference), ranking (AUTOC,
QINI) and discrimination (C-for-benefit), each fold by fold and combined as in `hte_utils.corrected.cross_fitting`. How
often each interval excludes "nothing" where there is nothing, and how often it holds what is true, is measured in
`hte_utils.corrected.rates`. The event is bleeding: positive effects are harm, and benefit is a negative risk
difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from hte_utils.corrected.calibration import Estimate, spline_columns
from hte_utils.corrected.cross_fitting import NextFold, combine_deals, combine_folds, combine_truth
from hte_utils.corrected.effect_calibration import (
    log_odds_ratio_calibration_of_truth,
    regress_log_odds_ratio,
    regress_risk_difference,
)
from hte_utils.corrected.policies import (
    GRID,
    autoc,
    autoc_error,
    doubly_robust_scores,
    qini,
    qini_error,
    toc,
    toc_on_grid,
)
from hte_utils.effects.cate import EffectScale
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import tied_ranks
from hte_utils.effects.truth import true_cate
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.trial import P_TREATED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hte_utils.corrected.predictions import EffectPredictions
    from hte_utils.trial import TrialTruth


@dataclass(frozen=True, slots=True, eq=False)
class MatchedPairs:
    """Who is matched with whom: positions in the patients' table, shape (pairs,), by rising predicted effect."""

    treated: IntArray
    control: IntArray

    @classmethod
    def of(cls, predicted: npt.ArrayLike, treatment: npt.ArrayLike, outcome: npt.ArrayLike, *, seed: int = 1) -> Self:
        """Match rank by rank; the larger arm leaves out its surplus, evenly over the ranks.

        Equal predictions are put in random order, whatever the order of the table: which of them is matched with whom
        depends on the seed and not on where they stand.

        `predicted`, `treatment`, `outcome`: Predicted risk differences, and 0/1 each, shape (patients,).
        `seed`: What decides among equals.
        """
        effect, arm, y = (np.asarray(each) for each in (predicted, treatment, outcome))
        first, _ = tied_ranks(np.asarray(effect, dtype=np.float64))
        rng = np.random.default_rng(seed)
        # Patients who agree in rank, arm and outcome may change places: nothing that follows can tell them apart.
        canonical = np.lexsort((y, arm, first))
        order = canonical[np.lexsort((rng.random(arm.size), first[canonical]))]
        treated, control = order[arm[order] == 1], order[arm[order] == 0]
        n_pairs = min(treated.size, control.size)
        middles = (np.arange(n_pairs) + 0.5) / n_pairs
        return cls(*(who[(middles * who.size).astype(np.int64)] for who in (treated, control)))

    def mean_of(self, values: FloatArray) -> FloatArray:
        """A pair's prediction: the mean of its two, shape (pairs,)."""
        return np.asarray((values[self.treated] + values[self.control]) / 2.0)

    def effects(self, outcome: FloatArray) -> FloatArray:
        """Observed effects (-1, 0, 1), shape (..., pairs), of outcomes of shape (..., patients)."""
        return np.asarray(outcome[..., self.treated] - outcome[..., self.control])

    def chances(self, risk: FloatArray) -> FloatArray:
        """Probability of each observed effect -1, 0, 1, shape (3, pairs), from the patients' own risks."""
        treated, control = risk[self.treated], risk[self.control]
        better, worse = (1.0 - treated) * control, treated * (1.0 - control)
        return np.stack([better, 1.0 - better - worse, worse])


def concordance(predicted: FloatArray, chances: FloatArray) -> Estimate:
    """C-for-benefit of pairs: 0.5 = no better than chance.

    `predicted`: Predicted effects, shape (pairs,). Ties count one half.
    `chances`: Probability of each observed effect (-1, 0, 1), shape (3, pairs): 0 or 1 once it is observed.

    Expected concordant over expected comparable pairs of pairs. Standard error: root of the sum of the expected squares
    of each pair's influence on this ratio of U-statistics. NaN if all effects are equal.
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


def c_for_benefit(predictions: EffectPredictions, outcome: npt.ArrayLike, treatment: npt.ArrayLike) -> Estimate:
    """C-for-benefit of predictions that do not know these outcomes."""
    y, arm = np.asarray(outcome, dtype=np.float64), np.asarray(treatment).astype(np.int64)
    pairs = MatchedPairs.of(predictions.risk_difference, arm, y)
    observed = pairs.effects(y)
    return concordance(pairs.mean_of(predictions.risk_difference), np.stack([observed == k for k in (-1, 0, 1)]) * 1.0)


def c_for_benefit_of_truth(
    predicted: npt.ArrayLike, untreated_risk: npt.ArrayLike, treated_risk: npt.ArrayLike, treatment: npt.ArrayLike
) -> Estimate:
    """C-for-benefit over trials of the same patients, their outcomes drawn from known risks: nothing is simulated.

    `predicted`: Predicted risk differences; the true ones give the best C that can be had in such a trial. Shape
        (patients,).
    `untreated_risk`, `treated_risk`: True event probabilities in either arm, shape (patients,).
    `treatment`: 0/1, shape (patients,).

    What such trials show on average, their standard deviation, and between which values 95 % of them lie.
    """
    effect, arm = np.asarray(predicted, dtype=np.float64), np.asarray(treatment).astype(np.int64)
    risk = np.where(arm == 1, np.asarray(treated_risk), np.asarray(untreated_risk))
    pairs = MatchedPairs.of(effect, arm, risk)
    return concordance(pairs.mean_of(effect), pairs.chances(risk))


class EForBenefit(NamedTuple):
    """Distance of predicted effects from the smooth curve of the pairs' observed ones.

    `value`: Mean distance (a probability). Never negative, so above 0 for perfect predictions as well: there is no
        interval, since a percentile bootstrap adds that bias a second time and excludes its own estimate.
    `if_right`, `if_right_mcse`: What it would be on average if every prediction were the patient's true risk:
        simulated, with its Monte Carlo standard error.
    """

    value: float
    if_right: float
    if_right_mcse: float


def e_for_benefit(
    predictions: EffectPredictions,
    outcome: npt.ArrayLike,
    treatment: npt.ArrayLike,
    *,
    n_simulated: int = 200,
    seed: int,
) -> EForBenefit:
    """E-for-benefit, beside what right predictions would show.

    `predictions`, `outcome`, `treatment`: Of the same patients; outcomes and arms 0/1.
    `n_simulated`, `seed`: Simulated trials in which the predictions are right, and what decides them.
    """
    y, arm = np.asarray(outcome, dtype=np.float64), np.asarray(treatment).astype(np.int64)
    pairs = MatchedPairs.of(predictions.risk_difference, arm, y)
    predicted = pairs.mean_of(predictions.risk_difference)
    columns = spline_columns(predicted)
    risk = predictions.risk_under(arm)
    simulated = (np.random.default_rng(seed).random((n_simulated, arm.size)) < risk).astype(np.float64)
    effects = np.vstack([pairs.effects(y), pairs.effects(simulated)])
    curves = columns @ np.linalg.lstsq(columns, effects.T)[0]
    value, *right = np.abs(curves.T - predicted).mean(axis=1)
    return EForBenefit(float(value), float(np.mean(right)), float(np.std(right, ddof=1) / np.sqrt(n_simulated)))


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
