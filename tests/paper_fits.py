"""Posteriors of the paper's trial that several tests look at; each is fitted once a test process."""

from __future__ import annotations

from functools import cache

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

from hte_utils.model.fit import Settings, fit
from hte_utils.model.listing_2 import listing2_draws
from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import simulate_trial


@cache
def paper_design() -> TrialDesign:
    return PAPER_SPEC.design(simulate_trial())


@cache
def paper_posterior(settings: Settings | None = None) -> xr.DataTree:
    return fit(paper_design(), settings=settings)


def summary(posterior: xr.DataTree) -> dict[str, dict[str, float]]:
    """Mean and SD of each scalar of Listing 2, with their MCSE."""
    table = {}
    for name, draws in listing2_draws(posterior).items():
        values = draws.transpose("chain", "draw").to_numpy()
        table[str(name)] = {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)),
            "mcse_mean": float(array_stats.mcse(values, method="mean")),
            "mcse_sd": float(array_stats.mcse(values, method="sd")),
        }
    return table


def distances(first: dict[str, dict[str, float]], second: dict[str, dict[str, float]]) -> np.ndarray:
    """Differences of all means and SDs in units of their Monte Carlo standard error."""
    assert first.keys() == second.keys()
    return np.array(
        [
            (first[name][what] - second[name][what])
            / np.hypot(first[name][f"mcse_{what}"], second[name][f"mcse_{what}"])
            for name in first
            for what in ("mean", "sd")
        ]
    )
