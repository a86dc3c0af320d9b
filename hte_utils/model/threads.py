"""One thread for linear algebra: the products here are small, and a sum that is split over threads may round otherwise.

Chains, blocks of patients and trials are what fills the processors.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import cast

import scipy.linalg  # noqa: F401 - loads SciPy's own BLAS, which must be among those that are found
from threadpoolctl import ThreadpoolController


@cache
def _libraries() -> ThreadpoolController:
    # To find them reads the map of the process's memory, some 8 ms, which a study would pay at every fit.
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Limit NumPy's and SciPy's linear algebra to one thread while the context lasts."""
    return cast("AbstractContextManager[object]", _libraries().limit(limits=1, user_api="blas"))
