"""How R turns uniforms into binomial numbers: inversion for small means, algorithm BTPE for large ones.

Every number is drawn with ``min(prob, 1 - prob)`` and mirrored (``size`` minus the draw) when ``prob`` is above 1/2.

A probability that is off by one unit in its last place changes nothing that can be seen. R's uniforms are
multiples of 2⁻³², a double near 1/2 to 1 is a multiple of 2⁻⁵³, so of the thresholds ``1 - p`` that differ by one
such unit only one pair in 2²¹ has a uniform between them, and that uniform turns up once in 2³²: an outcome
flips with probability 2⁻⁵³ a draw, once in nine billion trials of a million patients.

References
----------
Kachitvichyanukul, V. and Schmeiser, B. W. (1988). Binomial random variate generation.
*Communications of the ACM*, 31(2), 216-222. The steps named below are those of its Section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]
type IntArray = NDArray[np.int64]

BTPE_FROM_MEAN: Final = 30.0  # size * min(prob, 1 - prob) from which R leaves inversion for BTPE
_RECURSION_LIMIT: Final = 20  # distance from the mode up to which step 5.1 multiplies the ratios out
_STIRLING_DENOMINATOR: Final = 166320.0


def bernoulli(uniforms: FloatArray, prob: FloatArray) -> NDArray[np.bool_]:
    """Binomial numbers of size 1 by inversion: one uniform each.

    Parameters
    ----------
    uniforms : numpy.ndarray
        Shape (n,), values in (0, 1).
    prob : numpy.ndarray
        Probabilities strictly between 0 and 1, shape (n,) or (1,).

    Returns
    -------
    numpy.ndarray
        Booleans, shape (n,).
    """
    mirrored = prob > 0.5
    no_success = uniforms < 1.0 - np.minimum(prob, 1.0 - prob)
    outcomes: NDArray[np.bool_] = np.equal(no_success, mirrored)
    return outcomes


def invert_binomial(uniforms: FloatArray, size: IntArray, prob: FloatArray) -> IntArray:
    """Binomial numbers by inversion: the uniform walks up the cumulative distribution, one term a step.

    R starts again with a new uniform after 110 steps; at a mean below 30 that has probability below 1e-27, less
    than the 2⁻³² that the largest uniform leaves, so it never happens and is not reproduced here.

    Parameters
    ----------
    uniforms : numpy.ndarray
        Shape (n,), values in (0, 1).
    size, prob : numpy.ndarray
        Shape (n,), with ``size >= 1``, ``0 < prob < 1`` and ``size * min(prob, 1 - prob) < 30``.

    Returns
    -------
    numpy.ndarray
        Integers, shape (n,).
    """
    p = np.minimum(prob, 1.0 - prob)
    q = 1.0 - p
    odds = p / q
    step = odds * (size + 1)
    term = q**size
    remaining = uniforms.copy()
    successes = np.zeros(uniforms.size, dtype=np.int64)
    walking = np.flatnonzero(remaining >= term)
    count = 0
    while walking.size:
        remaining[walking] -= term[walking]
        count += 1
        successes[walking] = count
        term[walking] *= step[walking] / count - odds[walking]
        walking = walking[remaining[walking] >= term[walking]]
    return np.where(prob > 0.5, size - successes, successes)


@dataclass(frozen=True, slots=True)
class Btpe:
    """Algorithm BTPE for one size and probability: a hat of triangle, parallelogram and two exponential tails.

    Attributes
    ----------
    size, p, q : int, float, float
        Number of trials, ``min(prob, 1 - prob)`` and its complement.
    mirrored : bool
        Whether the probability asked for was above 1/2.
    variance : float
        ``size * p * q``.
    mode : int
        The binomial's mode M.
    centre, left, right : float
        The triangle's middle and feet, x_M, x_L and x_R.
    height_outside : float
        The height c of the parallelograms' outer edges.
    rate_left, rate_right : float
        The rates of the exponential tails, lambda_L and lambda_R.
    area_triangle, area_parallelograms, area_left, area_total : float
        The cumulated areas p_1 to p_4 of the hat's parts.
    """

    size: int
    p: float
    q: float
    mirrored: bool
    variance: float
    mode: int
    centre: float
    left: float
    right: float
    height_outside: float
    rate_left: float
    rate_right: float
    area_triangle: float
    area_parallelograms: float
    area_left: float
    area_total: float

    @classmethod
    def set_up(cls, size: int, prob: float) -> Self:
        """Step 0: the constants of the hat, for ``size * min(prob, 1 - prob) >= 30``."""
        p = min(prob, 1.0 - prob)
        q = 1.0 - p
        mean = size * p
        variance = mean * q
        real_mode = mean + p
        mode = int(real_mode)
        half_width = int(2.195 * math.sqrt(variance) - 4.6 * q) + 0.5
        centre = mode + 0.5
        left, right = centre - half_width, centre + half_width
        height = 0.134 + 20.5 / (15.3 + mode)
        slope = (real_mode - left) / (real_mode - left * p)
        rate_left = slope * (1.0 + 0.5 * slope)
        slope = (right - real_mode) / (right * q)
        rate_right = slope * (1.0 + 0.5 * slope)
        parallelograms = half_width * (1.0 + height + height)
        left_tail = parallelograms + height / rate_left
        return cls(
            size=size, p=p, q=q, mirrored=prob > 0.5, variance=variance, mode=mode,
            centre=centre, left=left, right=right, height_outside=height,
            rate_left=rate_left, rate_right=rate_right,
            area_triangle=half_width, area_parallelograms=parallelograms,
            area_left=left_tail, area_total=left_tail + height / rate_right,
        )  # fmt: skip

    def draw(self, next_uniform: Callable[[], float]) -> int:
        """Draw one number; every attempt takes two uniforms."""
        while True:
            u = next_uniform() * self.area_total
            v = next_uniform()
            if u <= self.area_triangle:  # step 1: under the triangle nothing is rejected
                successes = int(self.centre - self.area_triangle * v + u)
                break
            proposal = self._propose_outside_triangle(u, v)
            if proposal is not None and self._accepts(*proposal):
                successes = proposal[0]
                break
        return self.size - successes if self.mirrored else successes

    def _propose_outside_triangle(self, u: float, v: float) -> tuple[int, float] | None:
        """Steps 2 to 4: a candidate with its rescaled v, or None where it leaves the hat or the range."""
        if u <= self.area_parallelograms:
            x = self.left + (u - self.area_triangle) / self.height_outside
            v = v * self.height_outside + 1.0 - abs(self.centre - x) / self.area_triangle
            return None if v > 1.0 or v <= 0.0 else (int(x), v)
        if u > self.area_left:
            candidate = int(self.right - math.log(v) / self.rate_right)
            scale = (u - self.area_left) * self.rate_right
            return None if candidate > self.size else (candidate, v * scale)
        candidate = int(self.left + math.log(v) / self.rate_left)
        scale = (u - self.area_parallelograms) * self.rate_left
        return None if candidate < 0 else (candidate, v * scale)

    def _accepts(self, candidate: int, v: float) -> bool:
        """Step 5: compare v with the candidate's probability relative to the mode's."""
        distance = abs(candidate - self.mode)
        if distance <= _RECURSION_LIMIT or distance >= self.variance / 2.0 - 1.0:
            return v <= self.ratio_to_mode(candidate)
        # Step 5.2: a squeeze around the normal approximation decides most cases.
        slack = (distance / self.variance) * ((distance * (distance / 3.0 + 0.625) + 1.0 / 6.0) / self.variance + 0.5)
        normal = -(distance * distance) / (2.0 * self.variance)
        log_v = math.log(v)
        if log_v < normal - slack:
            return True
        return log_v <= normal + slack and log_v <= self.log_ratio_to_mode(candidate)

    def ratio_to_mode(self, candidate: int) -> float:
        """Return the candidate's probability divided by the mode's, term by term (step 5.1)."""
        odds = self.p / self.q
        step = odds * (self.size + 1)
        ratio = 1.0
        for count in range(self.mode + 1, candidate + 1):
            ratio *= step / count - odds
        for count in range(candidate + 1, self.mode + 1):
            ratio /= step / count - odds
        return ratio

    def log_ratio_to_mode(self, candidate: int) -> float:
        """Return the logarithm of the same, by Stirling's series (step 5.3).

        The article adds the corrections of all four factorials, where those of x and w should be subtracted. R does as
        the article says, and so does this; the error is about 1 / (6 x) + 1 / (6 w) on the log scale.
        """
        x = candidate + 1.0
        f = self.mode + 1.0
        z = self.size + 1.0 - self.mode
        w = self.size - candidate + 1.0
        return (
            self.centre * math.log(f / x)
            + (self.size - self.mode + 0.5) * math.log(z / w)
            + (candidate - self.mode) * math.log(w * self.p / (x * self.q))
            + stirling_correction(f)
            + stirling_correction(z)
            + stirling_correction(x)
            + stirling_correction(w)
        )


def stirling_correction(x: float) -> float:
    """Return the first five terms of what Stirling's formula for ``log((x - 1)!)`` leaves out: 1 / (12 x) - ..."""
    square = x * x
    inner = 13860.0 - (462.0 - (132.0 - (99.0 - 140.0 / square) / square) / square) / square
    return inner / x / _STIRLING_DENOMINATOR
