"""Effective draws a second for Listing 2 on the paper's trial: JAGS, Stan, PyMC, NumPyro, nutpie and this project.

    python benchmarks/posterior.py [--engines jags-glm ours ...] [--repeats 3] [--no-scaling]

One number per engine: the smallest bulk ESS (ArviZ, the same estimator for all) among the 18 quantities of Listing 2,
divided by seconds of wall time, on two cores.

- *cold*: a fresh process with empty compile caches, from its start to the last draw, imports and compilation included.
- *warm*: again in the same process, with everything loaded and compiled: sampling and its adaptation alone. For `ours`
  and `ours-nuts` it is the whole of `fit` with its checks (nutpie compiles anew in `fit`; in `ours-nuts-compiled` it
  does not). For JAGS, which compiles no code, it is compilation of the graph, adaptation and drawing, without
  the start of R; for Stan warm-up and drawing.

Each engine runs `--repeats` times in fresh processes, in turn with the others; the table shows medians. Then, for this
project's default sampler, time and peak memory for 2 000, 20 000 and 200 000 patients, and the cost of one density
evaluation against the least that a gradient evaluation could take.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

HERE = Path(__file__).resolve().parent
CORES = 2
WARM_RUNS = 3


@dataclass(frozen=True)
class InR:
    """An engine that R starts: script, model, its module (JAGS), chains and draws."""

    script: str
    model: Path
    module: str
    draws: int
    chains: int = 4


JAGS_MODEL = HERE.parent / "tests" / "reference" / "jags_listing2.txt"
IN_R = {
    "jags-glm": InR("jags_posterior.R", JAGS_MODEL, "glm", 2500),
    "jags": InR("jags_posterior.R", JAGS_MODEL, "noglm", 1000),
    "stan": InR("stan_posterior.R", HERE / "listing2.stan", "-", 1000),
}


@dataclass(frozen=True)
class Run:
    """One sampling run: the smallest ESS of the 18 quantities, and the seconds it took."""

    ess: float
    seconds: float


Draws = np.ndarray  # (quantity, chain, draw)


def smallest_ess(draws: Draws) -> float:
    """Smallest bulk ESS over the quantities."""
    from arviz_stats.base import array_stats

    return float(np.min(array_stats.ess(draws, method="bulk")))


def design() -> Any:
    """Return the paper's trial as the model sees it."""
    from hte_utils.model.spec import PAPER_SPEC
    from hte_utils.trial import simulate_trial

    return PAPER_SPEC.design(simulate_trial())


def of_listing(posterior: Any) -> Draws:
    """Draws of the 18 quantities in a posterior with the variables of `listing_model`."""
    from hte_utils.model.listing_2 import listing2_draws

    return listing2_draws(posterior).to_dataarray("parameter").transpose("parameter", "chain", "draw").to_numpy()


# Each engine returns a function that samples once; whatever it does before that belongs to the cold run only.
def ours() -> Callable[[], Draws]:
    """Default sampler of this project: the whole of `fit`."""
    from hte_utils.model.fit import fit

    trial = design()
    return lambda: of_listing(fit(trial, cores=CORES))


def ours_nuts() -> Callable[[], Draws]:
    """NUTS on the sums form: the whole of `fit`, compilation included."""
    from hte_utils.model.fit import NutsSettings, fit

    trial = design()
    return lambda: of_listing(fit(trial, settings=NutsSettings(), cores=CORES, progress=False))


def ours_nuts_compiled() -> Callable[[], Draws]:
    """NUTS on the sums form, compiled once: the rest of `fit`."""
    import nutpie

    from hte_utils.model.listing_2 import sums_model

    compiled = nutpie.compile_pymc_model(sums_model(design()))
    sample = ours_nuts()

    def sample_compiled() -> Draws:
        with mock.patch("nutpie.compile_pymc_model", return_value=compiled):
            return sample()

    return sample_compiled


def nutpie_listing() -> Callable[[], Draws]:
    """Nutpie with its defaults on Listing 2 as printed, compiled once, one BLAS thread a chain."""
    import nutpie
    from threadpoolctl import threadpool_limits

    from hte_utils.model.listing_2 import listing_model

    compiled = nutpie.compile_pymc_model(listing_model(design()))

    def sample() -> Draws:
        with threadpool_limits(1):
            return of_listing(nutpie.sample(compiled, chains=4, cores=CORES, draws=1000, progress_bar=False))

    return sample


def pymc_default(**arguments: Any) -> Callable[[], Draws]:
    """PyMC's own sampler with its defaults on Listing 2 as printed."""
    import pymc as pm

    from hte_utils.model.listing_2 import listing_model

    model = listing_model(design())

    def sample() -> Draws:
        with model:
            trace = pm.sample(chains=4, cores=CORES, progressbar=False, compute_convergence_checks=False, **arguments)
        return of_listing(trace)

    return sample


def numpyro() -> Callable[[], Draws]:
    """NumPyro, as PyMC calls it, on Listing 2 as printed."""
    import numpyro as library

    library.set_host_device_count(CORES)
    return pymc_default(nuts_sampler="numpyro")


ENGINES: dict[str, Callable[[], Callable[[], Draws]]] = {
    "pymc": pymc_default,
    "numpyro": numpyro,
    "nutpie": nutpie_listing,
    "ours-nuts": ours_nuts,
    "ours-nuts-compiled": ours_nuts_compiled,
    "ours": ours,
}


def child(engine: str, started: float) -> None:
    """Run one engine cold, then warm, in this fresh process; print the runs as JSON."""
    sample = ENGINES[engine]()
    draws = sample()
    cold = Run(smallest_ess(draws), time.time() - started)
    warm = []
    for _ in range(WARM_RUNS):
        begun = time.perf_counter()
        draws = sample()
        seconds = time.perf_counter() - begun
        warm.append(Run(smallest_ess(draws), seconds))
    middle = sorted(warm, key=lambda run: run.ess / run.seconds)[WARM_RUNS // 2]
    print(json.dumps({"cold": cold.__dict__, "warm": middle.__dict__}))


def run_python(engine: str) -> tuple[Run, Run]:
    """Cold and warm run of a Python engine, in a fresh process without compile caches."""
    with tempfile.TemporaryDirectory() as caches:
        environment = os.environ | {
            "NUMBA_CACHE_DIR": f"{caches}/numba",
            "PYTENSOR_FLAGS": f"base_compiledir={caches}/pytensor",
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, "-W", "ignore", __file__, "--child", engine, str(time.time())]
        output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    runs = json.loads(output.splitlines()[-1])
    return Run(**runs["cold"]), Run(**runs["warm"])


def run_r(engine: InR) -> tuple[Run, Run]:
    """Cold and warm run of an engine in R (JAGS or Stan), with its chains in parallel processes."""
    trial = design()
    columns = {
        "y": trial.outcome,
        "treatment": trial.treatment,
        "gender": trial.group,
        **dict(zip(("age", "anticoag", "bmi", "diabetes", "prior_bleeding"), trial.prognostic.T, strict=True)),
    }
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data.csv", Path(folder) / "draws.csv"
        np.savetxt(data, np.column_stack(list(columns.values())), "%.17g", ",", header=",".join(columns), comments="")
        sizes = [str(size) for size in (engine.chains, CORES, 1000, engine.draws)]
        begun = time.perf_counter()
        output = subprocess.run(
            ["Rscript", str(HERE / engine.script), str(data), str(engine.model), engine.module, *sizes, str(out)],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        cold = time.perf_counter() - begun
        # Column 1 numbers the chains, the others are the quantities.
        table = np.loadtxt(out, delimiter=",", skiprows=1)
    ess = smallest_ess(np.moveaxis(table[:, 1:].reshape(engine.chains, engine.draws, -1), 2, 0))
    return Run(ess, cold), Run(ess, float(output.split()[-1]))


def compare(engines: list[str], repeats: int) -> None:
    """Print the table of engines, with the ratio to JAGS with glm."""
    rates: dict[str, dict[str, list[Run]]] = {engine: {"cold": [], "warm": []} for engine in engines}
    for repeat in range(repeats):
        for engine in engines:
            print(f"run {repeat + 1} of {repeats}: {engine}", file=sys.stderr)
            try:
                cold, warm = run_r(IN_R[engine]) if engine in IN_R else run_python(engine)
            except (subprocess.CalledProcessError, FileNotFoundError) as error:
                print(f"{engine} failed: {str(getattr(error, 'stderr', error))[-300:]}", file=sys.stderr)
                continue
            rates[engine]["cold"].append(cold)
            rates[engine]["warm"].append(warm)
    print(f"{'engine':20}{'':6}{'min ESS':>9}{'seconds':>10}{'ESS/s':>11}{'x JAGS glm':>12}")
    for kind in ("cold", "warm"):
        base = median_rate(rates.get("jags-glm", {}).get(kind, []))
        for engine in engines:
            runs = rates[engine][kind]
            if not runs:
                continue
            rate = median_rate(runs)
            ess, seconds = (statistics.median(getattr(run, what) for run in runs) for what in ("ess", "seconds"))
            print(f"{engine:20}{kind:6}{ess:9.0f}{seconds:10.2f}{rate:11.2f}{rate / base if base else np.nan:12.2f}")


def median_rate(runs: list[Run]) -> float:
    """Median ESS a second; 0 without runs."""
    return statistics.median(run.ess / run.seconds for run in runs) if runs else 0.0


def child_scaling(n_patients: int) -> None:
    """Fit a trial of the given size in this fresh process; print seconds and memory as JSON."""
    from hte_utils.model.fit import fit
    from hte_utils.model.spec import PAPER_SPEC
    from hte_utils.trial import simulate_trial

    trial = PAPER_SPEC.design(simulate_trial(n_patients))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    posterior = fit(trial, cores=CORES)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "ess": smallest_ess(of_listing(posterior)), "before": before, "peak": peak}))


def scaling(repeats: int) -> None:
    """Print time and memory of the default sampler by the number of patients."""
    print(f"\n{'patients':>9}{'seconds':>9}{'min ESS':>9}{'peak MiB':>10}{'of it before the fit':>22}")
    for n_patients in (2_000, 20_000, 200_000):
        command = [sys.executable, __file__, "--child-scaling", str(n_patients)]
        runs = [json.loads(subprocess.check_output(command, env=with_path(), text=True)) for _ in range(repeats)]
        run = sorted(runs, key=lambda one: one["seconds"])[len(runs) // 2]
        before, peak = run["before"] / 1024, run["peak"] / 1024
        print(f"{n_patients:9}{run['seconds']:9.2f}{run['ess']:9.0f}{peak:10.0f}{before:22.0f}")


def with_path() -> dict[str, str]:
    """Environment in which a child finds the package."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}


def microseconds(function: Callable[[], object], calls: int) -> float:
    """Best of seven averages over `calls` calls."""
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        for _ in range(calls):
            function()
        times.append((time.perf_counter() - begun) / calls * 1e6)
    return min(times)


def limit() -> None:
    """Print what one density costs, beside the least a gradient could: two 2000 x 12 products and 2000 logistics."""
    from scipy.special import expit
    from threadpoolctl import threadpool_limits

    from hte_utils.model.density import SumsDensity
    from hte_utils.model.listing_2 import Priors
    from hte_utils.model.sampler import proposal_for_chains

    density = SumsDensity.of(design(), Priors())
    rng = np.random.default_rng(1)
    points = rng.normal(0, 0.3, (1024, density.at.size))
    rows, theta = density.signed, points[0, density.at.linear].copy()
    scores, work = rows @ theta, np.empty(len(rows))
    with threadpool_limits(1):
        products = microseconds(lambda: rows @ theta, 2000) + microseconds(lambda: scores @ rows, 2000)
        by_scipy = microseconds(lambda: expit(scores, out=work), 2000)
        by_numpy = microseconds(lambda: np.divide(1.0, np.exp(scores, out=work) + 1.0, out=work), 2000)
        ours_each = microseconds(lambda: density(points), 5) / len(points)
        proposal = proposal_for_chains(density, np.random.SeedSequence(1))
        uniform = rng.random((1024, proposal.n_uniforms))
        weighted = microseconds(lambda: proposal.weighted(density, uniform), 5) / len(uniform)
        fitted = microseconds(lambda: proposal_for_chains(density, np.random.SeedSequence(1)), 1)
    print(f"\nOne core, 2000 patients, 12 coefficients, microseconds:\n  two products {products:.1f}")
    print(f"  2000 logistic functions: scipy expit {by_scipy:.1f}, NumPy exp and division {by_numpy:.1f}")
    print(f"  least for a gradient: {products + min(by_scipy, by_numpy):.1f}")
    print(
        f"  one density (no gradient, in blocks): {ours_each:.1f}; one weighted proposal of the chart: {weighted:.1f}"
    )
    print(f"  to fit the proposal of the chains, once a posterior: {fitted:.0f}")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", nargs="*", choices=[*IN_R, *ENGINES], default=[*IN_R, *ENGINES])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--child-scaling", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], float(arguments.child[1]))
    elif arguments.child_scaling:
        child_scaling(arguments.child_scaling)
    else:
        if arguments.engines:
            compare(arguments.engines, arguments.repeats)
        limit()
        if not arguments.no_scaling:
            scaling(arguments.repeats)


if __name__ == "__main__":
    main()
