"""Gelman and Rubin's potential scale reduction factor as R's coda computes it, for any number of runs at once.

Arrays have the shape (..., parameters, chains, draws); every axis before those three is a batch of runs.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import chi2
from scipy.stats import f as f_distribution

from hte_utils.coda_spectrum import require_count, require_series

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_SMALLEST_EIGENVALUE: Final = 1e-10
"""Below this a within-chain correlation matrix is singular: a parameter is a linear function of others."""

_F_IS_CHI_SQUARED: Final = 4e5
"""From this many denominator degrees of freedom on, R's ``qf`` takes the chi-squared limit: up to 1e-5 less."""


def second_half(draws: int, first_iteration: int = 1, thin: int = 1) -> slice:
    """The draws that coda's ``gelman.diag(autoburnin = TRUE)`` keeps.

    Parameters
    ----------
    draws
        Number of draws of each chain.
    first_iteration, thin
        Iteration number of the first draw, and iterations between draws.

    Returns
    -------
    slice
        Those after half of the *last iteration number*. Chains that start later than that, because a burn-in
        has been discarded already, are kept whole: with 1000 draws the setting matters when sampling starts
        at iteration 1, not at 1001.

    Raises
    ------
    ValueError
        If an argument is not a positive whole number.
    """
    for name, value in (("draws", draws), ("first_iteration", first_iteration), ("thin", thin)):
        require_count(name, value)
    last_iteration = first_iteration + thin * (draws - 1)
    if first_iteration >= last_iteration / 2:
        return slice(0, draws)
    return slice(ceil((last_iteration / 2 + 1 - first_iteration) / thin), draws)


def potential_scale_reduction(chains: ArrayLike) -> NDArray[np.float64]:
    """Point estimate of the potential scale reduction factor.

    Parameters
    ----------
    chains
        Shape (..., chains, draws).

    Returns
    -------
    ndarray of float64
        Shape (...). *Point est.* of Table 5, with the correction ``(d + 3) / (d + 1)`` of Brooks & Gelman
        (1998).

    Raises
    ------
    ValueError
        If there are fewer than two chains, or a series is too short, not finite or constant.
    """
    within, between, chain_variance, draws = _components(chains)
    correction, _ = _degrees_of_freedom(within, between, chain_variance, draws)
    n, m = draws.shape[-1], draws.shape[-2]
    factor: NDArray[np.float64] = np.sqrt(correction * ((n - 1) / n + (1 + 1 / m) * between / (n * within)))
    return factor


def potential_scale_reduction_limit(chains: ArrayLike, confidence: float = 0.95) -> NDArray[np.float64]:
    """Upper confidence limit of the potential scale reduction factor.

    Parameters
    ----------
    chains
        Shape (..., chains, draws).
    confidence
        Coverage of the two-sided interval whose upper end is returned.

    Returns
    -------
    ndarray of float64
        Shape (...). *Upper C.I.* of Table 5: the ratio of the between-chain to the within-chain variance is
        replaced by its quantile under an F distribution (Gelman & Rubin 1992, section 3.7).

    Raises
    ------
    ValueError
        If ``confidence`` is not between 0 and 1, there are fewer than two chains, or a series is too short,
        not finite or constant.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence={confidence!r}: a number between 0 and 1 is needed, such as 0.95")
    within, between, chain_variance, draws = _components(chains)
    correction, within_freedom = _degrees_of_freedom(within, between, chain_variance, draws)
    n, m = draws.shape[-1], draws.shape[-2]
    level = (1 + confidence) / 2
    quantile = np.where(
        within_freedom > _F_IS_CHI_SQUARED,
        chi2.ppf(level, m - 1) / (m - 1),
        f_distribution.ppf(level, m - 1, within_freedom),
    )
    random_part = (1 + 1 / m) * between / (n * within)
    limit: NDArray[np.float64] = np.sqrt(correction * ((n - 1) / n + quantile * random_part))
    return limit


def multivariate_scale_reduction(chains: ArrayLike, *, as_published: bool = False) -> NDArray[np.float64]:
    """Multivariate potential scale reduction factor of Brooks & Gelman (1998).

    Parameters
    ----------
    chains
        Shape (..., parameters, chains, draws).
    as_published
        Whether the largest eigenvalue is weighted by ``1 + 1/m``, with the number of chains ``m``, as in the
        paper of Brooks & Gelman (lemma 2). coda puts the number of *parameters* there, which is the default
        because Table 5 comes from coda.

    Returns
    -------
    ndarray of float64
        Shape (...).

    Raises
    ------
    ValueError
        If there are fewer than two chains or two parameters, a series is too short, not finite or constant,
        or a parameter is a linear function of others.
    """
    within_variance, _, _, draws = _components(chains)
    if draws.ndim < 3 or draws.shape[-3] < 2:
        raise ValueError(
            f"an array of shape {draws.shape} has not two parameters: give (..., parameters, chains, draws), or use "
            "potential_scale_reduction"
        )
    p, m, n = draws.shape[-3:]
    # Parameters on their within-chain scale: the factor does not depend on units, but the test for
    # singularity would.
    scaled = (draws - draws.mean(axis=(-2, -1), keepdims=True)) / np.sqrt(within_variance)[..., np.newaxis, np.newaxis]
    means = scaled.mean(axis=-1)
    deviations = (scaled - means[..., np.newaxis]).reshape(*scaled.shape[:-2], m * n)
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
    factor: NDArray[np.float64] = np.sqrt((n - 1) / n + (1 + 1 / (m if as_published else p)) * largest)
    return factor


def _components(
    chains: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Within-chain variance W, between-chain variance B, the chains' own variances, and the checked draws."""
    draws = require_series(chains)
    if draws.ndim < 2 or draws.shape[-2] < 2:
        raise ValueError(f"an array of shape {draws.shape} has not two chains along axis -2: run at least two chains")
    chain_variance = draws.var(axis=-1, ddof=1)
    within = chain_variance.mean(axis=-1)
    if not (within > 0).all():
        where = tuple(int(i) for i in np.argwhere(~(within > 0))[0])
        raise ValueError(f"the chains at index {where} are all constant: leave a quantity that does not vary out")
    between = draws.shape[-1] * draws.mean(axis=-1).var(axis=-1, ddof=1)
    if not np.ptp(chain_variance, axis=-1).all():
        where = tuple(int(i) for i in np.argwhere(np.ptp(np.atleast_2d(chain_variance), axis=-1) == 0)[0])
        raise ValueError(
            f"the chains at index {where} have exactly equal variances: are they copies, run with one seed?"
        )
    return within, between, chain_variance, draws


def _degrees_of_freedom(
    within: NDArray[np.float64],
    between: NDArray[np.float64],
    chain_variance: NDArray[np.float64],
    draws: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The correction ``(d + 3) / (d + 1)`` for estimating the scale, and the degrees of freedom of W.

    Both match moments: a variance estimate with mean ``V`` and sampling variance ``var(V)`` has ``2 V**2 /
    var(V)`` degrees of freedom (Gelman & Rubin 1992, section 3.5). The sampling variances come from the
    spread over the chains.
    """
    n, m = draws.shape[-1], draws.shape[-2]
    # The covariances of s2 with the mean and the squared mean cancel for a common shift: take the means about
    # the grand mean.
    mean = draws.mean(axis=-1)
    deviation = mean - mean.mean(axis=-1, keepdims=True)
    variance_deviation = chain_variance - within[..., np.newaxis]
    var_within = np.square(variance_deviation).sum(axis=-1) / (m - 1) / m
    var_between = 2 * between**2 / (m - 1)
    cov_within_between = n / m * (variance_deviation * deviation**2).sum(axis=-1) / (m - 1)

    total = (n - 1) / n * within + (1 + 1 / m) * between / n
    var_total = (
        (n - 1) ** 2 * var_within + (1 + 1 / m) ** 2 * var_between + 2 * (n - 1) * (1 + 1 / m) * cov_within_between
    ) / n**2
    freedom = 2 * total**2 / var_total
    return (freedom + 3) / (freedom + 1), 2 * within**2 / var_within
