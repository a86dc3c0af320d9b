"""One thread while it lasts, whatever was loaded meanwhile."""

from __future__ import annotations

import subprocess
import sys

from threadpoolctl import threadpool_info, threadpool_limits

from hte_utils.model.threads import one_blas_thread, one_thread


def threads(user_api: str) -> set[int]:
    return {int(library["num_threads"]) for library in threadpool_info() if library["user_api"] == user_api}


def test_linear_algebra_has_one_thread_while_it_lasts() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        with one_blas_thread():
            assert threads("blas") == {1}
        assert threads("blas") == {2}


def test_within_itself_it_changes_nothing() -> None:
    with threadpool_limits(limits=2, user_api="blas"):
        with one_blas_thread(), one_thread():
            assert threads("blas") == {1}
        assert threads("blas") == {2}


def test_a_library_that_comes_later_is_found() -> None:
    """OpenMP comes with scikit-learn: in a process of its own, first without it."""
    script = (
        "from hte_utils.model.threads import one_thread\n"
        "from threadpoolctl import threadpool_info, threadpool_limits\n"
        "with one_thread(): pass\n"
        "import sklearn.ensemble\n"
        "with threadpool_limits(limits=2), one_thread():\n"
        "    found = {(each['user_api'], each['num_threads']) for each in threadpool_info()}\n"
        "assert found == {('blas', 1), ('openmp', 1)}, found\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
