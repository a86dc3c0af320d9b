"""Eigenvectors with R's signs, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference_values import REFERENCE, numbers, rows

from hte_utils.r_eigen import r_eigen

RECORDED = [row for row in rows(REFERENCE / "r_functions.csv.gz") if row["name"] == "eigen"]


def test_equals_r_to_the_last_bit():
    assert len(RECORDED) > 50
    for row in RECORDED:
        entries, expected = numbers(row["argument"]), numbers(row["value"])
        p = int(np.sqrt(entries.size))
        eigen = r_eigen(entries.reshape(p, p))
        assert np.array_equal(eigen.values, expected[:p]), entries
        assert np.array_equal(eigen.vectors.ravel(order="F"), expected[p:]), entries


def test_the_recorded_matrices_tell_signs_apart():
    # Another routine for the same decomposition (dsyevd) turns some vectors: the values above would notice.
    turned = 0
    for row in RECORDED:
        entries, expected = numbers(row["argument"]), numbers(row["value"])
        p = int(np.sqrt(entries.size))
        vectors = np.linalg.eigh(entries.reshape(p, p))[1][:, ::-1]
        turned += bool(((vectors * expected[p:].reshape(p, p).T).sum(axis=0) < -0.5).any())
    assert turned > 0


ENTRIES = st.floats(-100, 100).map(lambda x: round(x, 3))


@given(st.integers(1, 7).flatmap(lambda p: arrays(np.float64, (p, p), elements=ENTRIES)))
def test_is_an_eigen_decomposition(root):
    matrix = root + root.T
    eigen = r_eigen(matrix)
    p = len(matrix)
    scale = max(1.0, np.abs(matrix).max())
    assert eigen.vectors.T @ eigen.vectors == pytest.approx(np.eye(p), abs=1e-12)
    assert matrix @ eigen.vectors == pytest.approx(eigen.vectors * eigen.values, abs=1e-12 * p * scale)
    assert (np.diff(eigen.values) <= 0).all()
