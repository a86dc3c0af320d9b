"""Whole numbers given by a caller: checked before anything is drawn."""

from __future__ import annotations

import operator
from typing import SupportsIndex

import numpy as np


def whole_number(name: str, value: SupportsIndex) -> int:
    """Return an integer of any library as an int; a bool, None or a float is a ``TypeError`` that names it."""
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be an integer; got {value!r} ({type(value).__name__}). Give a whole number")


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

    Raises
    ------
    TypeError, ValueError
        If it is no integer, or out of range.
    """
    count = whole_number(name, value)
    if not least <= count <= most:
        raise ValueError(f"{name} must be from {least} to {most:,}; got {count}. Choose a number in that range")
    return count
