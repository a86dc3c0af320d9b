"""Monte Carlo standard errors (MCSE) of numbers computed from autocorrelated posterior draws.

1. *Batches.* The chains are cut into about forty batches, long against the autocorrelation. Leaving out one at a time
   (the grouped jackknife; Efron 1982, ch. 3) gives how much each batch moves a patient's posterior mean or quantile;
   the root of the sum of squares of these influences is the patient's MCSE. For a mean these are batch means (Flegal &
   Jones 2010).
2. *Multipliers.* The influences, multiplied by standard normal numbers and added up, give replicates of all patients'
   summaries with the covariance that the jackknife found. A number made of them (a correlation, an entry of Table 8) is
   recomputed for each replicate, patients are ranked anew; its standard deviation is its MCSE. Unlike a plain
   jackknife, this moves the summaries as far as a new run would, so it also holds for counts and ranks.

With 40 batches an MCSE is itself known to about one part in nine (1 / sqrt(2 * 39)); that of a 2.5 % quantile is some
15 % too large, the safe side. Chains that hardly mix (JAGS without its glm module) tell too small an error.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hte_utils.model.checks import FloatArray, IntArray

_DRAWS = ("chain", "draw", "patient")
_BATCHES_WANTED = 40
# Columns handled at once in `jackknife_quantile`: their sorted draws should fit into a core's cache.
_COLUMNS_AT_ONCE = 128


class Jackknifed(NamedTuple):
    """Estimates from all draws, and how each batch of draws moves them, so that the sum of squares is the MCSE's."""

    estimate: FloatArray  # (values,)
    influence: FloatArray  # (batches, values)

    def mcse(self) -> FloatArray:
        """Monte Carlo standard error of each estimate, shape (values,)."""
        return np.sqrt(np.square(self.influence).sum(axis=0))

    def replicates(self, multipliers: FloatArray) -> FloatArray:
        """Estimates as other runs would give them, shape (replicates, values); the same `multipliers` for all."""
        return self.estimate + multipliers @ self.influence


def batch_edges(n_chains: int, n_draws: int) -> IntArray:
    """Where about forty batches begin and end in draws laid chain after chain, shape (batches + 1,).

    None is across two chains, each is at least as long as the square root of its chain.
    """
    per_chain = min(math.ceil(_BATCHES_WANTED / n_chains), math.isqrt(n_draws))
    if n_chains * per_chain < 2:
        raise ValueError(f"a Monte Carlo error needs at least 4 draws, but there are {n_chains} chains x {n_draws}")
    within = np.linspace(0, n_draws, per_chain + 1).astype(np.int64)[:-1]
    starts = np.arange(n_chains)[:, None] * n_draws + within
    return np.append(starts.ravel(), n_chains * n_draws)


def jackknife_mean(draws: FloatArray, edges: IntArray) -> Jackknifed:
    """Mean over draws of each column of `draws`, shape (draws, values)."""
    sizes = np.diff(edges)[:, None]
    mean = draws.mean(axis=0)
    without = (draws.shape[0] * mean - np.add.reduceat(draws, edges[:-1], axis=0)) / (draws.shape[0] - sizes)
    return Jackknifed(mean, _influence(without))


def jackknife_quantile(draws: FloatArray, probability: float, edges: IntArray) -> Jackknifed:
    """R's type-7 quantile of each column of `draws`, shape (draws, values), which is sorted once for all batches."""
    if probability > 0.5:
        mirrored = jackknife_quantile(-draws, 1.0 - probability, edges)
        return Jackknifed(-mirrored.estimate, -mirrored.influence)
    n_draws, n_values = draws.shape
    sizes = np.diff(edges)
    batch_of_draw = np.repeat(np.arange(sizes.size, dtype=np.int16), sizes)
    # Only so many of the smallest draws can matter, whichever batch is left out.
    reach = min(int(probability * n_draws) + int(sizes.max()) + 2, n_draws)
    estimate, without = np.empty(n_values), np.empty((sizes.size, n_values))
    for start in range(0, n_values, _COLUMNS_AT_ONCE):
        columns = slice(start, start + _COLUMNS_AT_ONCE)
        values = np.ascontiguousarray(draws[:, columns].T)
        smallest = np.argpartition(values, reach - 1, axis=1)[:, :reach]
        values = np.take_along_axis(values, smallest, axis=1)
        order = np.argsort(values, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        batches = batch_of_draw[np.take_along_axis(smallest, order, axis=1)]
        estimate[columns] = _quantile_of_sorted(values, np.ones(values.shape, dtype=bool), probability * (n_draws - 1))
        for batch, size in enumerate(sizes):
            kept = probability * (n_draws - size - 1)
            without[batch, columns] = _quantile_of_sorted(values, batches != batch, kept)
    return Jackknifed(estimate, _influence(without))


def jackknife_summaries(draws: FloatArray, interval: float, edges: IntArray) -> dict[str, Jackknifed]:
    """`mean`, and `lower` and `upper` of the equal-tailed credible interval, of each column of `draws`."""
    tails = {"lower": (1.0 - interval) / 2.0, "upper": (1.0 + interval) / 2.0}
    ends = {name: jackknife_quantile(draws, tail, edges) for name, tail in tails.items()}
    return {"mean": jackknife_mean(draws, edges)} | ends


def standard_multipliers(edges: IntArray, n_replicates: int, seed: int) -> FloatArray:
    """Multipliers for `Jackknifed.replicates`, shape (1 + replicates, batches).

    First zeros, which give the estimate itself; the others are standard normal numbers.
    """
    normal = np.random.default_rng(seed).standard_normal((n_replicates, edges.size - 1))
    return np.vstack([np.zeros(edges.size - 1), normal])


def draws_matrix(draws: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    """Lay draws of shape (chain, draw, patient) out as (draws, patients); with the edges of their batches."""
    dims = tuple(getattr(draws, "dims", _DRAWS))
    values = np.asarray(draws, dtype=np.float64)
    if dims != _DRAWS or values.ndim != 3:
        raise ValueError(f"draws must have the dims (chain, draw, patient), not {dims} of shape {values.shape}")
    finite = np.isfinite(values).all(axis=(0, 1))
    if not finite.all():
        raise ValueError(f"draws are not finite for {(~finite).sum()} patients, first at position {finite.argmin()}")
    return values.reshape(-1, values.shape[2]), batch_edges(values.shape[0], values.shape[1])


def _influence(without: FloatArray) -> FloatArray:
    n_batches = without.shape[0]
    return (without - without.mean(axis=0)) * math.sqrt((n_batches - 1) / n_batches)


def _quantile_of_sorted(values: FloatArray, kept: npt.NDArray[np.bool_], position: float) -> FloatArray:
    """What stands at a (fractional) position from 0 among the kept values of each sorted row, shape (rows,)."""
    below = int(position)
    # It stands at place `below` or, by what is skipped, behind it: the first place with so many kept values up to it.
    rank = np.cumsum(kept[:, below:], axis=1, dtype=np.int32)
    rank += np.count_nonzero(kept[:, :below], axis=1)[:, None].astype(np.int32)
    at, above = (
        np.take_along_axis(values[:, below:], np.argmax(rank >= np.minimum(count, rank[:, -1:]), axis=1)[:, None], 1)
        for count in (below + 1, below + 2)  # the last kept value has none above it
    )
    return np.asarray(at + (position - below) * (above - at))[:, 0]
