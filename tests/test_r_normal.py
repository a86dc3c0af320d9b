"""The normal quantile against R's qnorm, bit by bit, and against SciPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_values import REFERENCE, assert_same_values, numbers, rows, run_again
from scipy.special import ndtri

from hte_utils.r_normal import qnorm

VALUES = REFERENCE / "r_functions.csv.gz"


def test_equals_r_to_the_last_bit():
    (row,) = [row for row in rows(VALUES) if row["name"] == "qnorm"]
    p, expected = numbers(row["argument"]), numbers(row["value"])
    assert len(p) > 1000
    assert np.array_equal(qnorm(p), expected)


@given(st.floats(min_value=1e-300, max_value=1.0, exclude_max=True))
def test_agrees_with_another_algorithm(p):
    # AS 241 promises 1 part in 1e16; around p = 1/2 the quantile is near 0, so the error is absolute there.
    assert qnorm(p) == pytest.approx(ndtri(p), rel=2e-14, abs=1e-15)


@given(st.integers(1, 2**40 - 1))
def test_is_antisymmetric_where_the_complement_is_exact(numerator):
    p = numerator / 2**40
    assert qnorm(1.0 - p) == -qnorm(p)


def test_ends_and_shape():
    assert qnorm([[0.0, 0.5], [0.5, 1.0]]).tolist() == [[-np.inf, 0.0], [0.0, np.inf]]
    assert qnorm(0.5).shape == ()
    assert qnorm([]).shape == (0,)


@pytest.mark.parametrize("p", [-1e-9, 1.1, np.nan])
def test_refuses_what_is_no_probability(p):
    with pytest.raises(ValueError, match=r"p holds .* not a probability; give values from 0 to 1"):
        qnorm([0.5, p])


@pytest.mark.r("MASS")
def test_r_still_prints_the_recorded_values(tmp_path):
    run_again("r_functions.R", tmp_path / "again.csv.gz")
    assert_same_values(tmp_path / "again.csv.gz", VALUES, {("name", "eigen")})
