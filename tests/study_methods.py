"""Small methods for the tests of the study: quick, of known quality, or badly behaved in a chosen way.

They live in a module of their own so that worker processes can import them.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from hte_utils.methods.estimates import EffectEstimates, IntervalEstimate, MethodResult


@dataclass(frozen=True, slots=True)
class RiskByArm:
    """Everybody gets the difference of the observed rates, with its Wald interval; a little noise from `rng`."""

    name: str = "risk-by-arm"
    label: str = "observed difference"
    slow: bool = False
    exact: bool = False
    noise: float = 0.0
    seconds: float = 0.0

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
    ) -> MethodResult:
        # A study that is to be disturbed waits in each run, so that it cannot be over too soon on a busy machine.
        time.sleep(float(os.environ.get("STUDY_TEST_SECONDS", str(self.seconds))) if self.seconds else 0.0)
        treated = (trial["treatment"] == "Treatment").to_numpy()
        event = trial["event"].to_numpy()
        p1, p0 = event[treated].mean(), event[~treated].mean()
        error = np.sqrt(p1 * (1 - p1) / treated.sum() + p0 * (1 - p0) / (~treated).sum())
        ends = np.array([p1 - p0 - 1.959964 * error, p1 - p0, p1 - p0 + 1.959964 * error])
        return MethodResult(
            tuple(self._estimates(table, float(p0), ends, rng) for table in populations), {"treated": treated.sum()}
        )

    def _estimates(self, table: pd.DataFrame, p0: float, ends: np.ndarray, rng: np.random.Generator) -> EffectEstimates:
        n = len(table)
        lower, value, upper = (np.full(n, end) for end in ends)
        risk = np.clip(p0 + 0.001 * rng.standard_normal(n), 0.0, 1.0)
        value = value + self.noise * rng.standard_normal(n)
        return EffectEstimates(
            baseline_risk=risk,
            log_odds_ratio=None,
            risk_difference=IntervalEstimate(value, lower, upper) if not self.noise else IntervalEstimate(value),
            average_risk_difference=IntervalEstimate(ends[1], ends[0], ends[2]),
        )


@dataclass(frozen=True, slots=True)
class FailsSometimes:
    """Raises where the trial has an odd number of events; the message holds an address in memory."""

    name: str = "fails-sometimes"
    label: str = "fails sometimes"
    slow: bool = False

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
    ) -> MethodResult:
        warnings.warn("about to decide", RuntimeWarning, stacklevel=1)
        if trial["event"].sum() % 2:
            raise ArithmeticError(f"an odd number of events in {object()!r}")
        return RiskByArm()(trial, populations, rng)


@dataclass(frozen=True, slots=True)
class KillsItsProcess:
    """Ends its own process by SIGKILL, `times` times in all (counted by files in `folder`), and then works.

    If `only_odd`, only where the trial has an odd number of events, which its notes tell.
    """

    folder: str
    times: int = 1
    only_odd: bool = False
    name: str = "killer"
    label: str = "kills its process"
    slow: bool = False

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
    ) -> MethodResult:
        deaths = Path(self.folder)
        done = len(list(deaths.iterdir()))
        odd = trial["event"].sum() % 2
        if done < self.times and (odd or not self.only_odd):
            (deaths / f"death-{done}-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(RiskByArm()(trial, populations, rng), notes={"events_odd": float(odd)})


METHODS = {
    method.name: method
    for method in (
        RiskByArm(),
        RiskByArm(name="noisy", noise=0.02),
        RiskByArm(name="slow-one", seconds=0.05, slow=True),
        FailsSometimes(),
    )
}
"""For ``python -m hte_utils.study --methods-from study_methods:METHODS``."""
