"""The intercept that gives Listing 1's patients an expected event rate.

The rate is an integral over the distribution of the covariates. It is found with quasi-random numbers, on Listing 1's
own code (`hte_utils.trial.draw_covariates`), so that no probability is written down twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm
from scipy.stats.qmc import Sobol

from hte_utils.trial import (
    BaselineCoefficients,
    EffectCoefficients,
    baseline_log_odds,
    draw_covariates,
    treatment_effect,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.trial import Covariates
    from hte_utils.trial.r_stream import RRandom

type FloatArray = NDArray[np.float64]

_LOG2_POINTS: Final = 15  # the rate is then right to some 2e-5 of itself
_DECIMALS: Final = 6  # so that rounding differences between machines cannot change a scenario
_DIMENSIONS: Final = 9  # random numbers that Listing 1 draws for a patient's covariates


class _SobolStream:
    """Answers Listing 1's calls for random numbers with one dimension of a Sobol sequence each."""

    # The arguments are those of R's functions; the number of patients is the number of points.
    # ruff: noqa: ARG002

    def __init__(self, points: FloatArray) -> None:
        self._columns: Iterator[FloatArray] = iter(points.T)

    def rnorm(self, n: int, mean: float, sd: float) -> FloatArray:
        return cast("FloatArray", norm.ppf(next(self._columns), mean, sd))

    def rbinom(self, n: int, size: int, prob: FloatArray | float) -> NDArray[np.bool_]:
        return next(self._columns) < prob

    def mvrnorm(
        self, n: int, mu: tuple[float, float], Sigma: tuple[tuple[float, float], tuple[float, float]]
    ) -> FloatArray:
        factor = np.linalg.cholesky(np.array(Sigma))
        standard = norm.ppf(np.column_stack([next(self._columns), next(self._columns)]))
        return cast("FloatArray", np.array(mu) + standard @ factor.T)


def expected_event_rate(baseline: BaselineCoefficients, effect: EffectCoefficients) -> float:
    """Expected share of patients with the event under Listing 1, over both arms.

    Parameters
    ----------
    baseline, effect
        Coefficients of Listing 1; the randomisation is one to one.
    """
    return _rate_at(baseline.intercept, baseline, effect)


@lru_cache(maxsize=128)
def baseline_for_rate(rate: float, baseline: BaselineCoefficients, effect: EffectCoefficients) -> BaselineCoefficients:
    """Return `baseline` with the intercept that makes the expected event rate `rate`.

    Parameters
    ----------
    rate
        Share of patients with the event, over both arms, between 0 and 1.
    baseline, effect
        Coefficients of Listing 1.

    Returns
    -------
    BaselineCoefficients
        Its intercept is rounded to six decimals, so that the scenario is the same on every machine.

    Raises
    ------
    ValueError
        If the rate is not between 0 and 1.
    """
    if not 0.0 < rate < 1.0:
        raise ValueError(
            f"an expected event rate must lie between 0 and 1, both excluded; got {rate}. Give 0.05 for 5 %"
        )
    intercept = brentq(lambda value: _rate_at(value, baseline, effect) - rate, -50.0, 50.0, xtol=1e-10)
    return replace(baseline, intercept=round(float(intercept), _DECIMALS))


def _rate_at(intercept: float, baseline: BaselineCoefficients, effect: EffectCoefficients) -> float:
    patients = _typical_patients()
    untreated = baseline_log_odds(patients, replace(baseline, intercept=intercept))
    treated = untreated + treatment_effect(patients, effect)
    return float((expit(untreated).mean() + expit(treated).mean()) / 2.0)


@lru_cache(maxsize=1)
def _typical_patients() -> Covariates:
    points = Sobol(_DIMENSIONS, scramble=True, rng=np.random.default_rng(1)).random_base2(_LOG2_POINTS)
    return draw_covariates(cast("RRandom", _SobolStream(points)), len(points))
