"""The priors of Listing 2, what may be put in their place, and the exact algebra of the group effects.

Listing 2 gives each group an intercept ``b_intercept + re[g]`` and a treatment effect ``b_trt + re_trt[g]``. The
data see these sums alone; the split into a shared part and deviations is known through the prior only:

    shared ~ Normal(m, sd²),   deviation_g ~ Normal(0, 1/τ),   sum_g = shared + deviation_g,   g = 1..G.

Given τ the sums are therefore normal with mean m and covariance sd² 11' + I/τ, and the shared part given the sums is

    shared | sums, τ ~ Normal(m + sd² τ Σ_g (sum_g - m) / q,  sd² / q),   q = 1 + G sd² τ.

So one may sample the sums, and draw the split afterwards from its exact conditional law: the posterior is the same.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np

from hte_utils.trial_checks import FloatArray


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """Normal(mean, sd²), on the log-odds scale."""

    mean: float
    sd: float


@dataclass(frozen=True, slots=True)
class Priors:
    """Prior of Listing 2, lines 23-45, equations (10) and (11), and two departures from it that must be asked for.

    Parameters
    ----------
    fixed_sd
        Standard deviation of the Normal(0, sd²) prior of every fixed effect, on the log-odds scale.
    precision_shape, precision_rate
        Shape and rate of the Gamma prior of both precisions, ``tau_re`` and ``tau_re_trt``.
    intercept_mean, intercept_sd
        Normal prior of ``b_intercept``, log odds of the event: for an event that is known to be rare, 0 is a strange
        place to start from. An SD of None is `fixed_sd`.
    interaction_scale
        None: interactions have the fixed effects' prior, as in Listing 2. A positive number s: they are shrunk by a
        common amount that the data have a say in, Normal(0, ω²) with ω ~ HalfNormal(s²), log odds ratio per unit of
        the covariate (Gelman 2006); the posterior then holds ω as ``sd_interaction``.

    Raises
    ------
    ValueError
        If a value is not finite, or not positive (the mean may be any).
    """

    fixed_sd: float = 1.0
    precision_shape: float = 2.0
    precision_rate: float = 2.0
    intercept_mean: float = 0.0
    intercept_sd: float | None = None
    interaction_scale: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not (math.isfinite(value) and (value > 0.0 or name == "intercept_mean")):
                raise ValueError(f"prior {name} must be finite, and positive unless it is a mean, not {value!r}")

    @property
    def shared_intercept(self) -> NormalPrior:
        """Prior of ``b_intercept``."""
        return NormalPrior(self.intercept_mean, self.fixed_sd if self.intercept_sd is None else self.intercept_sd)

    @property
    def shared_effect(self) -> NormalPrior:
        """Prior of ``b_trt``."""
        return NormalPrior(0.0, self.fixed_sd)


def draw_split(
    sums: FloatArray, precision: FloatArray, prior: NormalPrior, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw the shared part and the deviations given their sums, from the exact conditional law.

    `sums`, shape (..., groups), are group intercepts or group treatment effects in log-odds, `precision`, shape (...),
    is that of the deviations, and `prior` is `Priors.shared_intercept` or `Priors.shared_effect`. Returns
    ``b_intercept`` and ``re``, or ``b_trt`` and ``re_trt``, of Listing 2: shapes (...) and (..., groups).
    """
    variance = prior.sd**2
    q = 1.0 + sums.shape[-1] * variance * precision
    mean = prior.mean + variance * precision * (sums - prior.mean).sum(axis=-1) / q
    shared = mean + np.sqrt(variance / q) * rng.standard_normal(precision.shape)
    return shared, sums - shared[..., None]
