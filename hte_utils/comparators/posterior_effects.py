"""From posterior draws to effects with credible intervals, and to what Monte Carlo error leaves of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from arviz_stats.base import array_stats  # type: ignore[attr-defined]
from scipy.special import logit

from hte_utils.comparators.estimates import INTERVAL, EffectEstimates, IntervalEstimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

_STATISTICS: Any = array_stats  # ArviZ has no type hints
_TAILS = ((1.0 - INTERVAL) / 2.0, (1.0 + INTERVAL) / 2.0)
_FURTHEST = 1e-12  # a probit model may return a risk of exactly 0 or 1, whose log odds are not finite


def effects_from_risk_draws(risk: FloatArray, risk_treated: FloatArray) -> EffectEstimates:
    """Posterior means and equal-tailed intervals.

    Parameters
    ----------
    risk, risk_treated
        Draws of the probability of a bleed without and with treatment, shape (patients, draws).
    """
    difference = risk_treated - risk
    ratio = logit(np.clip(risk_treated, _FURTHEST, 1 - _FURTHEST)) - logit(np.clip(risk, _FURTHEST, 1 - _FURTHEST))
    return EffectEstimates(
        baseline_risk=risk.mean(axis=1),
        log_odds_ratio=_summary(ratio),
        risk_difference=_summary(difference),
        average_risk_difference=_summary(difference.mean(axis=0)),
    )


def monte_carlo_notes(average: FloatArray) -> dict[str, float]:
    """How well a method's draws determine its average risk difference.

    Parameters
    ----------
    average
        Draws of the average risk difference, shape (chains, draws).

    Returns
    -------
    dict
        ``ess_average``, effective draws, and ``mcse_average``, Monte Carlo standard error of the posterior mean.
    """
    ess = float(_STATISTICS.ess(average, chain_axis=0, draw_axis=1, method="mean"))
    return {"ess_average": ess, "mcse_average": float(average.std(ddof=1) / np.sqrt(ess))}


def _summary(draws: FloatArray) -> IntervalEstimate:
    lower, upper = np.quantile(draws, _TAILS, axis=-1)
    return IntervalEstimate(draws.mean(axis=-1), lower, upper)
