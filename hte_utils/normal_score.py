"""A coordinate in which a skewed law is standard normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import special

from hte_utils.trial_checks import FloatArray

# Beyond the scores of this probability (5.2 SDs) the map goes on as a straight line.
_TAIL = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class NormalScore:
    """A monotone map from a standard normal coordinate to a value.

    It is linear between knots, so that its derivative is exact; both arrays have shape (knots,).
    """

    scores: FloatArray
    values: FloatArray

    @classmethod
    def of(cls, values: FloatArray, log_density: FloatArray) -> Self:
        """Match the quantiles of a density that is known on an increasing grid of values, up to a constant."""
        weights = np.exp(log_density - log_density.max())
        pieces = 0.5 * (weights[1:] + weights[:-1]) * np.diff(values)
        below = np.append(0.0, np.cumsum(pieces)) / pieces.sum()
        above = np.append(np.cumsum(pieces[::-1])[::-1], 0.0) / pieces.sum()
        # Each tail from its own side: 1 - 1e-17 would be 1.
        scores = np.where(below < 0.5, special.ndtri(below), -special.ndtri(above))
        kept = np.minimum(below, above) > _TAIL
        return cls(scores[kept], values[kept])

    def __call__(self, score: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the value and the logarithm of its derivative, both of the scores' shape."""
        slopes = np.diff(self.values) / np.diff(self.scores)
        piece = np.clip(np.searchsorted(self.scores, score) - 1, 0, slopes.size - 1)
        return self.values[piece] + slopes[piece] * (score - self.scores[piece]), np.log(slopes[piece])

    @property
    def median(self) -> float:
        """Median of the value."""
        return float(self(np.zeros(1))[0][0])
