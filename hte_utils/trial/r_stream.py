"""R's random numbers in NumPy: what ``set.seed``, ``rnorm``, ``rbinom(n, 1, p)`` and ``MASS::mvrnorm`` draw.

R's defaults (no library has them): Mersenne Twister for uniforms, inversion for normals. Normals and binary draws equal
R's to the last bit: sums, products and roots are exactly rounded everywhere (IEEE 754), and the logarithm in the tails
of the normal quantile is the C library's (``math.log``), as in R. Pairs from `mvrnorm` equal R's but for the last
digits of the eigenvectors (3e-14 in Listing 1's blood pressures, which are rounded to whole numbers).

References
----------
R's help pages ``?RNG`` (seeding; one normal from two uniforms) and ``?Round`` (the algorithm since version 4.0.0).
Wichura, M. J. (1988). Algorithm AS 241: The percentage points of the normal distribution. *Applied Statistics*, 37(3),
477-484.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import Final, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]

_LARGEST_SEED: Final = 2**31 - 1  # of R's integers; the one below its negative is R's missing value
_STATE_WORDS: Final = 624
_SMALLEST_UNIFORM: Final = 0.5 * 2.328306437080797e-10  # R's stand-in for 0: half of 1 / (2³² - 1)
_HIGH_BITS: Final = 27  # a normal takes 27 bits of one uniform and 32 of the next
_BLOCK: Final = 16_384  # numbers at a time: the scratch arrays of a block stay in the processor's cache

# AS 241, PPND16: numerator and denominator of each rational function, highest power first.
_CENTRE_HALF_WIDTH: Final = 0.425
_CENTRE_CONSTANT: Final = 0.180625  # its square
_TAIL_START: Final = 1.6
_FAR_TAIL_START: Final = 5.0  # sqrt(-log(p)), that is p < 1.4e-11
# fmt: off
_CENTRE: Final = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
     1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
     5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0),
)
_TAIL: Final = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258e0,
     3.64784832476320460504e0, 5.76949722146069140550e0, 4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
     6.89767334985100004550e-1, 1.67638483018380384940e0, 2.05319162663775882187e0, 1.0),
)
_FAR_TAIL: Final = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
     2.96560571828504891230e-1, 1.78482653991729133580e0, 5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
     1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0),
)
# fmt: on


class RRandom:
    """R's random number generator after ``set.seed(seed)``; all methods share one stream, as in an R session.

    Raises ``ValueError`` for a seed outside -2147483647 to 2147483647.

    Examples
    --------
    >>> import hte_utils as hte
    >>> hte.RRandom(123).rnorm(3).round(4).tolist()
    [-0.5605, -0.2302, 1.5587]
    """

    def __init__(self, seed: SupportsIndex) -> None:
        word = operator.index(seed)
        if abs(word) > _LARGEST_SEED:
            raise ValueError(f"seed must be from {-_LARGEST_SEED} to {_LARGEST_SEED}, as for R's set.seed; got {word}")
        words = []
        for _ in range(51 + _STATE_WORDS):  # R's scrambling: a congruential generator, its first 51 values skipped
            word = (69069 * word + 1) % 2**32
            words.append(word)
        self._bits = np.random.MT19937(0)  # any seed: the state is replaced
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(words[51:], dtype=np.uint32), "pos": _STATE_WORDS},
        }

    def rnorm(self, n: int, mean: float = 0.0, sd: float = 1.0) -> FloatArray:
        """Draw normals by inversion, R's ``rnorm(n, mean, sd)`` for ``sd > 0``; shape (n,)."""
        draws = np.empty(n)
        for block in _blocks(draws):
            pairs = self._words(2 * block.size).reshape(-1, 2)
            block[:] = normal_quantile((_uniform(pairs[:, 1]) + (pairs[:, 0] >> (32 - _HIGH_BITS))) * 2.0**-_HIGH_BITS)
        draws *= sd
        draws += mean
        return draws

    def rbinom(self, n: int, size: int, prob: ArrayLike) -> NDArray[np.int8]:
        """Draw zeros and ones, R's ``rbinom(n, 1, prob)``, for a probability or one for each draw; shape (n,).

        A probability above one half is mirrored, and the probabilities 0 and 1 take nothing from the stream, as in R.
        Raises ``ValueError`` if `size` is not 1 or a probability is none.
        """
        p = np.asarray(prob, dtype=np.float64)
        if size != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
            raise ValueError("rbinom draws with size 1 and probabilities from 0 to 1; mend the call")
        undecided = np.broadcast_to((p > 0.0) & (p < 1.0), n)
        uniforms = np.zeros(n)  # 0 gives the certain outcomes
        uniforms[undecided] = _uniform(self._words(int(undecided.sum())))
        no_success = uniforms < 1.0 - np.minimum(p, 1.0 - p)
        outcomes: NDArray[np.int8] = (no_success == (p > 0.5)).astype(np.int8)
        return outcomes

    def mvrnorm(self, n: int, mu: ArrayLike, sigma: ArrayLike) -> FloatArray:
        """Draw pairs of normals as ``MASS::mvrnorm(n, mu, Sigma)`` does, by eigen-decomposition; shape (n, 2).

        The draws show an eigenvector's sign. Where the covariance is positive and the first variance the larger, as in
        Listing 1, R's end in a negative coordinate; other matrices are refused with a ``ValueError``.
        """
        covariance = np.asarray(sigma, dtype=np.float64)
        if not (covariance[0, 0] > covariance[1, 1] > 0.0 and 0.0 < covariance[0, 1] == covariance[1, 0]):
            raise ValueError(f"sigma must have a positive covariance and the larger variance first; got {covariance}")
        values, vectors = np.linalg.eigh(covariance)
        root = (-np.copysign(1.0, vectors[1]) * vectors * np.sqrt(values))[:, ::-1]  # largest first, as R
        z = self.rnorm(2 * n).reshape(2, n)
        # Product by product: a tuned matrix product would round differently on each machine.
        return np.stack([z[0] * a + z[1] * b + m for (a, b), m in zip(root, np.asarray(mu), strict=True)], 1)

    def _words(self, n: int) -> NDArray[np.int64]:
        # 32-bit words in 64-bit cells: read as signed, which is safe, they convert to floats faster.
        return self._bits.random_raw(n).view(np.int64)


def normal_quantile(p: FloatArray) -> FloatArray:
    """Quantile of the standard normal distribution, bit for bit R's ``qnorm(p)``, for ``0 < p < 1`` in a vector."""
    q = p - 0.5
    tail = np.flatnonzero(np.abs(q) > _CENTRE_HALF_WIDTH)
    # The central formula is cheap enough to be evaluated everywhere; the tails (15 %) are then overwritten.
    r = _CENTRE_CONSTANT - q * q
    quantiles = q * _polynomial(_CENTRE[0], r)
    quantiles /= _polynomial(_CENTRE[1], r)
    nearer_end = np.where(q[tail] < 0.0, p[tail], 0.5 - p[tail] + 0.5)  # R forms 1 - p as 0.5 - p + 0.5
    r = np.sqrt(-np.fromiter(map(math.log, nearer_end.tolist()), np.float64, tail.size))
    beyond = _polynomial(_TAIL[0], r - _TAIL_START) / _polynomial(_TAIL[1], r - _TAIL_START)
    far = r > _FAR_TAIL_START
    r = r[far] - _FAR_TAIL_START
    beyond[far] = _polynomial(_FAR_TAIL[0], r) / _polynomial(_FAR_TAIL[1], r)
    quantiles[tail] = np.copysign(beyond, q[tail])
    return quantiles


def round_to_tenths(x: FloatArray) -> FloatArray:
    """Round to one decimal as R does since 4.0.0: to the nearer of the two neighbouring doubles, even if tied.

    NumPy multiplies by ten, which is rounded itself (0.15 gives 0.2 there, and 0.1 in R). For numbers below 1e13.

    Examples
    --------
    >>> round_to_tenths(np.array([0.15, 0.25, 0.35, 2.55])).tolist()
    [0.1, 0.2, 0.3, 2.5]
    """
    rounded = np.empty_like(x)
    for values, out in zip(_blocks(x), _blocks(rounded), strict=True):
        size = np.abs(values)
        tenths_below = np.floor(10.0 * size)
        below, above = tenths_below / 10.0, np.ceil(10.0 * size) / 10.0
        to_below, to_above = size - below, above - size
        nearer_below = (to_below < to_above) | ((to_below == to_above) & (tenths_below % 2.0 == 0.0))
        np.copysign(np.where(nearer_below, below, above), values, out=out)
    return rounded


def _blocks(draws: FloatArray) -> Iterator[FloatArray]:
    return (draws[start : start + _BLOCK] for start in range(0, draws.size, _BLOCK))


def _uniform(words: NDArray[np.int64]) -> FloatArray:
    uniforms = words * 2.0**-32
    return np.asarray(np.maximum(uniforms, _SMALLEST_UNIFORM, out=uniforms))


def _polynomial(coefficients: tuple[float, ...], r: FloatArray) -> FloatArray:
    """Horner's rule in place, highest power first: one rounded product and one rounded sum a step."""
    value = r * coefficients[0]
    for coefficient in coefficients[1:-1]:
        value += coefficient
        value *= r
    value += coefficients[-1]
    return value
