"""One thread for linear algebra: the products here are small, and a sum that is split over threads may round otherwise.

Chains, blocks of patients and trials are what fills the processors.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import cast

from threadpoolctl import ThreadpoolController


@lru_cache(maxsize=1)
def _libraries(_modules: int) -> ThreadpoolController:
    # To find them reads the map of the process's memory, some 8 ms, which a study would pay several times a fit. It is
    # done again where modules were imported since, which may have brought libraries of their own.
    return ThreadpoolController()


def one_blas_thread() -> AbstractContextManager[object]:
    """Limit linear algebra to one thread while the context lasts."""
    return _limited("blas")


def one_thread() -> AbstractContextManager[object]:
    """Limit linear algebra and OpenMP to one thread: results must not depend on the number of processors."""
    return _limited(None)


def _limited(user_api: str | None) -> AbstractContextManager[object]:
    limits = _libraries(len(sys.modules)).limit(limits=1, user_api=user_api)
    return cast("AbstractContextManager[object]", limits)
