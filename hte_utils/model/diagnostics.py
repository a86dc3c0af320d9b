"""Labelled diagnostics of a posterior: what R's coda prints (Tables 4 and 5), and what is used today (ArviZ's).

Every function takes a posterior, an xarray DataTree with a group ``posterior`` or a Dataset, whose variables have the
dims ``chain`` and ``draw``; further dims are spread out into scalars, as in ``te_group[Male]``. Results are labelled
by parameter.
"""

from __future__ import annotations

from importlib import import_module
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.model import coda

if TYPE_CHECKING:
    from numpy.typing import NDArray

Posterior = xr.DataTree | xr.Dataset

PARAMETER: Final = "parameter"
MINIMUM_DRAWS: Final = 10
"""The shortest chain that is analysed: below it an autoregression is guesswork."""
_SAMPLE_DIMS: Final = ("chain", "draw")
_BATCHES: Final = 10


def scalar_draws(posterior: Posterior) -> xr.DataArray:
    """Spread a posterior out into scalar parameters.

    Returns
    -------
    xarray.DataArray
        Dims (parameter, chain, draw), float64; parameters in the order of the variables.

    Raises
    ------
    ValueError
        If a variable lacks ``chain`` or ``draw``, or a chain is too short, constant or not finite.
    """
    dataset = posterior["posterior"].to_dataset() if isinstance(posterior, xr.DataTree) else posterior
    labels: list[str] = []
    arrays: list[NDArray[np.float64]] = []
    for name, variable in dataset.data_vars.items():
        if not set(_SAMPLE_DIMS) <= set(variable.dims):
            raise ValueError(f"variable {name!r} has the dims {variable.dims}, not 'chain' and 'draw': leave it out")
        other = [str(dim) for dim in variable.dims if dim not in _SAMPLE_DIMS]
        labels += _scalar_labels(str(name), variable, other)
        ordered = variable.transpose(*other, *_SAMPLE_DIMS)
        arrays.append(ordered.to_numpy().astype(np.float64).reshape(prod(ordered.shape[:-2]), *ordered.shape[-2:]))
    values = np.concatenate(arrays)
    chains = dataset["chain"].to_numpy()  # 0, 1, ... where the dataset has no coordinate
    _require_sound(values, labels, chains)
    return xr.DataArray(
        values,
        dims=(PARAMETER, *_SAMPLE_DIMS),
        coords={PARAMETER: labels, "chain": chains, "draw": dataset["draw"].to_numpy()},
        name="draws",
    )


def _scalar_labels(name: str, variable: xr.DataArray, dims: list[str]) -> list[str]:
    if not dims:
        return [name]
    levels = [variable[dim].to_numpy() for dim in dims]
    return [f"{name}[{', '.join(map(str, combination))}]" for combination in pd.MultiIndex.from_product(levels)]


def _require_sound(values: NDArray[np.float64], labels: list[str], chains: NDArray[Any]) -> None:
    """Refuse chains without diagnostics by their names; the array layer could only give an index."""

    def first(bad: NDArray[np.bool_]) -> str:
        parameter, chain = np.argwhere(bad)[0]
        return f"parameter {labels[parameter]!r}, chain {chains[chain]}"

    if values.shape[-2] == 0 or values.shape[-1] < MINIMUM_DRAWS:
        raise ValueError(
            f"the posterior has {values.shape[-2]} chains of {values.shape[-1]} draws: at least one chain of "
            f"{MINIMUM_DRAWS} draws is needed; sample longer"
        )
    unsound = ~np.isfinite(values).all(axis=-1)
    if unsound.any():
        raise ValueError(
            f"{first(unsound)} holds NaN or infinite draws: diagnostics need finite draws; find out why the sampler "
            "made them, or leave that chain out"
        )
    constant = coda.is_constant(values)
    if constant.any():
        raise ValueError(
            f"{first(constant)} does not vary: a fixed quantity has no diagnostics, leave it out; a chain that should "
            "vary is stuck"
        )


def summary_statistics(posterior: Posterior) -> pd.DataFrame:
    """Mean, SD and the two standard errors of coda's ``summary``, Table 4.

    Returns
    -------
    pandas.DataFrame
        One row a parameter; columns ``mean``, ``sd`` (n-1), ``naive_se``, ``time_series_se``, in the parameter's unit.
    """
    draws = scalar_draws(posterior)
    values = draws.to_numpy()
    pooled = values.reshape(len(values), -1)
    sd = pooled.std(axis=-1, ddof=1)
    return _table(
        draws,
        mean=pooled.mean(axis=-1),
        sd=sd,
        naive_se=sd / np.sqrt(pooled.shape[-1]),
        time_series_se=coda.time_series_se(values),
    )


def gelman_rubin(posterior: Posterior) -> pd.DataFrame:
    """Gelman and Rubin's potential scale reduction factors as coda's ``gelman.diag`` on full chains, Table 5.

    Returns
    -------
    pandas.DataFrame
        One row a parameter; columns ``point`` and ``upper``.
    """
    draws = scalar_draws(posterior)
    point, upper = coda.scale_reduction(draws.to_numpy())
    return _table(draws, point=point, upper=upper)


def modern_diagnostics(posterior: Posterior) -> pd.DataFrame:
    """Today's diagnostics of every parameter, computed by ArviZ (Vehtari et al. 2021).

    Returns
    -------
    pandas.DataFrame
        One row a parameter; columns ``r_hat`` (rank-normalised, split, the larger of bulk and folded; NaN for one
        chain), ``ess_bulk``, ``ess_tail`` (effective draws), ``mcse_mean`` and ``mcse_sd`` (in the parameter's unit).
    """
    arviz_stats = _arviz_stats()
    draws = scalar_draws(posterior)
    dataset = draws.to_dataset()
    columns = {
        "r_hat": arviz_stats.rhat(dataset, method="rank"),
        "ess_bulk": arviz_stats.ess(dataset, method="bulk"),
        "ess_tail": arviz_stats.ess(dataset, method="tail"),
        "mcse_mean": arviz_stats.mcse(dataset, method="mean"),
        "mcse_sd": arviz_stats.mcse(dataset, method="sd"),
    }
    return _table(draws, **{name: result["draws"].to_numpy() for name, result in columns.items()})


def energy_diagnostics(posterior: xr.DataTree) -> pd.DataFrame:
    """E-BFMI of every chain of a Hamiltonian sampler, by ArviZ (Betancourt 2016); below 0.3 is a warning.

    Returns
    -------
    pandas.DataFrame
        One row a chain; columns ``e_bfmi`` and its Monte Carlo standard error ``mcse``, from batches of the chain.

    Raises
    ------
    ValueError
        If the tree holds no energies: the draws do not come from a Hamiltonian sampler.
    """
    if "sample_stats" not in posterior.children or "energy" not in posterior["sample_stats"].data_vars:
        raise ValueError("no 'energy' in the group 'sample_stats': E-BFMI exists for Hamiltonian samplers only")
    energy = posterior["sample_stats"]["energy"].transpose("chain", "draw")
    bfmi, size = _arviz_stats().bfmi, energy.sizes["draw"] // _BATCHES
    batches = energy[:, : size * _BATCHES].to_numpy().reshape(-1, size)
    in_batches = np.asarray(bfmi(batches)).reshape(-1, _BATCHES)
    found = {
        "e_bfmi": np.asarray(bfmi(energy.to_numpy())),
        "mcse": in_batches.std(axis=1, ddof=1) / np.sqrt(_BATCHES),
    }
    return pd.DataFrame(found, index=pd.Index(energy["chain"].to_numpy(), name="chain"))


def _arviz_stats() -> Any:
    """ArviZ's statistics, imported when they are used: that takes seconds, and coda's statistics do not need it."""
    return import_module("arviz_stats")


def _table(draws: xr.DataArray, **columns: NDArray[np.float64]) -> pd.DataFrame:
    labels = pd.Index([str(label) for label in draws[PARAMETER].to_numpy()], name=PARAMETER)
    return pd.DataFrame(columns, index=labels)
