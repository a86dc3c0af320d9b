"""What a fitted model predicts for single patients: one number for each, averaged over the posterior.

The event is bleeding: a positive effect is harm. The predictions of a posterior are its means, patient by patient, so
that ``treated_risk - baseline_risk`` is exactly ``risk_difference``; the log odds ratio is a mean of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from hte_utils.logistic import expit_in_place
from hte_utils.predictors import baseline_log_odds, log_odds_ratio, require_moderate
from hte_utils.trial_checks import FloatArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray as xr

    from hte_utils.predictors import GroupEffects
    from hte_utils.spec import Patients

# A block of patients x draws of this many numbers (2 MiB) stays in a core's own cache.
_BLOCK_NUMBERS = 2**18


@dataclass(frozen=True, slots=True, eq=False)
class EffectPredictions:
    """Predictions for the patients of one table, in its order. All arrays have shape (patients,).

    Attributes
    ----------
    baseline_risk
        Probability of the event without treatment.
    risk_difference
        Probability with treatment minus probability without; positive = harm.
    log_odds_ratio
        Effect of treatment on the log odds of the event; positive = harm.
    p_harm
        Posterior probability that treatment raises the patient's risk.

    Raises
    ------
    ValueError
        If the arrays are not of one length, not finite, or a probability lies outside [0, 1].
    """

    baseline_risk: FloatArray
    risk_difference: FloatArray
    log_odds_ratio: FloatArray
    p_harm: FloatArray

    def __post_init__(self) -> None:
        shapes = {field.name: getattr(self, field.name).shape for field in fields(self)}
        if len(set(shapes.values())) != 1 or len(self.baseline_risk.shape) != 1:
            raise ValueError(
                f"predictions must all have the shape (patients,), but have {shapes}: predict them together"
            )
        for name in shapes:
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"{name} has values that are not finite: leave these patients out")
        for name in ("baseline_risk", "treated_risk", "p_harm"):
            values = getattr(self, name)
            if values.size and not (values.min() >= -1e-12 and values.max() <= 1.0 + 1e-12):
                raise ValueError(
                    f"{name} must lie in [0, 1], but runs from {values.min():g} to {values.max():g}: "
                    "give probabilities, not percentage points"
                )

    @property
    def treated_risk(self) -> FloatArray:
        """Probability of the event with treatment, shape (patients,)."""
        return self.baseline_risk + self.risk_difference

    @property
    def n_patients(self) -> int:
        """Number of patients."""
        return self.baseline_risk.size

    def risk_under(self, treatment: npt.ArrayLike) -> FloatArray:
        """Probability of the event under the given treatment (1 = treated), shape (patients,)."""
        return np.where(np.asarray(treatment) == 1, self.treated_risk, self.baseline_risk)

    @classmethod
    def scattered(cls, parts: Sequence[Self], rows: Sequence[IntArray]) -> Self:
        """Put predictions of several sets of patients back into one table; `rows` says where each part belongs."""
        place = np.argsort(np.concatenate(rows), kind="stable")
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])[place]
                for field in fields(cls)
            }
        )


def predict_effects(posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects) -> EffectPredictions:
    """Posterior means of every patient's risk and effect, and the probability of harm.

    Parameters
    ----------
    posterior
        As `hte_utils.fit.fit` returns it.
    patients
        The trial's design, or other patients on the same scale (`TrialDesign.apply`).
    group_effects
        Whether the group's own effects enter (as the model implies) or are left out (as in Tables 7 and 8).

    Raises
    ------
    TypeError, ValueError
        As for `hte_utils.cate.cate_draws`.
    """
    return predict_batches(posterior, patients, group_effects=group_effects, n_batches=1)[0]


def predict_batches(
    posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects, n_batches: int
) -> tuple[EffectPredictions, ...]:
    """As `predict_effects`, from each of several parts of the draws, in one pass.

    Parameters
    ----------
    posterior, patients, group_effects
        As for `predict_effects`.
    n_batches
        The draws, chain after chain, are cut into so many parts of equal length.

    Raises
    ------
    TypeError, ValueError
        As for `predict_effects`, and if the number of draws is no multiple of `n_batches`.
    """
    baseline = baseline_log_odds(posterior, patients, group_effects)
    effect = log_odds_ratio(posterior, patients, group_effects)
    require_moderate(baseline, effect)
    n_draws = baseline.coefficients.shape[1]
    if n_batches < 1 or n_draws % n_batches:
        raise ValueError(f"{n_draws} draws cannot be cut into {n_batches} equal parts: take another number of draws")
    found = np.empty((n_batches, 4, patients.n_patients))
    size = max(1, _BLOCK_NUMBERS // n_draws)
    with threadpool_limits(limits=1, user_api="blas"):
        for start in range(0, patients.n_patients, size):
            rows = slice(start, start + size)
            untreated, added = baseline.values(rows), effect.values(rows)
            harm, ratio = _batch_means(added > 0, n_batches), _batch_means(added, n_batches)
            added += untreated
            risk, treated = (_batch_means(expit_in_place(each), n_batches) for each in (untreated, added))
            found[:, :, rows] = np.stack([risk, treated - risk, ratio, harm], axis=1)
    return tuple(EffectPredictions(*batch) for batch in found)


def _batch_means(values: npt.NDArray[np.float64] | npt.NDArray[np.bool_], n_batches: int) -> FloatArray:
    """Means over each batch of draws, shape (batches, rows), of values of shape (rows, draws)."""
    return np.asarray(values.reshape(len(values), n_batches, -1).mean(axis=2).T)
