"""Geweke's convergence diagnostic as R's coda computes it, for any number of series at once (Geweke 1992)."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np

from hte_utils.coda_spectrum import MINIMUM_DRAWS, require_count, require_series, spectrum_at_zero

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def geweke_windows(draws: int, first: float = 0.1, last: float = 0.5, thin: int = 1) -> tuple[slice, slice]:
    """Which draws Geweke's z compares.

    Parameters
    ----------
    draws
        Length of the series.
    first, last
        The early and the late part, as fractions of the time from the first draw to the last.
    thin
        Iterations between draws.

    Returns
    -------
    tuple of slice
        The early and the late window. coda rounds their bounds outwards to whole *iterations*: of 1000 draws
        the first 101 and the last 501 are compared when every iteration was kept, the first 100 and the last
        500 when every tenth was.

    Raises
    ------
    ValueError
        If a fraction is not between 0 and 1, the parts overlap, ``thin`` is not a positive whole number, or a
        window holds fewer than ``MINIMUM_DRAWS`` draws.
    """
    if not (0 < first < 1 and 0 < last < 1 and first + last <= 1):
        raise ValueError(f"first={first!r}, last={last!r}: both must lie between 0 and 1, their sum must not exceed 1")
    require_count("thin", thin)
    span = thin * (draws - 1)
    slack = 1e-9  # undoes rounding such as 0.1 * 30 = 3.0000000000000004
    early = slice(0, 1 + ceil(first * span - slack) // thin)
    late = slice(-(floor((1 - last) * span + slack) // -thin), draws)
    shortest = min(early.stop, draws - late.start)
    if shortest < MINIMUM_DRAWS:
        raise ValueError(
            f"of {draws} draws a window of Geweke's diagnostic holds {shortest}: at least {MINIMUM_DRAWS} are needed; "
            "sample longer or widen the windows"
        )
    return early, late


def geweke_z(values: ArrayLike, first: float = 0.1, last: float = 0.5, thin: int = 1) -> NDArray[np.float64]:
    """Geweke's z: difference between the means of the early and the late draws, over its standard error.

    Parameters
    ----------
    values
        Shape (..., draws).
    first, last
        The early and the late part of the series, as fractions.
    thin
        Iterations between draws; it moves the windows by a draw at most, see `geweke_windows`.

    Returns
    -------
    ndarray of float64
        Shape of the batch; standard normal for a long stationary series (Geweke 1992). Table 6.

    Raises
    ------
    ValueError
        If a series is too short or not finite, is constant in both windows, or the windows are not sensible.
    """
    series = require_series(values)
    windows = [series[..., window] for window in geweke_windows(series.shape[-1], first, last, thin)]
    early, late = windows
    variance = sum((spectrum_at_zero(window).density / window.shape[-1] for window in windows), start=np.float64(0))
    if not (variance > 0).all():
        where = tuple(int(i) for i in np.argwhere(np.atleast_1d(variance) == 0)[0])
        raise ValueError(f"the series at index {where} does not vary in either window: leave it out")
    z: NDArray[np.float64] = (early.mean(axis=-1) - late.mean(axis=-1)) / np.sqrt(variance)
    return z
