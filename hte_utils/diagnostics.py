"""Labelled diagnostics of a posterior: what R's coda prints (Tables 4, 5 and 6) and what is used today.

Every function takes a posterior, an xarray DataTree with a group ``posterior`` or a Dataset, whose variables
have the dims ``chain`` and ``draw``; further dims are spread out into scalars, as in ``te_group[Male]``.
Results are pandas objects labelled by parameter. The arithmetic is in :mod:`hte_utils.coda_spectrum`,
:mod:`hte_utils.coda_gelman_rubin` and :mod:`hte_utils.coda_geweke`; today's diagnostics are ArviZ's.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import pandas as pd

from hte_utils import coda_gelman_rubin, coda_geweke, coda_spectrum
from hte_utils.scalar_draws import PARAMETER, Posterior, scalar_draws

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import NDArray


def summary_statistics(posterior: Posterior) -> pd.DataFrame:
    """Mean, SD and the two standard errors of coda's ``summary``: Table 4.

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``.

    Returns
    -------
    pandas.DataFrame
        One row a parameter; columns ``mean``, ``sd`` (n-1), ``naive_se``, ``time_series_se``, in the
        parameter's unit.

    Raises
    ------
    TypeError, ValueError
        As `scalar_draws`.
    """
    draws = scalar_draws(posterior)
    values = draws.to_numpy()
    pooled = values.reshape(len(values), -1)
    return _table(
        draws,
        mean=pooled.mean(axis=-1),
        sd=pooled.std(axis=-1, ddof=1),
        naive_se=coda_spectrum.naive_se(values),
        time_series_se=coda_spectrum.time_series_se(values),
    )


def effective_size(posterior: Posterior) -> pd.Series[float]:
    """Effective sample size for the mean as coda's ``effectiveSize``, from the autoregressive spectrum.

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``.

    Returns
    -------
    pandas.Series
        One value a parameter. The estimate takes no notice of chains that disagree; the bulk ESS of
        `modern_diagnostics` does.

    Raises
    ------
    TypeError, ValueError
        As `scalar_draws`.
    """
    draws = scalar_draws(posterior)
    return _table(draws, effective_size=coda_spectrum.effective_size(draws.to_numpy()))["effective_size"]


def geweke(posterior: Posterior, first: float = 0.1, last: float = 0.5, thin: int = 1) -> pd.DataFrame:
    """Geweke's z of every parameter and chain: Table 6.

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``.
    first, last
        The early and the late part of each chain that are compared, as fractions.
    thin
        Iterations between draws; it moves the windows by a draw at most, see `coda_geweke.geweke_windows`.

    Returns
    -------
    pandas.DataFrame
        One row a parameter, one column a chain.

    Raises
    ------
    TypeError, ValueError
        As `scalar_draws`; ValueError also for windows that are not sensible.
    """
    draws = scalar_draws(posterior)
    z = coda_geweke.geweke_z(draws.to_numpy(), first, last, thin)
    return pd.DataFrame(z, index=_index(draws), columns=pd.Index(draws["chain"].to_numpy(), name="chain"))


def gelman_rubin(
    posterior: Posterior,
    confidence: float = 0.95,
    *,
    autoburnin: bool = False,
    first_iteration: int = 1,
    thin: int = 1,
) -> pd.DataFrame:
    """Gelman and Rubin's potential scale reduction factors as coda's ``gelman.diag``: Table 5.

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``, of at least two chains. Draws are not transformed.
    confidence
        Coverage of the interval whose upper end is given.
    autoburnin
        Whether to use the second half of the iterations only, as coda does unless told otherwise.
    first_iteration, thin
        Iteration number of the first draw and iterations between draws: what counts as second half depends on
        them, see `coda_gelman_rubin.second_half`.

    Returns
    -------
    pandas.DataFrame
        One row a parameter; columns ``point`` and ``upper``.

    Raises
    ------
    TypeError, ValueError
        As `scalar_draws`; ValueError also for a single chain or a confidence outside (0, 1).
    """
    draws = scalar_draws(posterior)
    values = _used_by_gelman_rubin(draws, autoburnin, first_iteration, thin)
    return _table(
        draws,
        point=coda_gelman_rubin.potential_scale_reduction(values),
        upper=coda_gelman_rubin.potential_scale_reduction_limit(values, confidence),
    )


def multivariate_gelman_rubin(
    posterior: Posterior,
    *,
    autoburnin: bool = False,
    first_iteration: int = 1,
    thin: int = 1,
    as_published: bool = False,
) -> float:
    """Multivariate potential scale reduction factor as coda's ``gelman.diag``: caption of Table 5.

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``, of at least two chains and two parameters, none of which
        is a linear function of others.
    autoburnin, first_iteration, thin
        As in `gelman_rubin`.
    as_published
        Whether to use Brooks & Gelman's factor ``1 + 1/chains`` in place of coda's ``1 + 1/parameters``.

    Returns
    -------
    float
        The factor; not below that of any single parameter, but for the corrections which only those get.

    Raises
    ------
    TypeError, ValueError
        As `gelman_rubin`; ValueError also for parameters that are linear functions of others.
    """
    values = _used_by_gelman_rubin(scalar_draws(posterior), autoburnin, first_iteration, thin)
    return float(coda_gelman_rubin.multivariate_scale_reduction(values, as_published=as_published))


def _used_by_gelman_rubin(
    draws: xr.DataArray, autoburnin: bool, first_iteration: int, thin: int
) -> NDArray[np.float64]:
    values: NDArray[np.float64] = draws.to_numpy()
    if not autoburnin:
        return values
    return values[..., coda_gelman_rubin.second_half(values.shape[-1], first_iteration, thin)]


def modern_diagnostics(posterior: Posterior) -> pd.DataFrame:
    """Today's diagnostics of every parameter, computed by ArviZ (Vehtari et al. 2021).

    Parameters
    ----------
    posterior
        Draws with the dims ``chain`` and ``draw``.

    Returns
    -------
    pandas.DataFrame
        One row a parameter; columns ``r_hat`` (rank-normalised, split, the larger of bulk and folded; NaN for
        one chain), ``ess_bulk``, ``ess_tail`` (effective draws), ``mcse_mean`` and ``mcse_sd`` (in the
        parameter's unit).

    Raises
    ------
    TypeError, ValueError
        As `scalar_draws`.
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


def energy_diagnostics(posterior: xr.DataTree) -> pd.Series[float]:
    """E-BFMI of every chain of a Hamiltonian sampler, computed by ArviZ (Betancourt 2016).

    Parameters
    ----------
    posterior
        DataTree with a group ``sample_stats`` that holds ``energy`` with the dims ``chain`` and ``draw``.

    Returns
    -------
    pandas.Series
        Estimated Bayesian fraction of missing information, one value a chain; below 0.3 is a warning.

    Raises
    ------
    ValueError
        If the tree holds no energies: the draws do not come from a Hamiltonian sampler.
    """
    if "sample_stats" not in posterior.children or "energy" not in posterior["sample_stats"].data_vars:
        raise ValueError("no 'energy' in the group 'sample_stats': E-BFMI exists for Hamiltonian samplers only")
    fraction = _arviz_stats().bfmi(posterior["sample_stats"].to_dataset())["energy"]
    return pd.Series(fraction.to_numpy(), index=pd.Index(fraction["chain"].to_numpy(), name="chain"), name="e_bfmi")


def _arviz_stats() -> Any:
    """ArviZ's statistics, imported when they are used: that takes seconds, and coda's statistics do not need it."""
    return import_module("arviz_stats")


def _index(draws: xr.DataArray) -> pd.Index[str]:
    return pd.Index([str(label) for label in draws[PARAMETER].to_numpy()], name=PARAMETER)


def _table(draws: xr.DataArray, **columns: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(columns, index=_index(draws))
