"""The logistic log-likelihood at many points, as fast as NumPy's exponential."""

from __future__ import annotations

import numpy as np

from hte_utils.trial_checks import FloatArray

# A block of patients times a block of points is half a MiB of doubles: it stays in a core's cache.
_PATIENT_BLOCK, _POINT_BLOCK = 2048, 32
# One logarithm for the product of so many terms 1 + exp(x): exact to the last digits, since no term is below 1.
_FOLD = 16


def log_likelihood(signed: FloatArray, coefficients: FloatArray) -> FloatArray:
    """Evaluate ``-sum(log(1 + exp(signed @ coefficients)))`` at every point.

    Parameters
    ----------
    signed
        Shape (patients, coefficients), rows times 1 - 2y: see `hte_utils.sums_density.SumsDensity`.
    coefficients
        Shape (points, coefficients).

    Returns
    -------
    numpy.ndarray
        Shape (points,). A product that overflows gives -inf: sixteen patients whose outcomes have a joint probability
        below 1e-308 at that point, which has no weight in any posterior.
    """
    total = np.zeros(len(coefficients))
    with np.errstate(over="ignore"):
        for first in range(0, len(coefficients), _POINT_BLOCK):
            some = slice(first, first + _POINT_BLOCK)
            columns = np.ascontiguousarray(coefficients[some].T)
            for patient in range(0, len(signed), _PATIENT_BLOCK):
                terms = signed[patient : patient + _PATIENT_BLOCK] @ columns
                np.exp(terms, out=terms)
                terms += 1.0
                total[some] -= _sum_of_logs(terms)
    return total


def _sum_of_logs(terms: FloatArray) -> FloatArray:
    """Sum of logarithms over the first axis."""
    n_rest = len(terms) % _FOLD
    folded = np.multiply.reduce(terms[n_rest:].reshape(_FOLD, -1, terms.shape[1]), axis=0)
    sums: FloatArray = np.log(folded).sum(axis=0)
    if n_rest:
        sums += np.log(np.multiply.reduce(terms[:n_rest], axis=0))
    return sums
