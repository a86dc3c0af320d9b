"""Predictions with the means to tell the Monte Carlo error of any number made of them.

The posterior's draws are cut into batches that are long against the autocorrelation; each batch gives predictions of
its own, and they average to those of all draws. A number that is computed from each batch varies between batches as it
would between short runs of the sampler, and its standard deviation over the root of their number is its Monte Carlo
standard error: the method of batch means, for functions of many posterior means.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hte_utils.ledger.entries import Reproduced
from hte_utils.predictions.effect_predictions import EffectPredictions, predict_batches

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from hte_utils.cate import GroupEffects
    from hte_utils.spec import Patients

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
