"""Make the stored results of the chapter on Bayesian checks, and say how long it took.

    python benchmarks/bayesian_checks.py [--directory book/data] [--workers 2] [--only sbc | candidates]

Simulation-based calibration: six scenarios of 1000 or 4000 trials. Candidate models: six, on 100 simulated trials.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from hte_utils.corrected.stored_checks import CANDIDATES_FILE, RANKS_FILE, store_calibrations, store_evaluation


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path(__file__).parents[1] / "book" / "data")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("sbc", "candidates"))
    chosen = parser.parse_args()
    if chosen.only != "candidates":
        started = time.perf_counter()
        store_calibrations(chosen.directory, workers=chosen.workers)
        print(f"{RANKS_FILE}: {time.perf_counter() - started:.0f} s")
    if chosen.only != "sbc":
        started = time.perf_counter()
        store_evaluation(chosen.directory)
        print(f"{CANDIDATES_FILE}: {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
