"""Metrics "for benefit" from matched pairs: one treated and one control patient with similar predicted effects.

A pair shows what no patient shows: an outcome under each treatment, of two people whom the model holds to be alike.
Its observed effect is -1, 0 or 1 (treated minus control outcome; 1 = harm). From the pairs come the C-for-benefit
(van Klaveren et al. 2018), the probability that of two pairs with different observed effects the one with more
observed harm also has more predicted harm, and the E-for-benefit (Maas et al. 2023), the mean distance between the
predicted effect and the smooth curve of the observed effect.

Patients are matched by the rank of their predicted risk difference within the arm, and a pair's prediction is the mean
of its two (van Klaveren et al. 2018); the smooth curve is a natural spline where Maas et al. use local regression. The
C-for-benefit depends on the matching and is not a proper score (Xia, Gustafson & Sadatsafavi 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from hte_utils.calibration.bootstrap import Estimate
from hte_utils.calibration.natural_spline import spline_columns
from hte_utils.strata import tied_ranks
from hte_utils.trial_checks import FloatArray, IntArray

if TYPE_CHECKING:
    from hte_utils.predictions.effect_predictions import EffectPredictions


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
