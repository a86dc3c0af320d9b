"""Checking and recycling of the samplers' arguments. What each sampler refuses is in test_r_random.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.r_arguments import checked_count, checked_moments, checked_seed, recycled, recycled_sizes


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=9), st.integers(0, 30))
def test_recycling_is_r_s(values, n):
    broadcast = np.broadcast_to(recycled("x", values, n), n)
    assert broadcast.tolist() == [values[i % len(values)] for i in range(n)]


def test_a_number_stays_one_number():
    assert recycled("x", 3, 10**9).shape == (1,)


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_every_32_bit_seed_but_the_missing_value(seed):
    assert checked_seed(seed) == checked_seed(np.int64(seed)) == seed


@pytest.mark.parametrize("count", [3, np.int8(3), np.uint64(3)])
def test_counts_of_any_integer_type(count):
    checked = checked_count("n", count, most=3)
    assert (checked, type(checked)) == (3, int)


@pytest.mark.parametrize("count", [3.0, "3", None, True, np.bool_(True), np.float64(3), [3]])
def test_counts_of_no_other_type(count):
    with pytest.raises(TypeError, match="n must be an integer"):
        checked_count("n", count, most=3)


def test_range_is_inclusive():
    assert [checked_count("n", n, least=1, most=2) for n in (1, 2)] == [1, 2]
    for n in (0, 3):
        with pytest.raises(ValueError, match=f"n must be from 1 to 2; got {n}"):
            checked_count("n", n, least=1, most=2)


def test_sizes_are_whole():
    assert recycled_sizes([1.0, 2.0], 2).dtype == np.int64


def test_rounding_in_a_covariance_is_no_asymmetry():
    almost = np.array([[1.0, 0.1 + 0.2], [0.3, 1.0]])
    assert almost[0, 1] != almost[1, 0]
    assert np.array_equal(checked_moments([0, 0], almost)[1], almost)
