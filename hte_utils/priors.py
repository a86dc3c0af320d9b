"""The priors of Listing 2, and the exact algebra of its group effects.

Listing 2 gives each group an intercept ``b_intercept + re[g]`` and a treatment effect ``b_trt + re_trt[g]``. The
data see these sums alone; the split into a shared part and deviations is known through the prior only:

    shared ~ Normal(0, sd²),   deviation_g ~ Normal(0, 1/τ),   sum_g = shared + deviation_g,   g = 1..G.

Given τ the sums are therefore normal with covariance sd² 11' + I/τ, and the shared part given the sums is

    shared | sums, τ ~ Normal(sd² τ Σ_g sum_g / q,  sd² / q),   q = 1 + G sd² τ.

So one may sample the sums, and draw the split afterwards from its exact conditional law: the posterior is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hte_utils.trial_checks import FloatArray


@dataclass(frozen=True, slots=True)
class Priors:
    """Prior of Listing 2, lines 23-45, equations (10) and (11).

    Parameters
    ----------
    fixed_sd
        Standard deviation of the Normal(0, sd²) prior of every fixed effect, on the log-odds scale.
    precision_shape, precision_rate
        Shape and rate of the Gamma prior of both precisions, ``tau_re`` and ``tau_re_trt``.

    Raises
    ------
    TypeError, ValueError
        If a value is not a positive finite number.
    """

    fixed_sd: float = 1.0
    precision_shape: float = 2.0
    precision_rate: float = 2.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"prior {name} must be a number, not {value!r}")
            if not 0.0 < value < float("inf"):
                raise ValueError(f"prior {name} must be positive and finite, not {value!r}")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Group sums taken apart: `shared` has the shape of the draws, `deviations` one more axis for the groups."""

    shared: FloatArray
    deviations: FloatArray


def draw_split(sums: FloatArray, precision: FloatArray, priors: Priors, rng: np.random.Generator) -> Split:
    """Draw the shared part and the deviations given their sums, from the exact conditional law.

    Parameters
    ----------
    sums
        Shape (..., groups), log-odds: group intercepts, or group treatment effects.
    precision
        Shape (...): precision τ of the deviations.
    priors
        Gives the standard deviation of the shared part.
    rng
        Source of randomness.

    Returns
    -------
    Split
        ``b_intercept`` and ``re``, or ``b_trt`` and ``re_trt``, of Listing 2.
    """
    variance = priors.fixed_sd**2
    q = 1.0 + sums.shape[-1] * variance * precision
    mean = variance * precision * sums.sum(axis=-1) / q
    shared = mean + np.sqrt(variance / q) * rng.standard_normal(precision.shape)
    return Split(shared, sums - shared[..., None])
