"""R's random numbers in NumPy: the streams of ``set.seed``, ``runif``, ``rnorm``, ``rbinom`` and ``MASS::mvrnorm``.

The kinds are R's defaults: Mersenne Twister for uniforms, inversion for normals. All methods of one `RRandom`
share one stream, as all calls in one R session do.

What is equal to R, and how far (x86-64 Linux, R 4.2.2 with the reference BLAS and LAPACK):

- ``runif``, ``rnorm``, ``rbinom``: to the last bit. The one library function involved, the logarithm in the tails
  of the normal quantile, is taken from the C library, as in R.
- ``mvrnorm``: to the last bit up to 32 dimensions; the signs of R's eigenvectors, and with them its draws, depend
  on its BLAS from 3 dimensions upwards, see `hte_utils.r_eigen`.
- ``rbinom`` with a variance beyond about 1e7: not equal. R 4.2.2 squares a distance as a 32-bit integer there, which
  overflows beyond 46340, and its draws leave the binomial distribution (for size 2e9 and probability 0.3 their
  variance is 14 % too large). The published algorithm is kept here instead.

An R built with fused multiply-add (the default on ARM) differs from this in the last bit itself.

References
----------
Matsumoto, M. and Nishimura, T. (1998). Mersenne Twister. *ACM Transactions on Modeling and Computer Simulation*,
8(1), 3-30. R's way of seeding and of combining two uniforms into one is described in its help page ``?RNG``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, SupportsIndex

import numpy as np

from hte_utils.r_arguments import (
    checked_count,
    checked_moments,
    checked_seed,
    first_where,
    recycled,
    recycled_probabilities,
    recycled_sizes,
)
from hte_utils.r_binomial import BTPE_FROM_MEAN, Btpe, bernoulli, invert_binomial
from hte_utils.r_eigen import r_eigen
from hte_utils.r_normal import quantile_unchecked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]
type IntArray = NDArray[np.int64]

MAX_DRAWS: Final = 10**9  # eight gigabytes; more is a slip of the finger
_STATE_WORDS: Final = 624
_TWO_TO_MINUS_32: Final = 2.0**-32
_SMALLEST_UNIFORM: Final = 0.5 * 2.328306437080797e-10  # R's stand-in for 0: half of 1 / (2³² - 1)
_HIGH_BITS: Final = 27  # a normal takes 27 bits of one uniform and 32 of the next
_BLOCK: Final = 16_384  # draws at a time: the scratch arrays of a block stay in the processor's cache
_MVRNORM_TOLERANCE: Final = 1e-6  # MASS::mvrnorm's `tol`


class RRandom:
    """R's random number generator after ``set.seed(seed)``.

    Parameters
    ----------
    seed : int
        What ``set.seed`` takes: a whole number from -2147483647 to 2147483647.

    Raises
    ------
    TypeError
        If the seed is not an integer (a bool, None, a float).
    ValueError
        If the seed does not fit. -2147483648 is R's missing value and no seed there either.

    Examples
    --------
    >>> RRandom(123).rnorm(3).round(4).tolist()
    [-0.5605, -0.2302, 1.5587]
    """

    __slots__ = ("_bits",)

    def __init__(self, seed: SupportsIndex) -> None:
        self._bits = np.random.MT19937(0)  # any seed: the state is replaced
        self._bits.state = {
            "bit_generator": "MT19937",
            "state": {"key": _scrambled_key(checked_seed(seed)), "pos": _STATE_WORDS},
        }

    def runif(self, n: SupportsIndex, min: ArrayLike = 0.0, max: ArrayLike = 1.0) -> FloatArray:  # noqa: A002
        """Draw uniforms, R's ``runif(n, min, max)``.

        Parameters
        ----------
        n : int
            Number of draws, 0 to 1e9.
        min, max : array_like
            Bounds, scalars or vectors that are recycled to length `n`. Where both are equal the draw is that
            value and takes nothing from the stream, as in R.

        Returns
        -------
        numpy.ndarray
            Shape (n,), float64.

        Raises
        ------
        TypeError, ValueError
            If `n` is no count, a bound is not finite, or `max` is below `min`.
        """
        n = checked_count("n", n, most=MAX_DRAWS)
        low, high = recycled("min", min, n), recycled("max", max, n)
        if (bad := high < low).any():
            raise ValueError(
                f"max must not be below min; got min = {first_where(low, bad)} and "
                f"max = {first_where(high, bad)}. Swap them"
            )
        draws = _drawn_where(high > low, n, self._fill_uniform)
        draws *= high - low
        draws += low
        return draws

    def rnorm(self, n: SupportsIndex, mean: ArrayLike = 0.0, sd: ArrayLike = 1.0) -> FloatArray:
        """Draw normals by inversion, R's ``rnorm(n, mean, sd)``.

        Parameters
        ----------
        n : int
            Number of draws, 0 to 1e9.
        mean, sd : array_like
            Mean and standard deviation, scalars or vectors that are recycled to length `n`. Where the standard
            deviation is 0 the draw is the mean and takes nothing from the stream, as in R.

        Returns
        -------
        numpy.ndarray
            Shape (n,), float64.

        Raises
        ------
        TypeError, ValueError
            If `n` is no count, a mean is not finite, or a standard deviation is negative or not finite.
        """
        n = checked_count("n", n, most=MAX_DRAWS)
        mu, sigma = recycled("mean", mean, n), recycled("sd", sd, n)
        if (bad := sigma < 0).any():
            raise ValueError(f"sd must be 0 or more; got {first_where(sigma, bad)}. Give a standard deviation")
        draws = _drawn_where(sigma > 0.0, n, self._fill_normal)
        draws *= sigma
        draws += mu
        return draws

    def rbinom(self, n: SupportsIndex, size: ArrayLike, prob: ArrayLike) -> IntArray:
        """Draw binomial numbers, R's ``rbinom(n, size, prob)``.

        Parameters
        ----------
        n : int
            Number of draws, 0 to 1e9.
        size, prob : array_like
            Number of trials (whole, 0 to 2147483646) and probability of success, scalars or vectors that are
            recycled to length `n`. Size 0 and the probabilities 0 and 1 take nothing from the stream, as in R.

        Returns
        -------
        numpy.ndarray
            Shape (n,), int64.

        Raises
        ------
        TypeError, ValueError
            If `n` is no count, a size is not a whole number in range, or a probability is NaN or outside [0, 1].

        Notes
        -----
        Inversion (mean below 30) is vectorised. BTPE, which takes a random number of uniforms a draw, goes draw
        by draw, at some microseconds each.
        """
        n = checked_count("n", n, most=MAX_DRAWS)
        trials, p = recycled_sizes(size, n), recycled_probabilities(prob, n)
        certain = (trials == 0) | (p == 0.0) | (p == 1.0)
        if not certain.any() and (trials == 1).all():
            return self._bernoulli(n, p)
        trials, p, certain = (np.broadcast_to(x, n) for x in (trials, p, certain))
        draws = np.where(p == 1.0, trials, 0)
        draws[~certain] = self._binomial(trials[~certain], p[~certain])
        return draws

    def mvrnorm(self, n: SupportsIndex, mu: ArrayLike, sigma: ArrayLike) -> FloatArray:
        """Draw multivariate normals by eigen-decomposition, as ``MASS::mvrnorm(n, mu, Sigma)`` does.

        Parameters
        ----------
        n : int
            Number of draws, 0 to 1e9.
        mu : array_like
            Mean, shape (p,).
        sigma : array_like
            Covariance, shape (p, p). As in MASS, eigenvalues down to -1e-6 times the largest count as 0, so that
            singular covariances are accepted.

        Returns
        -------
        numpy.ndarray
            Shape (n, p), float64, stored column by column. (MASS drops to a vector for ``n = 1``; this does not.)

        Raises
        ------
        TypeError, ValueError
            If `n` is no count, the shapes do not fit, a value is not finite, or `sigma` is not symmetric or not
            positive (semi-)definite.

        Notes
        -----
        Equal to R's to the last bit for p up to 32, if R stands on the reference BLAS and LAPACK. An R with another
        BLAS (OpenBLAS, MKL) may turn the signs of eigenvectors from p = 3 upwards and then draws other numbers from
        the same stream; `hte_utils.r_eigen` says why. For p = 1 and 2 the signs are the same everywhere.
        """
        n = checked_count("n", n, most=MAX_DRAWS)
        mean, covariance = checked_moments(mu, sigma)
        root = _covariance_root(covariance)
        normals = np.empty((mean.size, n))
        self._fill_normal(normals.ravel())
        draws = np.empty_like(normals)
        # Product by product in the reference BLAS's order: a tuned matrix product would round differently.
        for row, loadings, shift in zip(draws, root, mean, strict=True):
            np.multiply(normals[0], loadings[0], out=row)
            for column in range(1, mean.size):
                row += normals[column] * loadings[column]
            row += shift
        return draws.T

    def _words(self, n: int) -> IntArray:
        # 32-bit words in 64-bit cells: read as signed, which is safe, they convert to floats faster.
        return self._bits.random_raw(n).view(np.int64)

    def _fill_uniform(self, draws: FloatArray) -> None:
        for block in _blocks(draws):
            _to_uniform(self._words(block.size), out=block)

    def _fill_normal(self, draws: FloatArray) -> None:
        for block in _blocks(draws):
            pairs = self._words(2 * block.size).reshape(-1, 2)
            _to_uniform(pairs[:, 1], out=block)
            block += pairs[:, 0] >> (32 - _HIGH_BITS)
            block *= 2.0**-_HIGH_BITS
            block[:] = quantile_unchecked(block)

    def _bernoulli(self, n: int, prob: FloatArray) -> IntArray:
        draws = np.empty(n, dtype=np.int64)
        uniforms = np.empty(min(n, _BLOCK))
        for start in range(0, n, _BLOCK):
            block = slice(start, min(start + _BLOCK, n))
            u = uniforms[: block.stop - start]
            self._fill_uniform(u)
            draws[block] = bernoulli(u, prob if prob.size == 1 else prob[block])
        return draws

    def _binomial(self, size: IntArray, prob: FloatArray) -> IntArray:
        """Stretches of draws that one method serves, in the order in which R takes them from the stream."""
        by_btpe = size * np.minimum(prob, 1.0 - prob) >= BTPE_FROM_MEAN
        draws = np.empty(size.size, dtype=np.int64)
        borders = np.flatnonzero(np.diff(by_btpe)) + 1
        for start, stop in zip([0, *borders], [*borders, size.size], strict=True):
            stretch = slice(start, stop)
            if start < stop and by_btpe[start]:
                draws[stretch] = self._btpe(size[stretch], prob[stretch])
            else:
                uniforms = np.empty(stop - start)
                self._fill_uniform(uniforms)
                draws[stretch] = invert_binomial(uniforms, size[stretch], prob[stretch])
        return draws

    def _btpe(self, size: IntArray, prob: FloatArray) -> list[int]:
        set_up = lru_cache(maxsize=1024)(Btpe.set_up)
        parameters = zip(size.tolist(), prob.tolist(), strict=True)
        return [set_up(*pair).draw(self._next_uniform) for pair in parameters]

    def _next_uniform(self) -> float:
        return max(self._bits.random_raw() * _TWO_TO_MINUS_32, _SMALLEST_UNIFORM)


def _scrambled_key(seed: int) -> NDArray[np.uint32]:
    """R's initial scrambling: the congruential generator x -> 69069 x + 1 (mod 2³²), its first 51 values skipped."""
    word = seed % 2**32
    words = []
    for _ in range(51 + _STATE_WORDS):
        word = (69069 * word + 1) % 2**32
        words.append(word)
    return np.array(words[51:], dtype=np.uint32)


def _to_uniform(words: NDArray[np.int64], out: FloatArray) -> None:
    np.multiply(words, _TWO_TO_MINUS_32, out=out)
    np.maximum(out, _SMALLEST_UNIFORM, out=out)


def _drawn_where(random: NDArray[np.bool_], n: int, fill: Callable[[FloatArray], None]) -> FloatArray:
    """Return standard draws where `random` holds, and 0, at no cost to the stream, elsewhere."""
    draws = np.zeros(n)
    if random.all():
        fill(draws)
    else:
        random = np.broadcast_to(random, n)
        drawn = np.empty(np.count_nonzero(random))
        fill(drawn)
        draws[random] = drawn
    return draws


def _blocks(draws: FloatArray) -> Iterator[FloatArray]:
    return (draws[start : start + _BLOCK] for start in range(0, draws.size, _BLOCK))


def _covariance_root(covariance: FloatArray) -> FloatArray:
    """Eigenvectors times the roots of their eigenvalues, largest first."""
    eigen = r_eigen(covariance)
    smallest = eigen.values[-1]
    if smallest < -_MVRNORM_TOLERANCE * abs(eigen.values[0]):
        raise ValueError(
            f"sigma must be positive definite; got {covariance.tolist()} with eigenvalue {smallest:g}. "
            "Give a covariance matrix: no variance below 0, no correlation beyond -1 or 1"
        )
    return eigen.vectors * np.sqrt(np.maximum(eigen.values, 0.0))
