"""Metrics "for benefit" from matched pairs: one treated and one control patient with similar predicted effects.

A pair shows what no patient shows: an outcome under each treatment, of two people whom the model holds to be alike.
Its observed effect is -1, 0 or 1 (treated minus control outcome; 1 = harm). From the pairs come the C-for-benefit
(van Klaveren et al. 2018), the probability that of two pairs with different observed effects the one with more
observed harm also has more predicted harm, and the E-for-benefit (Maas et al. 2023), the mean, median and 90th
percentile of the distance between the predicted effect and the smooth curve of the observed effect.

Patients are matched by the rank of their predicted risk difference within the arm, and a pair's prediction is the mean
of its two (van Klaveren et al. 2018); the smooth curve is a natural spline where Maas et al. use local regression. The
C-for-benefit depends on the matching and is not a proper score (Xia, Gustafson & Sadatsafavi 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hte_utils.calibration.bootstrap import Estimate, require_randomised, require_replicates
from hte_utils.calibration.natural_spline import NaturalSpline
from hte_utils.trial_checks import FloatArray, IntArray

if TYPE_CHECKING:
    from hte_utils.predictions.effect_predictions import EffectPredictions


@dataclass(frozen=True, slots=True)
class ForBenefit:
    """What matched pairs say about predicted risk differences.

    Attributes
    ----------
    c_for_benefit
        0.5 = no better than chance; a bootstrap that matches anew gives its interval.
    e_average, e50, e90
        Mean, median, 90th percentile of the distance to the smooth curve (probabilities); never negative.
    n_pairs, n_informative
        Pairs, and those with an observed effect other than 0.
    """

    c_for_benefit: Estimate
    e_average: Estimate
    e50: Estimate
    e90: Estimate
    n_pairs: int
    n_informative: int


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Pairs of many replicates: predicted and observed risk differences, shape (replicates, pairs)."""

    predicted: FloatArray
    observed: FloatArray

    def __getitem__(self, rows: slice) -> _Pairs:
        return _Pairs(self.predicted[rows], self.observed[rows])


def evaluate_for_benefit(
    predictions: EffectPredictions,
    outcome: npt.ArrayLike,
    treatment: npt.ArrayLike,
    *,
    n_bootstrap: int = 200,
    seed: int,
) -> ForBenefit:
    """C-for-benefit and E-for-benefit with bootstrap intervals.

    Parameters
    ----------
    predictions, outcome, treatment
        Of the same patients; outcomes and arms 0/1.
    n_bootstrap, seed
        Replicates, each with patients drawn anew within the arms and matched anew; and what decides them.

    Raises
    ------
    ValueError
        If outcomes and arms do not fit the predictions, or the predictions are too alike for a curve.
    """
    y, arm = require_randomised(outcome, treatment, predictions.n_patients)
    require_replicates(n_bootstrap)
    rng = np.random.default_rng(seed)
    pairs = _matched(predictions.risk_difference, arm, y, n_bootstrap, rng)
    concordance = c_for_benefit(pairs.predicted, pairs.observed)
    distances = _distances(pairs)
    return ForBenefit(
        c_for_benefit=Estimate.bootstrapped(concordance[0], concordance[1:]),
        **{name: Estimate.bootstrapped(each[0], each[1:]) for name, each in distances.items()},
        n_pairs=pairs.observed.shape[1],
        n_informative=int(np.count_nonzero(pairs.observed[0])),
    )


def c_for_benefit_of_truth(
    predicted: npt.ArrayLike,
    untreated_risk: npt.ArrayLike,
    treated_risk: npt.ArrayLike,
    treatment: npt.ArrayLike,
    *,
    n_simulated: int = 200,
    seed: int,
) -> Estimate:
    """Distribution of the C-for-benefit over trials of the same patients, outcomes drawn from known risks.

    Parameters
    ----------
    predicted
        Predicted risk differences; the true ones give the best C that can be had in such a trial. Shape (patients,).
    untreated_risk, treated_risk
        True event probabilities in either arm, shape (patients,).
    treatment
        0/1, shape (patients,).
    n_simulated, seed
        Simulated trials, and what decides them.

    Returns
    -------
    Estimate
        Mean, standard deviation, and central 95 % range over the simulated trials.

    Raises
    ------
    ValueError
        If shapes differ.
    """
    require_replicates(n_simulated)
    effect, arm = np.asarray(predicted, dtype=np.float64), np.asarray(treatment).astype(np.int64)
    risk = np.where(arm == 1, np.asarray(treated_risk), np.asarray(untreated_risk))
    if not effect.shape == arm.shape == risk.shape:
        raise ValueError(f"all arguments must be of the same patients, not of shapes {effect.shape}, {arm.shape}")
    rng = np.random.default_rng(seed)
    treated, control = _match_ranks(_sorted_arm(effect, arm, 1), _sorted_arm(effect, arm, 0))
    simulated = (rng.random((n_simulated, risk.size)) < risk).astype(np.float64)
    observed = simulated[:, treated] - simulated[:, control]
    predicted_pairs = np.broadcast_to((effect[treated] + effect[control]) / 2.0, observed.shape)
    found = c_for_benefit(predicted_pairs, observed)
    return Estimate.bootstrapped(float(np.nanmean(found)), found)


def c_for_benefit(predicted: FloatArray, observed: FloatArray) -> FloatArray:
    """Concordance of predicted and observed effects among pairs of pairs whose observed effects differ.

    Parameters
    ----------
    predicted, observed
        Shape (replicates, pairs); observed effects are -1, 0 or 1. Ties of predictions count one half.

    Returns
    -------
    numpy.ndarray
        Shape (replicates,); NaN where all observed effects are equal.
    """
    # Sorted twice: among equal predictions once with rising, once with falling observed effects; the mean counts 1/2.
    rising = _concordant(np.take_along_axis(observed, np.lexsort((observed, predicted), axis=1), axis=1))
    falling = _concordant(np.take_along_axis(observed, np.lexsort((-observed, predicted), axis=1), axis=1))
    counts = [np.count_nonzero(observed == level, axis=1) for level in (-1.0, 0.0, 1.0)]
    comparable = counts[0] * counts[1] + counts[0] * counts[2] + counts[1] * counts[2]
    return np.where(comparable > 0, (rising + falling) / 2.0 / np.maximum(comparable, 1), np.nan)


def _concordant(in_order: FloatArray) -> FloatArray:
    """Number of pairs (earlier, later) in each row whose later value is larger; values are -1, 0, 1."""
    low = np.cumsum(in_order == -1.0, axis=1)
    middle = np.cumsum(in_order == 0.0, axis=1)
    ahead = (in_order == 0.0) * low + (in_order == 1.0) * (low + middle)
    return np.asarray(ahead.sum(axis=1, dtype=np.float64))


def _matched(
    effect: FloatArray, arm: IntArray, outcome: FloatArray, replicates: int, rng: np.random.Generator
) -> _Pairs:
    """Row 0: the trial itself; then bootstrap replicates."""
    predicted, observed = [], []
    arms = {which: _sorted_arm(effect, arm, which) for which in (0, 1)}
    # Patients of an arm stand in the order of their predictions, so a resampled arm only needs its places sorted.
    places = {which: np.sort(rng.integers(0, who.size, (replicates, who.size)), axis=1) for which, who in arms.items()}
    for row in range(replicates + 1):
        sample = {which: who if row == 0 else who[places[which][row - 1]] for which, who in arms.items()}
        treated, control = _match_ranks(sample[1], sample[0])
        predicted.append((effect[treated] + effect[control]) / 2.0)
        observed.append(outcome[treated] - outcome[control])
    return _Pairs(np.array(predicted), np.array(observed))


def _sorted_arm(effect: FloatArray, arm: IntArray, which: int) -> IntArray:
    members = np.flatnonzero(arm == which)
    return np.asarray(members[np.argsort(effect[members], kind="stable")])


def _match_ranks(treated: IntArray, control: IntArray) -> tuple[IntArray, IntArray]:
    """Match two sorted arms rank by rank; the larger arm leaves out its surplus, evenly over the ranks."""
    n_pairs = min(treated.size, control.size)
    middles = (np.arange(n_pairs) + 0.5) / n_pairs
    return treated[(middles * treated.size).astype(np.int64)], control[(middles * control.size).astype(np.int64)]


def _distances(pairs: _Pairs) -> dict[str, FloatArray]:
    spline = NaturalSpline.of(pairs.predicted[0])
    found = np.empty((3, len(pairs.predicted)))
    for row, (predicted, observed) in enumerate(zip(pairs.predicted, pairs.observed, strict=True)):
        columns = spline.columns(predicted)
        away = np.abs(columns @ np.linalg.lstsq(columns, observed)[0] - predicted)
        found[:, row] = away.mean(), np.quantile(away, 0.5), np.quantile(away, 0.9)
    return dict(zip(("e_average", "e50", "e90"), found, strict=True))
