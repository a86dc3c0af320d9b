"""Whether a ranking finds the patients who benefit: targeting operator characteristic (TOC) and RATE.

Yadlowsky, Fleming, Shah, Brunskill & Wager (2025), Journal of the American Statistical Association 120, 38-51. The
event is bleeding, so **benefit is a negative risk difference**; patients are ranked from most to least predicted
benefit. TOC(q) is the mean benefit of the first share q of the patients minus that of all. The rank-weighted average
treatment effect (RATE) is its weighted area: AUTOC weighs every q alike, QINI by q. Both are 0 on average for a ranking
that has nothing to do with the effects.

econml has the same measures (`DRTester.evaluate_uplift`), on a grid of percentiles and with NumPy's global generator;
here the sums are exact and the generator is an argument. The tests hold the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from hte_utils.calibration.bootstrap import Estimate, require_replicates
from hte_utils.trial_checks import FloatArray

_GRID = np.arange(1, 101) / 100.0
_NORMAL = 1.959963984540054
_LEAST_PATIENTS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Targeting:
    """How well a ranking finds those who benefit; effects are probabilities of a bleed avoided.

    Attributes
    ----------
    autoc, qini
        The two areas under the TOC: above 0 if those who are ranked first benefit more than average. Standard errors
        are those of the half-sample bootstrap, intervals are normal.
    curve
        Columns `share` (q: 0.01 to 1), `toc`, and `lower`, `upper` (± 1.96 standard errors, pointwise).
    """

    autoc: Estimate
    qini: Estimate
    curve: pd.DataFrame


@dataclass(frozen=True, slots=True)
class RateDifference:
    """How much better one ranking is than another on the same patients; standard errors from the same half-samples."""

    autoc: Estimate
    qini: Estimate


def toc(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> FloatArray:
    """Targeting operator characteristic at the shares 1/n, 2/n, ..., 1: shape (patients,).

    Parameters
    ----------
    priority
        Who comes first: the larger values. Patients with equal priority share their mean benefit. Shape (patients,).
    benefit
        True benefits, or unbiased scores of them, shape (patients,).

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, or there are fewer than two patients.
    """
    first, effect = _checked(priority, benefit)
    order = np.argsort(-first, kind="stable")
    _, tie, size = np.unique(-first[order], return_inverse=True, return_counts=True)
    shared = (np.bincount(tie, effect[order]) / size)[tie]
    return np.asarray(np.cumsum(shared) / np.arange(1, effect.size + 1) - effect.mean())


def autoc(curve: FloatArray) -> float:
    """Area under the TOC: its mean over the shares 1/n, ..., 1."""
    return float(curve.mean())


def qini(curve: FloatArray) -> float:
    """Area under q TOC(q)."""
    return float((curve * np.arange(1, curve.size + 1)).sum() / curve.size**2)


def evaluate_targeting(
    priority: npt.ArrayLike, benefit: npt.ArrayLike, *, n_bootstrap: int = 200, seed: int
) -> Targeting:
    """TOC, AUTOC and QINI of a ranking, with the half-sample bootstrap of Yadlowsky et al.

    Parameters
    ----------
    priority
        E.g. minus the predicted risk difference, shape (patients,). Must not have been made from the outcomes in
        `benefit`.
    benefit
        Minus the doubly robust scores of the risk difference, shape (patients,); or minus the true risk difference.
    n_bootstrap, seed
        Half-samples, and what decides them.

    Raises
    ------
    ValueError
        As for `toc`, and if there are too few half-samples.
    """
    here = toc(priority, benefit)
    halves = _half_sample_curves(priority, benefit, n_bootstrap, seed)
    on_grid = np.interp(_GRID, _shares(here.size), here)
    spread = np.array([np.interp(_GRID, _shares(half.size), half) for half in halves]).std(axis=0, ddof=1)
    table = {"share": _GRID, "toc": on_grid, "lower": on_grid - _NORMAL * spread, "upper": on_grid + _NORMAL * spread}
    areas = {
        area.__name__: Estimate.normal(area(here), float(np.std([area(half) for half in halves], ddof=1)))
        for area in (autoc, qini)
    }
    return Targeting(**areas, curve=pd.DataFrame(table))


def compare_targeting(
    priority: npt.ArrayLike, other: npt.ArrayLike, benefit: npt.ArrayLike, *, n_bootstrap: int = 200, seed: int
) -> RateDifference:
    """Difference of the areas of two rankings, `priority` minus `other`, on the same patients.

    Parameters and errors are those of `evaluate_targeting`.
    """
    curves = (toc(priority, benefit), toc(other, benefit))
    # The same seed gives the same half-samples.
    halves = [_half_sample_curves(ranking, benefit, n_bootstrap, seed) for ranking in (priority, other)]
    found = {}
    for area in (autoc, qini):
        differences = [area(one) - area(two) for one, two in zip(*halves, strict=True)]
        value = area(curves[0]) - area(curves[1])
        found[area.__name__] = Estimate.normal(value, float(np.std(differences, ddof=1)))
    return RateDifference(**found)


def _half_sample_curves(
    priority: npt.ArrayLike, benefit: npt.ArrayLike, n_bootstrap: int, seed: int
) -> list[FloatArray]:
    """The curve of random halves; their spread is the standard error of the whole (no factor needed)."""
    require_replicates(n_bootstrap)
    rng = np.random.default_rng(seed)
    first, effect = _checked(priority, benefit)
    samples = (rng.permutation(effect.size)[: effect.size // 2] for _ in range(n_bootstrap))
    return [toc(first[sample], effect[sample]) for sample in samples]


def _shares(size: int) -> FloatArray:
    return np.arange(1, size + 1) / size


def _checked(priority: npt.ArrayLike, benefit: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    first, effect = np.asarray(priority, dtype=np.float64), np.asarray(benefit, dtype=np.float64)
    if first.shape != effect.shape or first.ndim != 1 or first.size < _LEAST_PATIENTS:
        raise ValueError(
            f"priority and benefit need one value for each of at least {_LEAST_PATIENTS} patients, "
            f"but have the shapes {first.shape} and {effect.shape}"
        )
    for name, values in (("priority", first), ("benefit", effect)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values that are not finite: leave these patients out")
    return first, effect
