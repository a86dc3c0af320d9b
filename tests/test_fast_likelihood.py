"""The folded logarithms against SciPy's log-sum-exp."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.fast_likelihood import log_likelihood


@given(patients=st.integers(1, 70), points=st.integers(1, 70), spread=st.floats(0.01, 8.0), seed=st.integers(0, 999))
def test_equals_log_sum_exp(patients: int, points: int, spread: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    signed, coefficients = rng.normal(size=(patients, 3)), rng.normal(0.0, spread, (points, 3))
    expected = -np.logaddexp(0.0, signed @ coefficients.T).sum(axis=0)
    np.testing.assert_allclose(log_likelihood(signed, coefficients), expected, rtol=1e-12, atol=1e-13)


def test_more_than_a_block_of_patients() -> None:
    rng = np.random.default_rng(1)
    signed, coefficients = rng.normal(size=(5001, 2)), rng.normal(size=(40, 2))
    expected = -np.logaddexp(0.0, signed @ coefficients.T).sum(axis=0)
    np.testing.assert_allclose(log_likelihood(signed, coefficients), expected, rtol=1e-12)


@pytest.mark.parametrize("patients", [3, 160])
def test_impossible_points_have_density_zero_and_no_warning(patients: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert log_likelihood(np.full((patients, 1), 1.0), np.array([[1e4]]))[0] == -np.inf
