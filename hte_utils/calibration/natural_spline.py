"""The smooth curve of every calibration plot here: a natural cubic spline (patsy's `cr`) with Harrell's knots."""

from __future__ import annotations

import numpy as np

from hte_utils.trial_checks import FloatArray

# Harrell (2015), Regression Modeling Strategies, Table 2.3: quantiles for few, and for more, knots.
QUANTILES = {4: (0.05, 0.35, 0.65, 0.95), 6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)}


def spline_columns(values: FloatArray, n_knots: int = 4, *, at: FloatArray | None = None) -> FloatArray:
    """Spline basis with 4 or 6 knots at quantiles of `values`, taken `at` these or other places: (places, knots).

    Linear beyond the outer knots; the columns add up to 1. ValueError if knots coincide.
    """
    from patsy import cr  # takes a while to import, and not every user of the calibration draws a curve

    first, *inner, last = knots = np.quantile(values, QUANTILES[n_knots])
    spread = float(np.ptp(values))
    if not spread > 0.0 or np.diff(knots).min() < 1e-9 * spread:
        raise ValueError(f"a curve with {n_knots} knots needs predictions that differ: their quantiles coincide")
    return np.asarray(cr(values if at is None else at, knots=inner, lower_bound=first, upper_bound=last), np.float64)
