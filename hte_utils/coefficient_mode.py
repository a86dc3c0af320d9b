"""The mode of logistic coefficients under a normal prior, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from hte_utils.trial_checks import FloatArray

# The log density is strictly concave, so Newton steps with halving always arrive; some seven do.
_MOST_STEPS, _SMALL_GAIN = 100, 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class Expansion:
    """A log-likelihood to second order, ``-½ θ'Hθ + b'θ + constant``, around a `mode` of the posterior.

    `information` is H, shape (coefficients, coefficients), and `linear` is b, shape (coefficients,).
    """

    mode: FloatArray
    information: FloatArray
    linear: FloatArray


def expand_at_mode(signed: FloatArray, precision: FloatArray, mean: FloatArray, start: FloatArray) -> Expansion:
    """Find the mode and expand the likelihood there.

    Parameters
    ----------
    signed
        As in `hte_utils.sums_density.SumsDensity`, shape (patients, coefficients).
    precision, mean
        Of the normal prior: shapes (coefficients, coefficients) and (coefficients,).
    start
        Where to begin, shape (coefficients,).

    Raises
    ------
    RuntimeError
        If it is not found: a covariate must be on a scale that leaves nothing of the arithmetic.
    """
    mode, value = start, _log_density(signed, precision, mean, start)
    for _ in range(_MOST_STEPS):
        probability = special.expit(signed @ mode)
        pull = -(probability @ signed)
        information = (signed * (probability * (1.0 - probability))[:, None]).T @ signed
        gradient = pull - precision @ (mode - mean)
        step = linalg.solve(information + precision, gradient, assume_a="pos")
        gain = float(gradient @ step)
        if gain < _SMALL_GAIN:
            return Expansion(mode, information, information @ mode + pull)
        # Armijo's rule, with room for rounding.
        length, reached = 1.0, _log_density(signed, precision, mean, mode + step)
        while reached < value + 1e-4 * length * gain - 1e-9 * abs(value) and length > 1e-10:
            length *= 0.5
            reached = _log_density(signed, precision, mean, mode + length * step)
        mode, value = mode + length * step, reached
    raise RuntimeError(
        f"no mode found in {_MOST_STEPS} Newton steps: is a covariate on an extreme scale? Standardise it in the "
        "TrialSpec"
    )


def _log_density(signed: FloatArray, precision: FloatArray, mean: FloatArray, at: FloatArray) -> float:
    away = at - mean
    return -float(np.logaddexp(0.0, signed @ at).sum() + 0.5 * away @ precision @ away)
