"""The smooth curve of every calibration plot here: a natural cubic spline, linear beyond its outer knots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from hte_utils.trial_checks import FloatArray

# Harrell (2015), Regression Modeling Strategies, Table 2.3: quantiles for few, and for more, knots.
_QUANTILES = {4: (0.05, 0.35, 0.65, 0.95), 6: (0.05, 0.23, 0.41, 0.59, 0.77, 0.95)}


@dataclass(frozen=True, slots=True)
class NaturalSpline:
    """A natural cubic spline basis with fixed knots (patsy's `cr`).

    `knots`: In increasing order, at least three. The basis has as many columns, and they add up to 1: it has its
        intercept.
    """

    knots: tuple[float, ...]

    @classmethod
    def of(cls, values: FloatArray, n_knots: int = 4) -> Self:
        """Place 4 or 6 knots at Harrell's quantiles of `values`."""
        if n_knots not in _QUANTILES:
            raise ValueError(f"n_knots must be one of {sorted(_QUANTILES)}, not {n_knots!r}")
        knots = np.quantile(values, _QUANTILES[n_knots])
        spread = float(np.ptp(values))
        if not spread > 0.0 or np.diff(knots).min() < 1e-9 * spread:
            raise ValueError(
                f"a smooth curve with {n_knots} knots needs predictions that differ, but their quantiles coincide "
                f"({', '.join(f'{knot:.4g}' for knot in knots)}): use groups instead"
            )
        return cls(tuple(knots.tolist()))

    def columns(self, values: FloatArray) -> FloatArray:
        """The basis at the given values, shape (values, knots)."""
        # Imported here: patsy takes a while, and not every user of the calibration records draws a curve.
        from patsy import cr

        inner = np.array(self.knots[1:-1])
        basis = cr(values, knots=inner, lower_bound=self.knots[0], upper_bound=self.knots[-1])
        return np.asarray(basis, dtype=np.float64)
