"""Core-seconds of each method of the ladder on the paper's trial: ``python benchmarks/methods.py [name ...]``.

Processor time, one thread, median of some runs after a first one that also pays for imports. The trial's own patients
are the only population.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from hte_utils import simulate_trial
from hte_utils.methods import METHODS

QUICK_RUNS, SLOW_RUNS = 15, 3


def core_seconds(name: str) -> tuple[float, float]:
    """Return the first run's time and the median of the others."""
    method, trial = METHODS[name], simulate_trial()
    times = []
    for seed in range(1 + (SLOW_RUNS if method.slow else QUICK_RUNS)):
        started = time.process_time()
        method(trial, [trial], np.random.default_rng(seed))
        times.append(time.process_time() - started)
    return times[0], float(np.median(times[1:]))


def main() -> None:
    """Print a line a method."""
    print(f"{'method':<32} {'first (s)':>10} {'then (s)':>10} {'2000 trials (core-hours)':>26}")
    for name in sys.argv[1:] or METHODS:
        first, then = core_seconds(name)
        print(f"{METHODS[name].label:<32} {first:>10.2f} {then:>10.3f} {2000 * then / 3600:>26.2f}", flush=True)


if __name__ == "__main__":
    main()
