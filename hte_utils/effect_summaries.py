"""Effects of many patients from a quick posterior, in the time of two exponentials and two sorts a number.

The event is bleeding: a positive effect is harm. `hte_utils.cate` computes the same with labels and for any posterior;
this is the short way for studies: plain arrays, one core, every block of patients worked through while it is in cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from hte_utils.monte_carlo import require_probability
from hte_utils.predictors import GroupEffects, LinearPredictor, require_moderate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hte_utils.quick_posterior import QuickPosterior
    from hte_utils.spec import Patients
    from hte_utils.trial_checks import FloatArray, IntArray

_BLOCK_NUMBERS = 2**16


@dataclass(frozen=True, slots=True, eq=False)
class PosteriorSummary:
    """Posterior mean, SD (n - 1) and equal-tailed interval (quantiles as R's type 7); arrays of one shape."""

    mean: FloatArray
    sd: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class EffectSummaries:
    """What a posterior says about given patients; positive effects are harm.

    Attributes
    ----------
    log_odds_ratio
        Each patient's CATE on the log odds scale, arrays of shape (patients,).
    risk_difference
        Each patient's CATE as a difference of probabilities (not percentage points), arrays of shape (patients,).
    baseline_risk
        Posterior mean of each patient's event probability without treatment, shape (patients,).
    average_risk_difference
        The mean of all patients' risk differences, arrays of shape ().
    """

    log_odds_ratio: PosteriorSummary
    risk_difference: PosteriorSummary
    baseline_risk: FloatArray
    average_risk_difference: PosteriorSummary


def effect_summaries(
    posterior: QuickPosterior,
    patients: Patients,
    *,
    interval: float = 0.95,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
) -> EffectSummaries:
    """Summarise every patient's effect over the equal-weight draws.

    Parameters
    ----------
    posterior
        Its `draws` are used.
    patients
        The posterior's own design, or other patients on its scale (`TrialDesign.apply`).
    interval
        Probability of the intervals.
    group_effects
        Whether the groups' own effects enter, as in `hte_utils.cate.cate_draws`.

    Raises
    ------
    TypeError, ValueError
        If an option is not one, the patients are not on the model's scale, or their spec is another.
    """
    require_probability(interval)
    baseline, ratio = _predictors(posterior, patients, group_effects)
    tails = np.array([0.5 - interval / 2.0, 0.5 + interval / 2.0])
    n, n_draws = patients.n_patients, posterior.n_draws
    by_ratio, by_difference, risk = np.empty((4, n)), np.empty((4, n)), np.empty(n)
    total = np.zeros(n_draws)
    with threadpool_limits(limits=1, user_api="blas"):
        for rows in _blocks(n, n_draws):
            log_ratio, untreated = ratio.values(rows), baseline.values(rows)
            treated = log_ratio + untreated
            _to_probability(treated)
            _to_probability(untreated)
            risk[rows] = untreated.mean(axis=1)
            treated -= untreated
            total += treated.sum(axis=0)
            by_ratio[:, rows] = _summarise(log_ratio, tails)
            by_difference[:, rows] = _summarise(treated, tails)
    average = _summarise(total[None, :] / n, tails)[:, 0]
    return EffectSummaries(
        PosteriorSummary(*by_ratio), PosteriorSummary(*by_difference), risk, PosteriorSummary(*average)
    )


def average_effects(
    posterior: QuickPosterior,
    patients: Patients,
    strata: IntArray,
    *,
    interval: float = 0.95,
    group_effects: GroupEffects = GroupEffects.INCLUDED,
) -> PosteriorSummary:
    """Summarise the mean risk difference within each stratum of patients, arrays of shape (strata,).

    Parameters
    ----------
    posterior, patients, interval, group_effects
        As in `effect_summaries`.
    strata
        Integer, shape (patients,): each patient's stratum, 0 to the number of strata - 1; none may be empty.

    Raises
    ------
    TypeError, ValueError
        As in `effect_summaries`, and if `strata` is not such an array.
    """
    require_probability(interval)
    sizes = _stratum_sizes(strata, patients.n_patients)
    baseline, ratio = _predictors(posterior, patients, group_effects)
    totals = np.zeros((sizes.size, posterior.n_draws))
    with threadpool_limits(limits=1, user_api="blas"):
        for rows in _blocks(patients.n_patients, posterior.n_draws):
            treated, untreated = ratio.values(rows), baseline.values(rows)
            treated += untreated
            _to_probability(treated)
            _to_probability(untreated)
            treated -= untreated
            totals += np.eye(sizes.size)[strata[rows]].T @ treated
    totals /= sizes[:, None]
    return PosteriorSummary(*_summarise(totals, np.array([0.5 - interval / 2.0, 0.5 + interval / 2.0])))


def _stratum_sizes(strata: IntArray, n_patients: int) -> IntArray:
    if not isinstance(strata, np.ndarray) or strata.shape != (n_patients,) or strata.dtype.kind not in "iu":
        raise ValueError(f"strata must be an integer array of shape ({n_patients},), one stratum for each patient")
    if strata.min() < 0:
        raise ValueError(f"strata are counted from 0, but {strata.min()} is among them")
    sizes = np.bincount(strata)
    if (sizes == 0).any():
        raise ValueError(f"stratum {int(np.argmin(sizes))} has no patients: number the strata without gaps")
    return sizes


def _predictors(
    posterior: QuickPosterior, patients: Patients, group_effects: GroupEffects
) -> tuple[LinearPredictor, LinearPredictor]:
    if not isinstance(group_effects, GroupEffects):
        raise TypeError(f"group_effects must be GroupEffects.INCLUDED or GroupEffects.LEFT_OUT, not {group_effects!r}")
    fitted = posterior.design.coding
    if patients.coding.spec != fitted.spec or patients.group_labels != fitted.group_labels:
        raise ValueError(
            "these patients were coded by another TrialSpec or trial: use posterior.design.apply(patients)"
        )
    included, draws = group_effects is GroupEffects.INCLUDED, posterior.draws
    group = patients.group if included else None

    def coefficients(constant: str, slopes: str, groups: str) -> FloatArray:
        rows = [draws[constant][None, :], draws[slopes].T, *([draws[groups].T] if included else [])]
        return np.concatenate(rows)

    baseline = LinearPredictor(coefficients("b_intercept", "b_prognostic", "re"), patients.prognostic, group)
    ratio = LinearPredictor(coefficients("b_trt", "b_interaction", "re_trt"), patients.modifiers, group)
    require_moderate(baseline, ratio)
    return baseline, ratio


def _blocks(n_patients: int, n_draws: int) -> Iterator[slice]:
    size = max(1, _BLOCK_NUMBERS // n_draws)
    for first in range(0, n_patients, size):
        yield slice(first, min(first + size, n_patients))


def _to_probability(logit: FloatArray) -> None:
    """Replace log odds by probabilities, in place: NumPy's exp is vectorised, and memory costs more than arithmetic."""
    np.negative(logit, out=logit)
    np.exp(logit, out=logit)
    logit += 1.0
    np.reciprocal(logit, out=logit)


def _summarise(values: FloatArray, tails: FloatArray) -> FloatArray:
    """Mean, SD and two quantiles over the last axis of `values`, which is overwritten: shape (4, rows)."""
    n_draws = values.shape[1]
    mean = values.mean(axis=1)
    # Sorting the rows is quicker than partitioning them at four places.
    values.sort(axis=1)
    place = tails * (n_draws - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, n_draws - 1)
    quantiles = values[:, low] + (place - low) * (values[:, high] - values[:, low])
    values -= mean[:, None]
    sd = np.sqrt(np.einsum("ij,ij->i", values, values) / (n_draws - 1))
    return np.stack([mean, sd, quantiles[:, 0], quantiles[:, 1]])
