"""Eigenvectors of a symmetric matrix with the signs, and the last digits, of R's ``eigen``.

An eigenvector is determined up to its sign only, and ``MASS::mvrnorm`` shows the sign: the same normals give other
draws. R calls LAPACK's ``dsyevr``, where from 3 by 3 upwards rounding decides the signs, so that two builds of
LAPACK disagree for one matrix in five. Only the build's BLAS matters: its tuned kernels (fused multiply-add, sums
in another order) round the reduction to tridiagonal form differently, while the eigenvectors of the tridiagonal
matrix come from plain code that is the same everywhere. So the reduction is done here, sum by sum as in the
reference BLAS, and LAPACK is asked for the rest.

References
----------
Golub, G. H. and Van Loan, C. F. (2013). *Matrix Computations*, 4th ed., section 8.3.1: Householder reduction.
Dhillon, I. S., Parlett, B. N. and Vömel, C. (2006). The design and implementation of the MRRR algorithm.
*ACM Transactions on Mathematical Software*, 32(4), 533-560: the tridiagonal solver (``dstemr``).
Anderson, E. et al. (1999). *LAPACK Users' Guide*, 3rd ed.: ``dsyevr``, ``dsytrd``, ``dormtr``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh_tridiagonal

if TYPE_CHECKING:
    from numpy.typing import NDArray

type FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SymmetricEigen:
    """Eigenvalues and eigenvectors, largest value first.

    Attributes
    ----------
    values : numpy.ndarray
        Shape (p,), descending.
    vectors : numpy.ndarray
        Shape (p, p), one eigenvector a column, of length 1.
    """

    values: FloatArray
    vectors: FloatArray


@dataclass(frozen=True, slots=True)
class _Reflection:
    """Householder's I - scale v vᵀ, acting on the rows from `first` on."""

    first: int
    vector: FloatArray
    scale: float


def r_eigen(matrix: FloatArray) -> SymmetricEigen:
    """Decompose a symmetric matrix as R's ``eigen(matrix, symmetric = TRUE)`` does.

    Parameters
    ----------
    matrix : numpy.ndarray
        Shape (p, p), p >= 1, symmetric, finite; only the lower triangle is read, as in R.

    Returns
    -------
    SymmetricEigen
        Equal to the last bit to R with the reference BLAS and LAPACK (3.10 or later) for p up to 32, above which
        LAPACK reduces in blocks. Where eigenvalues are equal their eigenvectors are no better determined than there.
    """
    if matrix.shape == (1, 1):
        return SymmetricEigen(matrix[0].copy(), np.ones((1, 1)))
    diagonal, beside, reflections = _tridiagonal(matrix)
    ascending, vectors = eigh_tridiagonal(diagonal, beside, lapack_driver="stemr")
    for reflection in reversed(reflections):
        _reflect(reflection, vectors)
    return SymmetricEigen(ascending[::-1].copy(), vectors[:, ::-1].copy())


def _tridiagonal(matrix: FloatArray) -> tuple[FloatArray, FloatArray, list[_Reflection]]:
    """Reduce to tridiagonal form, column by column, using the lower triangle (LAPACK's ``dsytd2``)."""
    a = np.array(matrix, dtype=np.float64)
    p = len(a)
    beside = np.empty(p - 1)
    reflections = []
    for column in range(p - 1):
        below = slice(column + 1, p)
        beside[column], v, scale = _householder(a[below, column])
        if scale != 0.0:
            rest = a[below, below]
            w = _symmetric_product(rest, v, scale)
            w += (-0.5 * scale * _dot(w, v)) * v
            _subtract_symmetric_outer(rest, v, w)
            reflections.append(_Reflection(column + 1, v, scale))
    return np.diagonal(a).copy(), beside, reflections


def _householder(x: FloatArray) -> tuple[float, FloatArray, float]:
    """Return what x is reflected to (its first coordinate), the reflection's vector and scale (``dlarfg``)."""
    alpha, rest = float(x[0]), x[1:]
    length = math.sqrt(_dot(rest, rest))
    if length == 0.0:
        return alpha, x.copy(), 0.0
    longer, shorter = max(abs(alpha), length), min(abs(alpha), length)
    ratio = shorter / longer
    beta = -math.copysign(longer * math.sqrt(1.0 + ratio * ratio), alpha)
    v = np.concatenate(([1.0], rest * (1.0 / (alpha - beta))))
    return beta, v, (beta - alpha) / beta


def _symmetric_product(a: FloatArray, x: FloatArray, scale: float) -> FloatArray:
    """Scale times a times x from the lower triangle, in the order of the reference BLAS's ``dsymv``."""
    y = np.zeros_like(x)
    for j in range(len(x)):
        y[j:] += (scale * x[j]) * a[j:, j]
        y[j] += scale * _dot(a[j + 1 :, j], x[j + 1 :])
    return y


def _subtract_symmetric_outer(a: FloatArray, x: FloatArray, y: FloatArray) -> None:
    """Subtract x yᵀ + y xᵀ from the lower triangle in place (``dsyr2``)."""
    for j in range(len(x)):
        a[j:, j] += x[j:] * -y[j]
        a[j:, j] += y[j:] * -x[j]


def _reflect(reflection: _Reflection, vectors: FloatArray) -> None:
    """Apply a reflection from the left in place, column by column (``dlarf``)."""
    for column in vectors[reflection.first :].T:
        column -= reflection.vector * (reflection.scale * _dot(column, reflection.vector))


def _dot(x: FloatArray, y: FloatArray) -> float:
    """Inner product summed from the first element to the last (NumPy's own sums pair the terms up)."""
    return float(np.add.accumulate(x * y)[-1]) if len(x) else 0.0
