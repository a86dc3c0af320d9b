"""Predictions with the means to tell the Monte Carlo error of any number made of them.

The posterior's draws are cut into batches that are long against the autocorrelation; each batch gives predictions of
its own, and they average to those of all draws. A number that is computed from each batch varies between batches as it
would between short runs of the sampler, and its standard deviation over the root of their number is its Monte Carlo
standard error: the method of batch means, for functions of many posterior means.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

from hte_utils.effect_predictions import EffectPredictions, predict_effects
from hte_utils.ledger.entries import Reproduced

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr

    from hte_utils.predictors import GroupEffects
    from hte_utils.spec import Patients

_BATCHES_PER_CHAIN = 2


@dataclass(frozen=True, slots=True, eq=False)
class BatchedPredictions:
    """Predictions from all draws, and from each batch of them.

    Attributes
    ----------
    whole
        From all draws.
    batches
        From each batch; empty if the predictions have no Monte Carlo error.
    """

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
    """As `effect_predictions.predict_effects`, in two batches a chain.

    Raises
    ------
    TypeError, ValueError
        As for `predict_effects`, and if the number of draws in a chain is odd.
    """
    draws = posterior["posterior"].sizes
    length, rest = divmod(draws["draw"], _BATCHES_PER_CHAIN)
    if rest or not length:
        raise ValueError(f"a chain of {draws['draw']} draws cannot be halved: take an even number of draws")
    batches = [
        predict_effects(
            posterior.isel(chain=[chain], draw=slice(part * length, (part + 1) * length)),
            patients,
            group_effects=group_effects,
        )
        for chain in range(draws["chain"])
        for part in range(_BATCHES_PER_CHAIN)
    ]
    names = [field.name for field in fields(EffectPredictions)]
    whole = {name: np.mean([getattr(batch, name) for batch in batches], axis=0) for name in names}
    return BatchedPredictions(EffectPredictions(**whole), tuple(batches))
