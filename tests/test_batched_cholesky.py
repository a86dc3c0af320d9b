"""Many small factorisations at once against LAPACK, one at a time."""

from __future__ import annotations

import numpy as np

from hte_utils.batched_cholesky import cholesky, log_determinant, solve_lower, solve_upper


def test_equals_lapack() -> None:
    rng = np.random.default_rng(1)
    roots = rng.normal(size=(7, 5, 8))  # seven matrices of five rows
    matrices = roots @ roots.transpose(0, 2, 1)
    right = rng.normal(size=(7, 5))
    lower = cholesky(matrices.transpose(1, 2, 0).copy())
    by_lapack = np.linalg.cholesky(matrices)
    np.testing.assert_allclose(lower.transpose(2, 0, 1), by_lapack, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(solve_lower(lower, right.T).T[..., None], np.linalg.solve(by_lapack, right[..., None]))
    transposed = by_lapack.transpose(0, 2, 1)
    np.testing.assert_allclose(solve_upper(lower, right.T).T[..., None], np.linalg.solve(transposed, right[..., None]))
    np.testing.assert_allclose(2 * log_determinant(lower), np.linalg.slogdet(matrices).logabsdet)
