"""The arithmetic that results are computed in: one that every x86-64 processor of the last ten years has.

NumPy and OpenBLAS choose their code by the processor. What AVX-512 adds up in another order than AVX2 differs in the
last bits, and results would depend on the machine. Both can be told to use what processors with AVX2 have, by variables
of the environment that are read when they are loaded. So the command line of the study starts itself again with these
variables set, its workers inherit them, and whoever repeats results does it in a fresh process that has them.

What is left is the C library's ``exp`` and ``log``, the same on processors with FMA, but not in each of its versions.
`Arithmetic` says of a process all that is known to matter.
"""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self, cast

from threadpoolctl import threadpool_info

CANONICAL_ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        # The fallback to NUTS is compiled by Numba.
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma,+bmi,+bmi2,+f16c,+lzcnt,+movbe,+popcnt,+sse4.2",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
)
"""Variables that make a process canonical, if they are set before NumPy is loaded. Elsewhere than on x86-64 they do
nothing. Names are those of NumPy 2.5, OpenBLAS 0.3 and Numba 0.68."""

_NUMPY_WITH_AVX2: Final = ("X86_V3",)
_OPENBLAS_WITH_AVX2: Final = ("Haswell",)
_RELEVANT_FLAG: Final = re.compile(r"(avx|amx|fma|sse4).*")


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What decides the last bits of the numbers that a process computes.

    Attributes
    ----------
    machine
        Architecture, e.g. "x86_64".
    numpy
        Sets of instructions that NumPy chooses from when it runs, those in use, e.g. ("X86_V3",).
    openblas
        Processors that the loaded OpenBLAS libraries take this one for, e.g. ("Haswell",).
    c_library
        Name and version, e.g. "glibc 2.36".
    """

    machine: str
    numpy: tuple[str, ...]
    openblas: tuple[str, ...]
    c_library: str

    @property
    def canonical(self) -> bool:
        """Whether it is the one that the study's results are computed in, the C library's version apart."""
        return (self.numpy, self.openblas) == (_NUMPY_WITH_AVX2, _OPENBLAS_WITH_AVX2)

    @classmethod
    def here(cls) -> Self:
        """Look at this process."""
        import scipy.linalg  # noqa: F401 - SciPy has an OpenBLAS of its own

        core = import_module("numpy._core._multiarray_umath")  # has no type hints
        blas = (each for each in threadpool_info() if each.get("internal_api") == "openblas")
        return cls(
            machine=platform.machine(),
            numpy=tuple(name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]),
            openblas=tuple(sorted({str(each.get("architecture")) for each in blas})),
            c_library=" ".join(platform.libc_ver()).strip(),
        )

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """Read what `record` wrote."""
        return cls(
            machine=str(record["machine"]),
            numpy=tuple(record["numpy"]),
            openblas=tuple(record["openblas"]),
            c_library=str(record["c_library"]),
        )

    def record(self) -> dict[str, Any]:
        """Lay it out for JSON, with what the processor could do besides (``processor``), which decides nothing."""
        return {
            "machine": self.machine,
            "numpy": list(self.numpy),
            "openblas": list(self.openblas),
            "c_library": self.c_library,
            "canonical": self.canonical,
            "processor": _processor_flags(),
        }


@contextmanager
def canonical_environment() -> Iterator[None]:
    """Set the variables for processes that are started inside; this process, which has loaded NumPy, stays as it is."""
    before = {name: os.environ.get(name) for name in CANONICAL_ENVIRONMENT}
    os.environ.update(CANONICAL_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def restart_canonically() -> None:
    """Start this command again with the variables set, in place of this process; return if they are set already.

    Only for the very beginning of a command: what the process had in memory is gone. Where a process cannot be replaced
    (Windows) it goes on as it is, and the provenance of its results says so.
    """
    missing = any(os.environ.get(name) != value for name, value in CANONICAL_ENVIRONMENT.items())
    if missing and os.name == "posix":
        environment = {**os.environ, **CANONICAL_ENVIRONMENT}
        os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - itself, with its own arguments


def _processor_flags() -> list[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return []
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    words = cast("str", found[1]).split() if found else []
    return sorted(word for word in words if _RELEVANT_FLAG.fullmatch(word))
