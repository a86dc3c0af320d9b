"""Further statistics of R's coda, of which only the record of JAGS's runs (`reference/jags_runs.py`) is made."""

from __future__ import annotations

from math import ceil

import numpy as np

from hte_utils.model.checks import FloatArray
from hte_utils.model.diagnostics import spectrum_at_zero, variance_of_chains

_SMALLEST_EIGENVALUE = 1e-10
"""Below this a within-chain correlation matrix is singular: a parameter is a linear function of others."""


def effective_size(chains: FloatArray) -> FloatArray:
    """Sum over chains of ``n * variance / density``, as coda's ``effectiveSize``; a chain of density 0 adds nothing."""
    density, _ = spectrum_at_zero(chains)
    ratio = np.divide(chains.var(axis=-1, ddof=1), density, out=np.zeros_like(density), where=density > 0)
    size: FloatArray = chains.shape[-1] * ratio.sum(axis=-1)
    return size


def second_half(draws: int, first_iteration: int = 1, thin: int = 1) -> slice:
    """The draws that coda's ``gelman.diag(autoburnin = TRUE)`` keeps.

    Those after half of the *last iteration number*. Chains that start later than that, because a burn-in has been
    discarded already, are kept whole: with 1000 draws the setting matters when sampling starts at iteration 1, not at
    1001.
    """
    last_iteration = first_iteration + thin * (draws - 1)
    if first_iteration >= last_iteration / 2:
        return slice(0, draws)
    return slice(ceil((last_iteration / 2 + 1 - first_iteration) / thin), draws)


def multivariate_scale_reduction(chains: FloatArray) -> FloatArray:
    """Multivariate factor of Brooks & Gelman (1998) as coda has it, caption of Table 5.

    Parameters
    ----------
    chains
        Shape (..., parameters, chains, draws).

    coda weights the largest eigenvalue by ``1 + 1/parameters`` where the paper (lemma 2) has ``1 + 1/chains``.

    Raises
    ------
    ValueError
        As `scale_reduction`; if there are fewer than two parameters, or one is a linear function of others.
    """
    if chains.ndim < 3 or chains.shape[-3] < 2:
        raise ValueError(f"an array of shape {chains.shape} has not two parameters: use scale_reduction")
    within_variance = variance_of_chains(chains).mean(axis=-1)
    p, m, n = chains.shape[-3:]
    # Parameters on their within-chain scale: the factor does not depend on units, but the test for singularity would.
    scaled = (chains - chains.mean(axis=(-2, -1), keepdims=True)) / np.sqrt(within_variance)[..., None, None]
    means = scaled.mean(axis=-1)
    deviations = (scaled - means[..., None]).reshape(*scaled.shape[:-2], m * n)
    within = deviations @ np.swapaxes(deviations, -1, -2) / (m * (n - 1))
    centred_means = means - means.mean(axis=-1, keepdims=True)
    between_over_n = centred_means @ np.swapaxes(centred_means, -1, -2) / (m - 1)
    if (np.linalg.eigvalsh(within)[..., 0] < _SMALLEST_EIGENVALUE).any():
        raise ValueError(
            "the within-chain covariance matrix is singular: a parameter is a linear function of others (as te_gender "
            "is of b_trt and re_trt), or there are more parameters than draws; leave such parameters out"
        )
    root = np.linalg.cholesky(within)
    half = np.linalg.solve(root, between_over_n)
    largest = np.linalg.eigvalsh(np.linalg.solve(root, np.swapaxes(half, -1, -2)))[..., -1]
    factor: FloatArray = np.sqrt((n - 1) / n + (1 + 1 / p) * largest)
    return factor
