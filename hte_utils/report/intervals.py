"""Null rates of the subgroups' intervals: how often they miss in trials like the reader's without heterogeneity.

The trials are those that calibrate the tests (`hte_utils.report.heterogeneity`, `hte_utils.report.hazards`): one odds
ratio, or hazard ratio, for all patients. Whatever makes the intervals is done to each of them again.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import numpy as np
import pandas as pd

from hte_utils.effects.averages import EVERYBODY
from hte_utils.model.checks import FloatArray
from hte_utils.report.columns import OwnTrial
from hte_utils.report.hazards import NullTimes
from hte_utils.report.heterogeneity import MEAN, NullModel, null_rates
from hte_utils.report.shrinkage import Shrunken, missed_by_model
from hte_utils.report.times import missed_effects

FIFTHS, ALONE, SHRUNKEN = "fifths of risk", "subgroups alone", "subgroups shrunken"
PATIENTS = "single patients"
_PATIENTS, _FEWEST = 120_000, 20
"""Patients of simulated trials to which the hierarchical model is fitted, but at least so many trials."""


def refits(trial: OwnTrial, shrunken: Shrunken) -> int:
    """How many of the simulated trials the hierarchical model is fitted to; none where each would need NUTS."""
    if any(record.sampler == "nuts" for record in shrunken.fits):
        return 0
    return min(trial.question.simulations, max(_FEWEST, _PATIENTS // trial.n))


def subgroup_null_rates(
    trial: OwnTrial, members: pd.DataFrame, shrunken: Shrunken, progress: Callable[[str], None]
) -> dict[str, pd.DataFrame]:
    """Null rates (`hte_utils.report.heterogeneity.null_rates`) of intervals `ALONE`, `SHRUNKEN` and of `PATIENTS`.

    Mean and "at least one" are of the subgroups, without the population of all patients; of single patients there is
    the mean alone.
    """
    if trial.time is None:
        null = NullModel.of(trial, np.empty((trial.n, 0)))
        truth, simulated = null.effects(), null.trials(trial)
    else:
        of_times = NullTimes.of(trial)
        truth, simulated = of_times.effects(), of_times.trials()
    missed: dict[str, list[FloatArray]] = {ALONE: [], SHRUNKEN: []}
    of_patients: list[float] = []
    n_refits = refits(trial, shrunken)
    for each in islice(simulated, n_refits):
        missed[ALONE].append(missed_effects(each, members, truth))
        by_model, share = missed_by_model(each, members, truth)
        missed[SHRUNKEN].append(by_model)
        of_patients.append(share)
        if len(of_patients) % 50 == 0:
            progress(f"fitted the hierarchical model to {len(of_patients)} of {n_refits} simulated trials")
    missed[ALONE] += [missed_effects(each, members, truth) for each in simulated]
    found = {kind: _rates(values, members) for kind, values in missed.items() if values}
    if of_patients:
        found[PATIENTS] = null_rates(np.array(of_patients)[:, None], ["each"]).loc[[MEAN]]
    return found


def _rates(missed: list[FloatArray], members: pd.DataFrame) -> pd.DataFrame:
    table = pd.DataFrame(np.stack(missed), columns=members.columns)
    subgroups = table.drop(columns=EVERYBODY)
    found = null_rates(subgroups.to_numpy(), [str(name) for name in subgroups])
    return pd.concat([null_rates(table[[EVERYBODY]].to_numpy(), [EVERYBODY]).loc[[EVERYBODY]], found])
