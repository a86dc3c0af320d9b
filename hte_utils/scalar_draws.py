"""A posterior spread out into labelled scalar chains, checked: what every diagnostic starts from."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import xarray as xr

from hte_utils.coda_spectrum import MINIMUM_DRAWS, is_constant

if TYPE_CHECKING:
    from numpy.typing import NDArray

Posterior = xr.DataTree | xr.Dataset

PARAMETER: Final = "parameter"
_SAMPLE_DIMS: Final = ("chain", "draw")


def scalar_draws(posterior: Posterior) -> xr.DataArray:
    """Spread a posterior out into scalar parameters.

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``.

    Returns
    -------
    xarray.DataArray
        Dims (parameter, chain, draw), float64; parameters in the order of the variables.

    Raises
    ------
    TypeError
        If ``posterior`` is neither a DataTree nor a Dataset.
    ValueError
        If there is no group ``posterior``, no variable, a variable without ``chain`` or ``draw`` or with
        values that are no numbers, or a chain is too short, constant or not finite.
    """
    dataset = _dataset(posterior)
    labels: list[str] = []
    arrays: list[NDArray[np.float64]] = []
    for name, variable in dataset.data_vars.items():
        missing = [dim for dim in _SAMPLE_DIMS if dim not in variable.dims]
        if missing:
            raise ValueError(
                f"variable {name!r} has the dims {variable.dims}, without {missing[0]!r}: it holds no draws"
            )
        if variable.dtype.kind not in "fiu":
            raise ValueError(f"variable {name!r} has dtype {variable.dtype}: draws must be numbers; leave it out")
        other = [str(dim) for dim in variable.dims if dim not in _SAMPLE_DIMS]
        labels += _scalar_labels(str(name), variable, other)
        ordered = variable.transpose(*other, *_SAMPLE_DIMS)
        arrays.append(ordered.to_numpy().astype(np.float64).reshape(prod(ordered.shape[:-2]), *ordered.shape[-2:]))
    if not labels:
        raise ValueError("the posterior has no variables: nothing to diagnose")
    values = np.concatenate(arrays)
    chains = dataset["chain"].to_numpy()  # 0, 1, ... where the dataset has no coordinate
    _require_sound(values, labels, chains)
    return xr.DataArray(
        values,
        dims=(PARAMETER, *_SAMPLE_DIMS),
        coords={PARAMETER: labels, "chain": chains, "draw": dataset["draw"].to_numpy()},
        name="draws",
    )


def _dataset(posterior: Posterior) -> xr.Dataset:
    if isinstance(posterior, xr.DataTree):
        if "posterior" not in posterior.children:
            raise ValueError(f"the DataTree has the groups {list(posterior.children)}, but none called 'posterior'")
        return posterior["posterior"].to_dataset()
    if isinstance(posterior, xr.Dataset):
        return posterior
    raise TypeError(f"a posterior must be an xarray DataTree or Dataset, not {type(posterior).__name__}")


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
    constant = is_constant(values)
    if constant.any():
        raise ValueError(
            f"{first(constant)} does not vary: a fixed quantity has no diagnostics, leave it out; a chain that should "
            "vary is stuck"
        )
