"""What a fitted model predicts for single patients: one number for each, averaged over the posterior.

The event is bleeding: a positive effect is harm. The predictions of a posterior are its means, patient by patient, so
that ``treated_risk - baseline_risk`` is exactly ``risk_difference``; the log odds ratio is a mean of its own.

Predictions with the means to tell the Monte Carlo error of any number made of them.

The posterior's draws are cut into batches that are long against the autocorrelation; each batch gives predictions of
its own, and they average to those of all draws. A number that is computed from each batch varies between batches as it
would between short runs of the sampler, and its standard deviation over the root of their number is its Monte Carlo
standard error: the method of batch means, for functions of many posterior means.

The simplest competitor: a logistic regression on treatment, age, and their product, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from hte_utils.effects.cate import GroupEffects, PatientEffects, over_blocks
from hte_utils.ledger.entries import Reproduced
from hte_utils.model.checks import FloatArray, IntArray

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from hte_utils.model.spec import Patients


class EffectPredictions(NamedTuple):
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
    """

    baseline_risk: FloatArray
    risk_difference: FloatArray
    log_odds_ratio: FloatArray
    p_harm: FloatArray

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
    def scattered(cls, parts: Sequence[EffectPredictions], rows: Sequence[IntArray]) -> EffectPredictions:
        """Put predictions of several sets of patients back into one table; `rows` says where each part belongs."""
        place = np.argsort(np.concatenate(rows), kind="stable")
        return cls(*(np.concatenate(values)[place] for values in zip(*parts, strict=True)))


def predict_effects(posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects) -> EffectPredictions:
    """Posterior means of every patient's risk and effect, and the probability of harm; arguments as `cate_draws`."""
    return predict_batches(posterior, patients, group_effects=group_effects, n_batches=1)[0]


def predict_batches(
    posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects, n_batches: int
) -> tuple[EffectPredictions, ...]:
    """As `predict_effects`, in one pass from each of several parts of equal length of the draws, chain after chain."""
    effects = PatientEffects.of(posterior, patients, group_effects)

    def block(rows: slice) -> FloatArray:
        """Shape (predictions, patients, batches)."""
        untreated, treated, ratio = effects.risks(rows)
        means = [each.reshape(len(each), n_batches, -1).mean(axis=2) for each in (untreated, treated, ratio, ratio > 0)]
        return np.stack([means[0], means[1] - means[0], *means[2:]])

    found = np.concatenate(list(over_blocks(block, effects)), axis=1)
    return tuple(EffectPredictions(*found[..., batch]) for batch in range(n_batches))


_BATCHES = 8


class BatchedPredictions(NamedTuple):
    """Predictions from all draws, and from each batch of them (none if the predictions have no Monte Carlo error)."""

    whole: EffectPredictions
    batches: tuple[EffectPredictions, ...] = ()

    def number(self, compute: Callable[[EffectPredictions], float]) -> Reproduced:
        """A number computed from the predictions, with its Monte Carlo standard error, for the ledger."""
        value = float(compute(self.whole))
        if not self.batches:
            return Reproduced(value)
        spread = float(np.std([compute(batch) for batch in self.batches], ddof=1))
        return Reproduced(value, spread / sqrt(len(self.batches)))


def predict_in_batches(
    posterior: xr.DataTree, patients: Patients, *, group_effects: GroupEffects
) -> BatchedPredictions:
    """As `effect_predictions.predict_effects`, in eight batches of draws.

    So that batches are equal and none lies across two chains, there must be 1, 2, 4 or 8 chains, and up to seven draws
    at the end of a chain are left out.
    """
    sizes = posterior["posterior"].sizes
    per_chain = _BATCHES // sizes["chain"]
    kept = posterior.isel(draw=slice(0, per_chain * (sizes["draw"] // per_chain)))
    batches = predict_batches(kept, patients, group_effects=group_effects, n_batches=_BATCHES)
    return BatchedPredictions(EffectPredictions(*np.mean(batches, axis=0)), batches)
