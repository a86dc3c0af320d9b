"""Time a million simulated patients: this package against R's own code, side by side in one run.

Usage: ``python benchmarks/simulate_trial.py [--patients 1000000] [--repeats 7]``

Both sides run the steps of Listing 1 and end with the data frame. They take turns, so that a busy machine slows
both. *In process* excludes the start of the interpreter and of the libraries; *whole process* includes it. Without
Rscript only our side is timed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from statistics import median

from hte_utils.trial import simulate_trial

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
SEED = 1


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patients", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    with_r = shutil.which("Rscript") is not None

    simulate_trial(1000, SEED)  # what the first call imports is not the simulation's
    ours, theirs, our_process, their_process, our_start = [], [], [], [], []
    for _ in range(options.repeats):
        ours.append(seconds_in_process(options.patients))
        our_process.append(seconds_of(our_command(options.patients))[0])
        our_start.append(seconds_of(our_command(1))[0])
        if with_r:
            whole, printed = seconds_of(r_command(options.patients))
            their_process.append(whole)
            theirs.append(float(printed))

    print(f"{options.patients:,} patients, median of {options.repeats} (fastest - slowest)")
    print(f"  in process     ours {spread(ours)}" + (f"   R {spread(theirs)}" if with_r else ""))
    print(f"  whole process  ours {spread(our_process)}" + (f"   R {spread(their_process)}" if with_r else ""))
    print(f"  of which ours needs {spread(our_start)} to start Python and import pandas and SciPy")
    if with_r:
        print(f"  ours / R       in process {median(ours) / median(theirs):.2f}", end=", ")
        print(f"whole process {median(our_process) / median(their_process):.2f}   (below 1: ours is faster)")
    else:
        print("  Rscript is not installed: nothing to compare with")
    table, peak = bytes_per_patient(options.patients)
    print(f"  memory         {table:.0f} bytes a patient for the table, {peak:.0f} at the peak")


def seconds_in_process(patients: int) -> float:
    """Time one simulation in this process."""
    start = time.perf_counter()
    simulate_trial(patients, SEED)
    return time.perf_counter() - start


def our_command(patients: int) -> list[str]:
    """Return the command of a process that simulates and leaves."""
    code = f"from hte_utils.trial import simulate_trial; simulate_trial({patients}, {SEED})"
    return [sys.executable, "-c", code]


def r_command(patients: int) -> list[str]:
    """Return the command of an R process that simulates and prints the seconds of the call alone."""
    code = (
        'source("listing_1.R"); library(MASS); invisible(simulate_trial(1000, 1)); start <- proc.time()[["elapsed"]]; '
        f'trial <- simulate_trial({patients}, {SEED}); cat(proc.time()[["elapsed"]] - start)'
    )
    return ["Rscript", "-e", code]


def seconds_of(command: list[str]) -> tuple[float, str]:
    """Time a whole process; return the seconds and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(command, cwd=REFERENCE, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def bytes_per_patient(patients: int) -> tuple[float, float]:
    """Measure what the table holds, and the peak while it is made."""
    tracemalloc.start()
    trial = simulate_trial(patients, SEED)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / len(trial), peak / len(trial)


def spread(times: list[float]) -> str:
    """Format the median, the fastest and the slowest time."""
    return f"{median(times):.3f} s ({min(times):.3f} - {max(times):.3f})"


if __name__ == "__main__":
    main()
