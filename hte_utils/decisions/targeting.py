"""Whether a ranking finds the patients who benefit: targeting operator characteristic (TOC) and RATE.

Yadlowsky, Fleming, Shah, Brunskill & Wager (2025), Journal of the American Statistical Association 120, 38-51. The
event is bleeding, so **benefit is a negative risk difference**; patients are ranked from most to least predicted
benefit. TOC(q) is the mean benefit of the first share q of the patients minus that of all. The rank-weighted average
treatment effect (RATE) is its weighted area: AUTOC weighs every q alike, QINI by q. Both are 0 on average for a ranking
that has nothing to do with the effects, if the ranking does not know the outcomes: rank one fold at a time
(`hte_utils.predictions.sequential`), never patients of several folds together.

All of these are sums of the scores with weights that depend on the ranks alone. So their standard errors have a closed
form, and no bootstrap is needed. econml has the same measures (`DRTester.evaluate_uplift`), on a grid of percentiles,
with a bootstrap from NumPy's global generator; the tests hold the two together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hte_utils.strata import tied_ranks
from hte_utils.trial_checks import FloatArray, one_per_patient

GRID = np.arange(1, 101) / 100.0
"""Shares of the patients at which curves are drawn."""


def toc(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> FloatArray:
    """Targeting operator characteristic at the shares 1/n, 2/n, ..., 1: shape (patients,).

    `priority`: Who comes first: the larger values. Patients with equal priority share their mean benefit. Shape
        (patients,).
    `benefit`: True benefits, or unbiased scores of them, shape (patients,).
    """
    first = one_per_patient("priority", priority)
    effect = one_per_patient("benefit", benefit, first.size)
    start, end = tied_ranks(-first)
    # Each block of equals, spread over the ranks that it takes up.
    total = np.bincount(start, effect, effect.size)
    ranked = np.empty(effect.size, dtype=np.int64)
    ranked[np.argsort(start, kind="stable")] = np.arange(effect.size)
    shared = np.empty(effect.size)
    shared[ranked] = total[start] / (end - start + 1)
    return np.asarray(np.cumsum(shared) / np.arange(1, effect.size + 1) - effect.mean())


def autoc(curve: FloatArray) -> float:
    """Area under the TOC: its mean over the shares 1/n, ..., 1."""
    return float(curve.mean())


def qini(curve: FloatArray) -> float:
    """Area under q TOC(q)."""
    return float((curve * np.arange(1, curve.size + 1)).sum() / curve.size**2)


def autoc_error(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> float:
    """Standard error of `autoc`; parameters as for `toc`."""
    return float(_spread(_autoc_weights(priority)[None], np.asarray(benefit, dtype=np.float64))[0])


def qini_error(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> float:
    """Standard error of `qini`; parameters as for `toc`."""
    n = np.asarray(priority).size
    by_rank = np.arange(n, 0, -1) / n**2 - (n + 1) / (2.0 * n**2)
    return float(_spread(_weights(by_rank[None], priority), np.asarray(benefit, dtype=np.float64))[0])


def autoc_difference(priority: npt.ArrayLike, other: npt.ArrayLike, benefit: npt.ArrayLike) -> tuple[float, float]:
    """How much larger the AUTOC of one ranking is than that of another among the same patients, and its standard error.

    Parameters are those of `toc`.
    """
    difference = _autoc_weights(priority) - _autoc_weights(other)
    effect = np.asarray(benefit, dtype=np.float64)
    return float(difference @ effect), float(_spread(difference[None], effect)[0])


def toc_on_grid(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The curve and its standard error at the shares `GRID`, shape (100,) each; parameters as for `toc`."""
    curve = toc(priority, benefit)
    n = curve.size
    treated = np.maximum(np.rint(GRID * n), 1.0)
    by_rank = (np.arange(n) < treated[:, None]) / treated[:, None] - 1.0 / n
    errors = _spread(_weights(by_rank, priority), np.asarray(benefit, dtype=np.float64))
    return np.interp(GRID, np.arange(1, n + 1) / n, curve), errors


def _autoc_weights(priority: npt.ArrayLike) -> FloatArray:
    n = np.asarray(priority).size
    by_rank = np.cumsum(1.0 / np.arange(n, 0, -1))[::-1] / n - 1.0 / n
    return np.asarray(_weights(by_rank[None], priority)[0])


def _weights(by_rank: FloatArray, priority: npt.ArrayLike) -> FloatArray:
    """Weights by patient from weights by rank, shape (sums, patients): equals share the mean weight of their ranks."""
    start, end = tied_ranks(-np.asarray(priority, dtype=np.float64))
    below = np.pad(np.cumsum(by_rank, axis=1), ((0, 0), (1, 0)))
    return np.asarray((below[:, end + 1] - below[:, start]) / (end - start + 1))


def _spread(weights: FloatArray, effect: FloatArray) -> FloatArray:
    """Standard errors of weighted sums. What the effects vary is little beside the scores' noise: counted as noise."""
    return np.asarray(np.sqrt(np.square(weights) @ np.square(effect - effect.mean()) * effect.size / (effect.size - 1)))
