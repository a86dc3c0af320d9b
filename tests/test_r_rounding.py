"""Rounding to one decimal against R >= 4.0.0."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_values import REFERENCE, numbers, rows

from hte_utils.r_rounding import round_to_tenths


def test_equals_r():
    (row,) = [row for row in rows(REFERENCE / "r_functions.csv.gz") if row["name"] == "round1"]
    x, expected = numbers(row["argument"]), numbers(row["value"])
    assert np.array_equal(round_to_tenths(x), expected)
    assert not np.array_equal(np.round(x, 1), expected), "the recorded values no longer tell the algorithms apart"


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_is_a_nearest_tenth(x):
    rounded = float(round_to_tenths(x))
    assert rounded == float(f"{rounded:.1f}")
    # 1/20 exactly, plus the rounding of the two neighbouring tenths to doubles.
    assert abs(Fraction(rounded) - Fraction(x)) <= Fraction(1, 20) + Fraction(abs(x)) / 2**52


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_is_odd_and_settled(x):
    rounded = round_to_tenths(x)
    assert round_to_tenths(-x) == -rounded
    assert round_to_tenths(rounded) == rounded


@pytest.mark.parametrize("x", [np.nan, np.inf, 1e13, -1e14])
def test_refuses_what_has_no_tenths(x):
    with pytest.raises(ValueError, match=r"below 1e13 in absolute value; got .*Remove"):
        round_to_tenths([1.0, x])
