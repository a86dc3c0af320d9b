"""Does the quick posterior agree with exact samplers? Fifty-two trials, ordinary and awkward.

Each is fitted by `quick_posterior` (with many draws, so that Monte Carlo error does not hide a bias), by a long run of
the exact independence chain, and by NUTS. Compared are every coefficient, log precision and log scale, and the CATEs of
twenty patients on both scales: posterior means and ends of 95 % intervals in units of the posterior SD, SDs in per
cent. "z" is a difference in units of its Monte Carlo error, from the ESS of both; with some 45 quantities in each of 52
trials, the largest of that many z is about 3.5 where two samplers agree.

    python benchmarks/quick_agreement.py [--no-nuts] > benchmarks/quick_agreement.txt
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from arviz_stats.base import array_stats
from scipy import special

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
from quick_trials import QuickTrial, quick_trials  # noqa: E402

from hte_utils.fit import fit  # noqa: E402
from hte_utils.fit_record import library_versions, record_of  # noqa: E402
from hte_utils.fit_settings import IndependenceSettings, NutsSettings, Settings  # noqa: E402
from hte_utils.quick_posterior import quick_posterior  # noqa: E402

QUICK_DRAWS = 30_000
CHAIN = IndependenceSettings(draws=15_000, chains=4, proposals_per_draw=6, seed=2)
NUTS = NutsSettings(draws=2000, chains=4, tune=400, seed=3)
N_PATIENTS = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """Per quantity: mean, SD, ends of the interval, ESS."""

    mean: np.ndarray
    sd: np.ndarray
    ends: np.ndarray
    ess: np.ndarray


def quantities(trial: QuickTrial, draws: dict[str, np.ndarray]) -> np.ndarray:
    """Shape (quantities, chains, draws)."""
    design = trial.design
    rows = np.linspace(0, design.n_patients - 1, N_PATIENTS).astype(int)
    base = draws["b_intercept"][..., None] + draws["re"][..., design.group[rows]]
    base = base + draws["b_prognostic"] @ design.prognostic[rows].T
    effect = draws["te_group"][..., design.group[rows]] + draws["b_interaction"] @ design.modifiers[rows].T
    scales = [np.log(draws[name])[..., None] for name in ("tau_re", "tau_re_trt", "sd_interaction") if name in draws]
    sums = draws["b_intercept"][..., None] + draws["re"]
    parts = [sums, draws["te_group"], draws["b_prognostic"], draws["b_interaction"], *scales, effect]
    parts.append(special.expit(base + effect) - special.expit(base))
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 0)


def summarise(values: np.ndarray, ess: float | None) -> Summary:
    """Summarise draws; `ess` is known for independent draws, else it is estimated from the chains."""
    flat = values.reshape(len(values), -1)
    ends = np.quantile(flat, [0.025, 0.975], axis=1)
    found = array_stats.ess(values, method="mean") if ess is None else np.full(len(values), ess)
    return Summary(flat.mean(axis=1), flat.std(axis=1, ddof=1), ends, found)


def by_fit(trial: QuickTrial, settings: Settings) -> tuple[Summary, str]:
    """Fit by an exact sampler; return its failed checks as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        posterior = fit(trial.design, priors=trial.priors, settings=settings, progress=False)
    failed = "; ".join(str(check) for check in record_of(posterior).failures)
    draws = {str(name): values.to_numpy() for name, values in posterior["posterior"].to_dataset().data_vars.items()}
    return summarise(quantities(trial, draws), None), failed


def distances(quick: Summary, other: Summary) -> np.ndarray:
    """Largest differences: means and ends in SDs, SDs in per cent; then the largest z of means and of ends."""
    mean = np.abs(quick.mean - other.mean) / other.sd
    ends = np.abs(quick.ends - other.ends) / other.sd
    error = np.sqrt(1 / quick.ess + 1 / other.ess)
    z_mean = mean / error
    # The end of a 95 % interval has the error sqrt(p (1-p) / n) / density: 2.67 SD / sqrt(n) for a normal.
    z_ends = ends / (2.67 * error)
    sd = 100 * np.abs(quick.sd / other.sd - 1)
    return np.array([mean.max(), sd.max(), ends.max(), z_mean.max(), z_ends.max(), np.median(mean), np.median(sd)])


COLUMNS = ("mean", "SD %", "ends", "z mean", "z ends", "med mean", "med SD %")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-nuts", action="store_true")
    references: dict[str, Settings] = (
        {"chain": CHAIN} if parser.parse_args().no_nuts else {"chain": CHAIN, "nuts": NUTS}
    )
    print(f"quick: {QUICK_DRAWS} effective draws; {CHAIN}; {NUTS}\n{library_versions()}")
    print("Largest differences over all quantities of a trial (and medians):")
    print(f"{'trial':40}{'events':>7}{'k-hat':>7}{'engine':>11}  vs   " + "".join(f"{name:>9}" for name in COLUMNS))
    found: dict[str, list[np.ndarray]] = {name: [] for name in references}
    for trial in quick_trials():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            quick = quick_posterior(trial.design, priors=trial.priors, draws=QUICK_DRAWS, seed=1)
        draws = {name: values[None] for name, values in quick.draws.items()}
        ours = summarise(quantities(trial, draws), float(quick.record.ess))
        head = (
            f"{trial.name:40}{int(trial.design.outcome.sum()):7}{quick.record.pareto_k:7.2f}{quick.record.engine:>11}"
        )
        for name, settings in references.items():
            other, failed = by_fit(trial, settings)
            found[name].append(distances(ours, other))
            numbers = "".join(f"{number:9.3f}" for number in found[name][-1])
            note = "".join(f"  [{name}: {failed}]" if failed else "") + "".join(f"  [{w.message}]" for w in caught)
            print(f"{head}  {name:5}{numbers}{note}", flush=True)
    for name, rows in found.items():
        table = np.array(rows)
        print(f"\n{name}: {len(table)} trials; largest of each column, and its median over trials")
        print(f"{'':67}" + "".join(f"{number:9.3f}" for number in table.max(axis=0)))
        print(f"{'':67}" + "".join(f"{number:9.3f}" for number in np.median(table, axis=0)))
        for limit, column, what in ((0.03, 0, "means"), (3.0, 1, "SDs"), (0.03, 2, "interval ends")):
            print(f"  {what} within {limit:g}: {int((table[:, column] <= limit).sum())} of {len(table)} trials")


if __name__ == "__main__":
    main()
