"""R's ``round(x, digits = 1)``, which since R 4.0.0 is neither NumPy's nor Python's.

R compares the two neighbouring tenths, both as doubles, and takes the nearer one; where the distances come out
equal it takes the even tenth. ``numpy.round`` multiplies by ten, rounds and divides, which goes wrong where the
product is rounded (0.15 gives 0.2 there and 0.1 in R); Python rounds the exact binary value.

References
----------
R's help page ``?Round``, section "Rounding to decimal digits", for the algorithm of version 4.0.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_LARGEST: Final = 1e13  # from here on R returns x itself: its 15 digits leave none for tenths
_BLOCK: Final = 16_384  # numbers at a time: the scratch arrays stay small and in the processor's cache


def round_to_tenths(x: ArrayLike) -> NDArray[np.float64]:
    """Round to one decimal place as R >= 4.0.0 does.

    Parameters
    ----------
    x : array_like
        Numbers below 1e13 in absolute value, any shape.

    Returns
    -------
    numpy.ndarray
        float64, in the shape of `x`.

    Raises
    ------
    ValueError
        If a number is NaN or 1e13 or more in absolute value.

    Examples
    --------
    >>> round_to_tenths([0.15, 0.25, 0.35, 2.55]).tolist()
    [0.1, 0.2, 0.3, 2.5]
    """
    values = np.asarray(x, dtype=np.float64)
    flat = values.ravel()
    rounded = np.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        rounded[block] = _rounded(flat[block])
    return rounded.reshape(values.shape)


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    size = np.abs(values)
    if (bad := ~(size < _LARGEST)).any():
        raise ValueError(f"x must be below 1e13 in absolute value; got {values[bad][0]}. Remove such values first")
    tenfold = 10.0 * size
    tenths_below = np.floor(tenfold)
    below = tenths_below / 10.0
    above = np.ceil(tenfold) / 10.0
    to_below, to_above = size - below, above - size
    nearer_below = (to_below < to_above) | ((to_below == to_above) & (tenths_below % 2.0 == 0.0))
    return np.copysign(np.where(nearer_below, below, above), values)
