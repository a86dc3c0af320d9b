"""One arithmetic on every processor with AVX2, and a record of which one it was."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from hte_utils.study.arithmetic import CANONICAL_ENVIRONMENT, Arithmetic, canonical_environment, restart_canonically

X86 = platform.machine().lower() in {"x86_64", "amd64"}
LOOK = "from hte_utils.study.arithmetic import Arithmetic as A; a = A.here(); print(a.canonical, a.numpy, a.openblas)"
BITS = (
    "import numpy as np, scipy.linalg; a = np.random.default_rng(1).standard_normal((300, 300));"
    "print((a @ a).sum().hex(), np.exp(a).sum().hex(), scipy.linalg.cholesky(a @ a.T + 99 * np.eye(300)).sum().hex())"
)


def fresh(code: str, **environment: str) -> str:
    asked = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={name: value for name, value in os.environ.items() if name not in CANONICAL_ENVIRONMENT} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stderr == ""
    return asked.stdout.strip()


@pytest.mark.skipif(not X86, reason="the canonical arithmetic is that of x86-64")
def test_a_process_with_the_variables_is_canonical() -> None:
    assert fresh(LOOK, **CANONICAL_ENVIRONMENT) == "True ('X86_V3',) ('Haswell',)"


@pytest.mark.skipif(not X86, reason="the canonical arithmetic is that of x86-64")
def test_other_kernels_round_otherwise_and_are_not_called_canonical() -> None:
    other = {**CANONICAL_ENVIRONMENT, "OPENBLAS_CORETYPE": "Sandybridge"}
    assert fresh(LOOK, **other).startswith("False")
    assert fresh(BITS, **other) != fresh(BITS, **CANONICAL_ENVIRONMENT)
    assert fresh(BITS, **CANONICAL_ENVIRONMENT) == fresh(BITS, **CANONICAL_ENVIRONMENT)


def test_the_variables_are_set_inside_and_as_before_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Zen")
    monkeypatch.delenv("NUMBA_CPU_NAME", raising=False)
    with canonical_environment():
        assert CANONICAL_ENVIRONMENT.items() <= os.environ.items()
    assert os.environ["OPENBLAS_CORETYPE"] == "Zen"
    assert "NUMBA_CPU_NAME" not in os.environ


def test_a_record_is_read_back() -> None:
    here = Arithmetic.here()
    assert Arithmetic.of(here.record()) == here
    assert here.record()["canonical"] == here.canonical
    assert here.openblas


def test_a_command_starts_itself_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *call: started.append(call))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-W", "error", "-m", "hte_utils.study", "list"])
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    restart_canonically()
    ((program, words, environment),) = started
    assert (program, words) == (sys.executable, ["python", "-W", "error", "-m", "hte_utils.study", "list"])
    assert CANONICAL_ENVIRONMENT.items() <= environment.items()
    for name, value in CANONICAL_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    restart_canonically()
    assert len(started) == 1
