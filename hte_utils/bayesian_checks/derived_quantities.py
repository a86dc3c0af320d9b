"""Quantities that a report is about, as draws: averages over patients and risk groups, not single coefficients.

The event is major bleeding in the paper's trial, so positive effects are harm. The group effects are in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.diagnostics import modern_diagnostics
from hte_utils.monte_carlo import draws_matrix, jackknife_mean
from hte_utils.strata import quantile_groups

if TYPE_CHECKING:
    from hte_utils.trial_checks import FloatArray
    from hte_utils.trial_design import Patients

_QUINTILES = 5


def reported_quantities(posterior: xr.DataTree, patients: Patients) -> xr.Dataset:
    """Draws of the averages that a report of this trial would state.

    `patients`: Over whom is averaged, usually the trial's design.

    Dims chain, draw. `risk untreated`, `risk treated`: mean event probability (per cent) if nobody, everybody is
    treated; `average log odds ratio`; `average risk difference`, and `risk difference Q1` to `Q5` by quintile of the
    posterior mean risk without treatment (percentage points).
    """
    included = GroupEffects.INCLUDED
    untreated = 100.0 * baseline_risk_draws(posterior, patients, group_effects=included)
    scale = EffectScale.RISK_DIFFERENCE
    difference = 100.0 * cate_draws(posterior, patients, scale=scale, group_effects=included)
    quintile = quantile_groups(untreated.mean(["chain", "draw"]), _QUINTILES)
    log_odds_ratio = cate_draws(posterior, patients, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included)
    quantities = {
        "risk untreated": untreated.mean("patient"),
        "risk treated": (untreated + difference).mean("patient"),
        "average log odds ratio": log_odds_ratio.mean("patient"),
        "average risk difference": difference.mean("patient"),
    }
    for number in range(1, _QUINTILES + 1):
        quantities[f"risk difference Q{number}"] = difference.isel(patient=quintile == number).mean("patient")
    return xr.Dataset({name: values.drop_attrs().rename(name) for name, values in quantities.items()})


def diagnostics_of_quantities(quantities: xr.Dataset) -> pd.DataFrame:
    """Mean, SD and today's diagnostics of derived quantities (Vehtari et al. 2021; ArviZ).

    Index: quantity. Columns `mean`, `sd`, `r_hat` (rank-normalised), `ess_bulk`, `ess_tail`, `mcse_mean`, `mcse_sd`,
    the last two in the quantity's unit.
    """
    both = ["chain", "draw"]
    moments = pd.DataFrame(
        {
            "mean": {str(name): float(values.mean(both)) for name, values in quantities.items()},
            "sd": {str(name): float(values.std(both, ddof=1)) for name, values in quantities.items()},
        }
    )
    return moments.join(modern_diagnostics(quantities)).rename_axis("quantity")


def diagnostics_of_worst_patients(effects: xr.DataArray, n_worst: int = 50) -> pd.DataFrame:
    """Diagnostics of those patients' effects whose Monte Carlo error is largest beside their posterior SD.

    All patients are screened by batch means (fast); ArviZ then looks at the worst.

    `effects`: Draws of the CATE, dims chain, draw, patient.
    `n_worst`: How many patients ArviZ looks at.

    As `diagnostics_of_quantities`, index: patient, worst (smallest bulk ESS) first.
    """
    worst = np.argsort(_relative_error(effects))[::-1][:n_worst]
    chosen = effects.isel(patient=worst)
    each = {str(int(patient)): chosen.sel(patient=patient, drop=True) for patient in chosen["patient"].to_numpy()}
    table = diagnostics_of_quantities(xr.Dataset(each).drop_attrs())
    return table.rename_axis("patient").sort_values("ess_bulk")


def _relative_error(effects: xr.DataArray) -> FloatArray:
    """Batch-means MCSE over posterior SD, shape (patients,)."""
    matrix, edges = draws_matrix(effects)
    return np.asarray(jackknife_mean(matrix, edges).mcse() / matrix.std(axis=0, ddof=1))
