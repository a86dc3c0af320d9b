"""Cholesky factors and triangular solutions of many small matrices at once.

The matrices stand side by side in the last axis, and each step is one vectorised operation over all of them:
thousands of matrices of ten rows cost a few milliseconds, where a LAPACK call for each would cost tens.
"""

from __future__ import annotations

import numpy as np

from hte_utils.trial_checks import FloatArray


def cholesky(matrices: FloatArray) -> FloatArray:
    """Lower factors L with L L' = A, of positive definite A: shapes (rows, rows, matrices)."""
    lower = np.zeros_like(matrices)
    for j in range(len(matrices)):
        column = matrices[j:, j] - np.einsum("ikn,kn->in", lower[j:, :j], lower[j, :j])
        lower[j, j] = np.sqrt(column[0])
        lower[j + 1 :, j] = column[1:] / lower[j, j]
    return lower


def solve_lower(lower: FloatArray, right: FloatArray) -> FloatArray:
    """Solve L x = b: shapes (rows, rows, matrices) and (rows, matrices)."""
    solution = np.empty_like(right)
    for j in range(len(lower)):
        solution[j] = (right[j] - np.einsum("kn,kn->n", lower[j, :j], solution[:j])) / lower[j, j]
    return solution


def solve_upper(lower: FloatArray, right: FloatArray) -> FloatArray:
    """Solve L' x = b, with the lower factor L: shapes as in `solve_lower`."""
    solution = np.empty_like(right)
    for j in range(len(lower) - 1, -1, -1):
        below = np.einsum("kn,kn->n", lower[j + 1 :, j], solution[j + 1 :])
        solution[j] = (right[j] - below) / lower[j, j]
    return solution


def log_determinant(lower: FloatArray) -> FloatArray:
    """Half the log determinant of A, that is the log determinant of its factor: shape (matrices,)."""
    log_det: FloatArray = np.log(np.einsum("iin->in", lower)).sum(axis=0)
    return log_det
