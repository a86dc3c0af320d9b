"""Arguments of R's samplers: checked before anything is drawn, recycled as R recycles vectors.

``TypeError`` says that a value is of the wrong kind, ``ValueError`` that it is out of range; each message names
the value, the rule and the remedy.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Final, SupportsIndex

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]
type IntArray = NDArray[np.int64]

LARGEST_R_INTEGER: Final = 2**31 - 1
_SYMMETRY_TOLERANCE: Final = 1e-12  # relative to the largest entry: rounding, not a mistake


def checked_seed(seed: SupportsIndex) -> int:
    """Return a seed for R's ``set.seed`` as an int.

    Parameters
    ----------
    seed : int
        From -2147483647 to 2147483647.

    Returns
    -------
    int
        The seed.

    Raises
    ------
    TypeError
        If it is not an integer (a bool, None, a float).
    ValueError
        If R would not take it.
    """
    value = _whole("seed", seed)
    if not -LARGEST_R_INTEGER <= value <= LARGEST_R_INTEGER:
        missing = " (R's missing value)" if value == -LARGEST_R_INTEGER - 1 else ""
        raise ValueError(
            f"seed must be from -2147483647 to 2147483647, as for R's set.seed; got {value}{missing}. "
            "Choose another number"
        )
    return value


def checked_count(name: str, value: SupportsIndex, *, least: int = 0, most: int) -> int:
    """Return a count as an int.

    Parameters
    ----------
    name : str
        What the caller calls it, for the message.
    value : int
        The count.
    least, most : int
        The range allowed, both ends included.

    Returns
    -------
    int
        The count.

    Raises
    ------
    TypeError
        If it is not an integer (a bool, None, a float).
    ValueError
        If it is out of range.
    """
    count = _whole(name, value)
    if not least <= count <= most:
        raise ValueError(f"{name} must be from {least} to {most:,}; got {count}. Choose a number in that range")
    return count


def recycled(name: str, value: ArrayLike, n: int) -> FloatArray:
    """Return a finite parameter as a vector that broadcasts to length `n`.

    Parameters
    ----------
    name : str
        What the caller calls it, for the message.
    value : array_like
        A number or a vector.
    n : int
        Number of draws.

    Returns
    -------
    numpy.ndarray
        Shape (1,) for a number, else (n,): R repeats a shorter vector and cuts a longer one.

    Raises
    ------
    TypeError
        If it does not hold numbers.
    ValueError
        If it is empty, has more than one dimension, or holds NaN or infinity.
    """
    vector = np.atleast_1d(_numbers(name, value))
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(f"{name} must be a number or a non-empty vector; got shape {vector.shape}. Flatten or fill it")
    if (bad := ~np.isfinite(vector)).any():
        raise ValueError(f"{name} must be finite; got {first_where(vector, bad)}. Remove such values first")
    return vector if vector.size in (1, n) else np.resize(vector, n)


def recycled_sizes(size: ArrayLike, n: int) -> IntArray:
    """Return a binomial's numbers of trials, recycled.

    Raises
    ------
    TypeError, ValueError
        As for `recycled`, or if a size is not a whole number from 0 to 2147483646.
    """
    sizes = recycled("size", size, n)
    if (bad := (sizes < 0) | (sizes >= LARGEST_R_INTEGER) | (sizes != np.floor(sizes))).any():
        raise ValueError(
            f"size must be a whole number from 0 to {LARGEST_R_INTEGER - 1:,}; got {first_where(sizes, bad)}. "
            "Give the number of trials"
        )
    return sizes.astype(np.int64)


def recycled_probabilities(prob: ArrayLike, n: int) -> FloatArray:
    """Return a binomial's probabilities, recycled.

    Raises
    ------
    TypeError, ValueError
        As for `recycled`, or if a probability is outside [0, 1].
    """
    probabilities = recycled("prob", prob, n)
    if (bad := (probabilities < 0.0) | (probabilities > 1.0)).any():
        raise ValueError(
            f"prob must be from 0 to 1; got {first_where(probabilities, bad)}. "
            "Give a probability, not a percentage or odds"
        )
    return probabilities


def checked_moments(mu: ArrayLike, sigma: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return mean, shape (p,), and covariance, shape (p, p), of a multivariate normal.

    Raises
    ------
    TypeError
        If they do not hold numbers.
    ValueError
        If the shapes do not fit, a value is not finite, or `sigma` is not symmetric.
    """
    mean = np.atleast_1d(_numbers("mu", mu))
    covariance = np.atleast_2d(_numbers("sigma", sigma))
    if mean.ndim != 1 or mean.size == 0 or covariance.shape != (mean.size, mean.size):
        raise ValueError(
            "mu of length p needs a sigma of shape (p, p); "
            f"got shapes {mean.shape} and {covariance.shape}. Make them fit"
        )
    for name, values in (("mu", mean), ("sigma", covariance)):
        if (bad := ~np.isfinite(values)).any():
            raise ValueError(f"{name} must be finite; got {first_where(values, bad)}. Remove such values first")
    if np.abs(covariance - covariance.T).max() > _SYMMETRY_TOLERANCE * np.abs(covariance).max():
        raise ValueError(
            f"sigma must be symmetric; got {covariance.tolist()}. Give a covariance matrix, "
            "for instance (sigma + sigma.T) / 2"
        )
    return mean, covariance


def first_where(values: FloatArray, where: NDArray[np.bool_]) -> float:
    """Return the first of `values` (broadcast) for which `where` holds, to be shown in a message."""
    return float(np.broadcast_to(values, where.shape)[where][0])


def _whole(name: str, value: SupportsIndex) -> int:
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be an integer; got {value!r} ({type(value).__name__}). Give a whole number")


def _numbers(name: str, value: ArrayLike) -> FloatArray:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must hold numbers only; got {value!r}. Convert it first") from error
