"""Time and peak memory of CATE summaries for 10 thousand to a million patients x 4000 draws.

    python benchmarks/cate.py [--patients 10000 100000 1000000] [--repeats 3]

Each case runs in a process of its own, so that its peak memory is its own. The peer is what one writes first: the whole
matrix of draws, then NumPy's mean, std and quantile over it; it runs up to 20 thousand patients, since its matrix of a
million patients would need 32 GB. Draws are random numbers of the size of the paper's posterior: neither time nor
memory depends on their values.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from hte_utils.effects.cate import EffectScale, GroupEffects, cate, cate_draws
from hte_utils.model.spec import PAPER_SPEC, Patients
from hte_utils.trial import simulate_trial

N_CHAINS, N_DRAWS = 4, 1000
LARGEST_FOR_PEER = 20_000


def posterior(seed: int = 1) -> xr.DataTree:
    """Return normal draws about the paper's Table 4, 4 chains x 1000."""
    rng = np.random.default_rng(seed)

    def normal(mean: list[float] | float, sd: float) -> np.ndarray:
        return rng.normal(mean, sd, (N_CHAINS, N_DRAWS, *np.shape(mean)))

    draws = ("chain", "draw")
    variables = {
        "b_intercept": (draws, normal(-1.6, 0.97)),
        "b_trt": (draws, normal(-0.1, 0.6)),
        "b_prognostic": ((*draws, "prognostic"), normal([0.2, 0.6, 0.1, -0.1, 1.4], 0.2)),
        "b_interaction": ((*draws, "modifier"), normal([0.3, 0.6, 0.3], 0.3)),
        "re": ((*draws, "group"), normal([-1.8, -1.5], 0.97)),
        "re_trt": ((*draws, "group"), normal([0.1, -0.3], 0.6)),
    }
    coords = {
        "prognostic": list(PAPER_SPEC.prognostic_labels),
        "modifier": list(PAPER_SPEC.modifiers),
        "group": ["Male", "Female"],
    }
    coords |= {"chain": list(range(N_CHAINS)), "draw": list(range(N_DRAWS))}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords=coords)})


def whole_matrix(draws: xr.DataTree, patients: Patients, scale: EffectScale) -> None:
    """Summarise the peer's way."""
    matrix = cate_draws(draws, patients, scale=scale, group_effects=GroupEffects.INCLUDED).to_numpy()
    matrix = np.ascontiguousarray(matrix.reshape(-1, patients.n_patients))
    matrix.mean(axis=0), matrix.std(axis=0, ddof=1)
    np.quantile(matrix, [0.025, 0.975], axis=0)
    (matrix > scale.no_effect).mean(axis=0)


def in_blocks(draws: xr.DataTree, patients: Patients, scale: EffectScale) -> None:
    """Summarise our way."""
    cate(draws, patients, scale=scale, group_effects=GroupEffects.INCLUDED)


METHODS: dict[str, Callable[[xr.DataTree, Patients, EffectScale], None]] = {
    "in blocks": in_blocks,
    "whole matrix": whole_matrix,
}


def measure(method: str, n_patients: int, scale: EffectScale, repeats: int) -> None:
    """Run one case and print its seconds and peak memory as JSON."""
    # Ten thousand patients fit the coding; the rest are the same ones again: Patients holds numbers only.
    design = PAPER_SPEC.design(simulate_trial(n_subjects=10_000, seed=1))
    rows = np.arange(n_patients) % design.n_patients
    patients = Patients(design.prognostic[rows], design.modifiers[rows], design.group[rows], design.coding)
    draws, seconds = posterior(), []
    before = peak_mib()
    for _ in range(repeats):
        start = time.perf_counter()
        METHODS[method](draws, patients, scale)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": statistics.median(seconds), "before": before, "peak": peak_mib()}))


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def in_own_process(method: str, n_patients: int, scale: EffectScale, repeats: int) -> dict[str, Any]:
    """Measure one case in a fresh process."""
    command = [sys.executable, __file__, "--case", method, str(n_patients), scale.name, "--repeats", str(repeats)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def main() -> None:
    """Run all cases and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        method, n_patients, scale = arguments.case
        measure(method, int(n_patients), EffectScale[scale], arguments.repeats)
        return
    print(f"{N_CHAINS * N_DRAWS} draws; median of {arguments.repeats}; peak = resident memory of the whole process")
    print(f"{'patients':>9}  {'scale':<16}{'method':<14}{'seconds':>8}{'us/patient':>12}{'peak MiB':>10}{'ratio':>8}")
    for n_patients in arguments.patients:
        for scale in EffectScale:
            ours = in_own_process("in blocks", n_patients, scale, arguments.repeats)
            report(n_patients, scale, "in blocks", ours, "")
            if n_patients <= LARGEST_FOR_PEER:
                peer = in_own_process("whole matrix", n_patients, scale, arguments.repeats)
                report(n_patients, scale, "whole matrix", peer, f"{peer['seconds'] / ours['seconds']:.1f}x")


def report(n_patients: int, scale: EffectScale, method: str, found: dict[str, Any], ratio: str) -> None:
    """Print one row."""
    each = found["seconds"] / n_patients * 1e6
    print(
        f"{n_patients:>9}  {scale.value:<16}{method:<14}{found['seconds']:>8.2f}{each:>12.1f}"
        f"{found['peak']:>10.0f}{ratio:>8}",
        flush=True,
    )


if __name__ == "__main__":
    main()
