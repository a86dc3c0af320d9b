"""How quick is the quick posterior? Time per trial, beside JAGS in the same run, and how it grows.

    python benchmarks/quick_posterior.py [--trials 1000] [--repeats 3] [--no-jags] > benchmarks/quick_posterior.txt

A "trial" is everything that a simulation study does with one: simulate Listing 1 with a new seed (2000 patients), lay
out the design, fit with 1000 effective draws, summarise the CATE of every patient on both scales (mean and 95 %
interval), and evaluate against the truth: correlation, RMSE, coverage, effect by quintile of baseline risk.

The comparison with JAGS (glm module, chains in parallel processes, as in `posterior.py`) is by seconds per effective
draw of the fit alone, the ESS being the smallest over the 18 scalars of Listing 2. For JAGS it is ArviZ's bulk ESS. For
the quick posterior it is measured, not computed from the weights: the variance of the posterior mean over repeated fits
with other seeds, as a fraction of the posterior variance.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from hte_utils.corrected.cross_fitting import group_members
from hte_utils.effects.averages import standardised_risks
from hte_utils.effects.cate import GroupEffects, effect_summaries
from hte_utils.effects.strata import quantile_groups
from hte_utils.model.listing_2 import Priors, listing2_draws
from hte_utils.model.quick_posterior import quick_posterior
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial

CORES = 2
DRAWS = 1000
N_SEEDS = 60


def evaluate(seed: int, n_patients: int = 2000, draws: int = DRAWS) -> tuple[float, ...]:
    """Simulate, fit and evaluate one trial; return what a study would store."""
    trial = simulate_trial(n_patients, seed)
    design = PAPER_SPEC.design(trial)
    posterior = quick_posterior(design, priors=Priors(), draws=draws, seed=seed)
    tree = posterior.tree()
    found = effect_summaries(tree, design, group_effects=GroupEffects.INCLUDED)
    truth, effect = trial["true_te"].to_numpy(), found["log_odds_ratio"]
    quintiles = standardised_risks(tree, design, group_members(quantile_groups(found["baseline_risk"]["mean"], 5)))
    return (
        float(np.corrcoef(effect["mean"], truth)[0, 1]),
        float(np.sqrt(np.mean(np.square(effect["mean"] - truth)))),
        float(np.mean((effect["lower"] <= truth) & (truth <= effect["upper"]))),
        posterior.pareto_k,
        posterior.record.ess,
        *(quintiles["treated"] - quintiles["untreated"]).mean(("chain", "draw")).to_numpy(),
    )


def median_seconds(function: object, repeats: int, *arguments: object) -> float:
    """Median wall time of a call."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function(*arguments)  # type: ignore[operator]
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def parts(repeats: int) -> None:
    """Print where the time of one trial goes, on one core: wall and processor time."""
    trial = simulate_trial(2000, 5)
    design = PAPER_SPEC.design(trial)
    posterior = quick_posterior(design, draws=DRAWS, seed=5)
    tree, quintiles = posterior.tree(), group_members(np.arange(2000) % 5 + 1)
    steps = {
        "simulate": lambda: simulate_trial(2000, 5),
        "design": lambda: PAPER_SPEC.design(trial),
        "fit": lambda: quick_posterior(design, draws=DRAWS, seed=5),
        "CATEs of all patients": lambda: effect_summaries(tree, design, group_effects=GroupEffects.INCLUDED),
        "effects by quintile": lambda: standardised_risks(tree, design, quintiles),
        "all of it": lambda: evaluate(5),
    }
    print(f"One trial of 2000 patients, one core, milliseconds (median of {10 * repeats}): wall, processor")
    for name, step in steps.items():
        wall, processor = [], []
        for _ in range(10 * repeats):
            begun, used = time.perf_counter(), time.process_time()
            step()
            wall.append(time.perf_counter() - begun)
            processor.append(time.process_time() - used)
        print(f"  {name:24}{1e3 * statistics.median(wall):9.1f}{1e3 * statistics.median(processor):9.1f}")


def study(n_trials: int, repeats: int) -> None:
    """Print the time of many trials on all cores, worker start included."""
    walls, processors = [], []
    for _ in range(repeats):
        begun, used = time.perf_counter(), sum(os.times()[2:4])
        with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
            rows = np.array(list(pool.map(evaluate, range(n_trials), chunksize=20)))
        walls.append(time.perf_counter() - begun)
        processors.append(sum(os.times()[2:4]) - used)
    print(
        f"\n{n_trials} trials of 2000 patients, {DRAWS} effective draws, full evaluation, {CORES} processes: wall "
        f"{', '.join(f'{wall:.1f}' for wall in walls)} s; processor time {', '.join(f'{p:.1f}' for p in processors)} s "
        f"({1e3 * statistics.median(processors) / n_trials:.0f} ms a trial)"
    )
    print(
        f"  correlation {rows[:, 0].mean():.3f}, RMSE {rows[:, 1].mean():.3f}, coverage {rows[:, 2].mean():.3f}; "
        f"largest k-hat {rows[:, 3].max():.2f}, smallest ESS {rows[:, 4].min():.0f}"
    )


def measured_ess() -> tuple[float, float]:
    """Smallest effective number of draws over the scalars of Listing 2, by repetition; and seconds per fit."""
    design = PAPER_SPEC.design(simulate_trial())
    means, variances, seconds = [], [], []
    for seed in range(N_SEEDS):
        begun = time.perf_counter()
        posterior = quick_posterior(design, draws=DRAWS, seed=seed)
        seconds.append(time.perf_counter() - begun)
        scalars = listing2_draws(posterior.tree()).to_dataarray("parameter").to_numpy()[:, 0]
        means.append(scalars.mean(axis=1))
        variances.append(scalars.var(axis=1, ddof=1))
    effective = np.mean(variances, axis=0) / np.var(means, axis=0, ddof=1)
    return float(effective.min()), statistics.median(seconds)


def beside_jags(repeats: int) -> None:
    """Print seconds per effective draw of JAGS with glm and of the quick posterior, in turn."""
    from posterior import IN_R, run_r

    print(f"\n{'run':4}{'engine':18}{'min ESS':>9}{'seconds':>10}{'ESS/s':>12}   (2 cores for JAGS, 1 for quick)")
    rates: dict[str, list[float]] = {"jags-glm": [], "quick": []}
    seconds: list[float] = []
    for run in range(repeats):
        _, jags = run_r(IN_R["jags-glm"])
        quick_ess, quick_seconds = measured_ess()
        seconds.append(quick_seconds)
        for name, ess, took in (("jags-glm", jags.ess, jags.seconds), ("quick", quick_ess, quick_seconds)):
            rates[name].append(ess / took)
            print(f"{run + 1:<4}{name:18}{ess:9.0f}{took:10.3f}{ess / took:12.1f}", flush=True)
    base = statistics.median(rates["jags-glm"])
    ratio, plain = statistics.median(rates["quick"]) / base, DRAWS / statistics.median(seconds) / base
    print(f"effective draws a second, quick on 1 core against JAGS on {CORES}: {ratio:.0f} times")
    print(f"  both on {CORES} cores (quick: fits side by side): {CORES * ratio:.0f} times")
    print(f"  the same, if a fit counts as the {DRAWS} draws asked for: {plain:.0f} and {CORES * plain:.0f} times")


def curves(repeats: int) -> None:
    """Print time by patients, by draws and by trials, with the slope in logarithms."""
    sizes = (500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000)
    by_size = {}
    for n in sizes:
        evaluate(1, n)
        by_size[n] = median_seconds(evaluate, repeats, 1, n)
    growth("patients", by_size)
    by_draws = {draws: median_seconds(evaluate, repeats, 1, 2000, draws) for draws in (1000, 4000, 16_000, 64_000)}
    growth("draws", by_draws)
    by_trials = {n: median_seconds(lambda n=n: [evaluate(s) for s in range(n)], repeats) for n in (10, 30, 100)}
    growth("trials", by_trials)


def growth(what: str, seconds: dict[int, float]) -> None:
    """Print one curve."""
    x, y = np.array(list(seconds)), np.array(list(seconds.values()))
    print(f"\n{what:>9}{'seconds':>10}{'us each':>10}")
    for size, value in seconds.items():
        print(f"{size:9}{value:10.3f}{1e6 * value / size:10.1f}")
    upper = slice(len(x) // 2 - 1, None)
    slope, high = (np.polyfit(np.log(x[part]), np.log(y[part]), 1)[0] for part in (slice(None), upper))
    line = np.polyfit(x, y, 1, w=1 / y)
    print(f"  seconds = {line[1]:.3f} + {line[0]:.3g} x {what}; slope in logarithms {slope:.2f}, upper half {high:.2f}")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-jags", action="store_true")
    parser.add_argument("--no-curves", action="store_true")
    arguments = parser.parse_args()
    print(f"load average at the start: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    evaluate(1)
    parts(arguments.repeats)
    study(arguments.trials, arguments.repeats)
    if not arguments.no_jags:
        try:
            beside_jags(arguments.repeats)
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print(f"JAGS failed: {str(getattr(error, 'stderr', error))[-300:]}", file=sys.stderr)
    if not arguments.no_curves:
        curves(arguments.repeats)
    print(f"load average at the end: {', '.join(f'{load:.1f}' for load in os.getloadavg())}")


if __name__ == "__main__":
    main()
