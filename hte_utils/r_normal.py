"""The standard normal quantile as R's ``qnorm`` computes it: algorithm AS 241 (PPND16), vectorised.

R turns a uniform into a normal by inversion, so a stream of R's normals is only equal to the last bit if the
quantile function is. Sums, products, quotients and square roots are exactly rounded everywhere (IEEE 754), so
the same operations in the same order give the same bits. The logarithm in the tails is not: it is taken from
the C library (``math.log``), as R does, because NumPy's own depends on the processor's vector instructions
and differs in the last bit for about one value in 4000.

References
----------
Wichura, M. J. (1988). Algorithm AS 241: The percentage points of the normal distribution.
*Applied Statistics*, 37(3), 477-484.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]

# AS 241, PPND16: numerator and denominator of each rational function, highest power first.
_CENTRE_HALF_WIDTH: Final = 0.425
_CENTRE_CONSTANT: Final = 0.180625  # 0.425 squared
_CENTRE: Final = (
    (
        2.5090809287301226727e3,
        3.3430575583588128105e4,
        6.7265770927008700853e4,
        4.5921953931549871457e4,
        1.3731693765509461125e4,
        1.9715909503065514427e3,
        1.3314166789178437745e2,
        3.3871328727963666080e0,
    ),
    (
        5.2264952788528545610e3,
        2.8729085735721942674e4,
        3.9307895800092710610e4,
        2.1213794301586595867e4,
        5.3941960214247511077e3,
        6.8718700749205790830e2,
        4.2313330701600911252e1,
        1.0,
    ),
)
_TAIL_SHIFT: Final = 1.6
_TAIL: Final = (
    (
        7.74545014278341407640e-4,
        2.27238449892691845833e-2,
        2.41780725177450611770e-1,
        1.27045825245236838258e0,
        3.64784832476320460504e0,
        5.76949722146069140550e0,
        4.63033784615654529590e0,
        1.42343711074968357734e0,
    ),
    (
        1.05075007164441684324e-9,
        5.47593808499534494600e-4,
        1.51986665636164571966e-2,
        1.48103976427480074590e-1,
        6.89767334985100004550e-1,
        1.67638483018380384940e0,
        2.05319162663775882187e0,
        1.0,
    ),
)
_FAR_TAIL_START: Final = 5.0  # sqrt(-log(p)), that is p < 1.4e-11
_FAR_TAIL: Final = (
    (
        2.01033439929228813265e-7,
        2.71155556874348757815e-5,
        1.24266094738807843860e-3,
        2.65321895265761230930e-2,
        2.96560571828504891230e-1,
        1.78482653991729133580e0,
        5.46378491116411436990e0,
        6.65790464350110377720e0,
    ),
    (
        2.04426310338993978564e-15,
        1.42151175831644588870e-7,
        1.84631831751005468180e-5,
        7.86869131145613259100e-4,
        1.48753612908506148525e-2,
        1.36929880922735805310e-1,
        5.99832206555887937690e-1,
        1.0,
    ),
)


def qnorm(p: ArrayLike) -> FloatArray:
    """Quantile of the standard normal distribution, bit for bit what R's ``qnorm(p)`` returns.

    Parameters
    ----------
    p : array_like
        Probabilities in [0, 1], any shape. 0 and 1 give minus and plus infinity.

    Returns
    -------
    numpy.ndarray
        Quantiles, float64, in the shape of `p`.

    Raises
    ------
    ValueError
        If a probability is NaN or outside [0, 1].

    Notes
    -----
    Below 1e-300 newer versions of R (4.3 and later) use another expansion; R's generator cannot reach there.

    Examples
    --------
    >>> qnorm([0.025, 0.5, 0.975]).round(3).tolist()
    [-1.96, 0.0, 1.96]
    """
    probabilities = np.asarray(p, dtype=np.float64)
    outside = ~((probabilities >= 0.0) & (probabilities <= 1.0))
    if outside.any():
        raise ValueError(f"p holds {probabilities[outside][0]}, which is not a probability; give values from 0 to 1")
    return quantile_unchecked(probabilities.ravel()).reshape(probabilities.shape)


def quantile_unchecked(p: FloatArray) -> FloatArray:
    """Do what `qnorm` does for a vector that is known to hold probabilities only (the generator's inner loop)."""
    q = p - 0.5
    tail = np.flatnonzero(np.abs(q) > _CENTRE_HALF_WIDTH)
    # The central formula is cheap enough to be evaluated everywhere; the tails (15 %) are then overwritten.
    r = q * q
    np.subtract(_CENTRE_CONSTANT, r, out=r)
    numerator, denominator = _CENTRE
    quantiles = _polynomial(numerator, r)
    quantiles *= q
    quantiles /= _polynomial(denominator, r)
    quantiles[tail] = _tail_quantile(p[tail], q[tail])
    return quantiles


def _tail_quantile(p: FloatArray, q: FloatArray) -> FloatArray:
    # R forms 1 - p as 0.5 - p + 0.5.
    nearer_end = np.where(q < 0.0, p, 0.5 - p + 0.5)
    # A log of zero (p is 0 or 1) is no case for the formula: any positive number stands in, infinity comes last.
    at_the_end = nearer_end == 0.0
    logs = map(math.log, np.where(at_the_end, 0.5, nearer_end).tolist())
    r = np.sqrt(-np.fromiter(logs, dtype=np.float64, count=nearer_end.size))
    quantiles = _ratio(_TAIL, r - _TAIL_SHIFT)
    far = np.flatnonzero(r > _FAR_TAIL_START)
    quantiles[far] = _ratio(_FAR_TAIL, r[far] - _FAR_TAIL_START)
    quantiles[at_the_end] = np.inf
    return np.copysign(quantiles, q)


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: FloatArray) -> FloatArray:
    numerator, denominator = coefficients
    quotient = _polynomial(numerator, r)
    quotient /= _polynomial(denominator, r)
    return quotient


def _polynomial(coefficients: tuple[float, ...], r: FloatArray) -> FloatArray:
    """Horner's rule in place, highest power first: one rounded product and one rounded sum a step."""
    value = r * coefficients[0]
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= r
    value += coefficients[-1]
    return value
