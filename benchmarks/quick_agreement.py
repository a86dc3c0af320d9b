"""Does the quick posterior agree with exact samplers? Fifty-two trials, ordinary and awkward.

Each is fitted by `quick_posterior`, by a long run of the exact independence chain, and the first of each kind by NUTS
as well (NUTS on all of them would take half an hour). Four sorts of quantity are compared apart:

- coefficients: group intercepts and effects, fixed effects, log precisions (and the interactions' log SD);
- averages over twenty patients: log odds ratio, risk difference, risk without treatment, risk differences by group;
- log OR, RD: each of these patients' CATE, as log odds ratio and as risk difference.

For each trial and sort the largest differences are printed: of posterior means and of the ends of 95 % intervals in
posterior SDs, of posterior SDs in per cent; the limits are 0.03, 3 % and 0.03. "z" is the largest of all these in units
of their Monte Carlo errors (of both sides): SD / √ESS for means, √((κ - 1) / (4 ESS)) for a relative SD, κ being the
kurtosis, and order statistics for quantiles. κ is 3 for a normal law, but hundreds for the risk difference of a patient
whose risk is nearly nothing: there even runs of this length cannot tell 3 %. So a limit that is missed counts as "in
doubt" as long as the difference is within 3 Monte Carlo errors of the limit, and as "failed" beyond. The ESS of the
quick posterior is that of its weights, which undersells its quasi-random points; hence its z are somewhat too small
rather than too large.

Not seen by these numbers: where no treated patient of a group had the event, its effect has a tail like that of a
Student t with 4 degrees of freedom (no finite kurtosis), of which both the quick posterior and the independence chain
miss the far end; NUTS does not. "200 patients with 5 events, 7" is such a trial: the SD of that effect comes out too
small by some per cent.

    python benchmarks/quick_agreement.py [--no-nuts] > benchmarks/quick_agreement.txt
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import nutpie
import pymc as pm
from arviz_stats.base import array_stats
from scipy import special, stats
from threadpoolctl import threadpool_limits

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
from quick_trials import QuickTrial, quick_trials  # noqa: E402

from hte_utils.model.fit import (  # noqa: E402
    FitWarning,
    IndependenceSettings,
    fit,
    library_versions,
    record_of,
)
from hte_utils.model.listing_2 import sums_model  # noqa: E402
from hte_utils.model.quick_posterior import QuickPosterior, quick_posterior  # noqa: E402
from hte_utils.model.spec import TrialDesign  # noqa: E402

QUICK_DRAWS = 200_000
CHAIN = IndependenceSettings(draws=50_000, chains=4, proposals_per_draw=4, seed=2)
NUTS: dict[str, Any] = {"draws": 10_000, "tune": 500, "chains": 4, "cores": 1, "seed": 3, "adaptation": "low_rank"}
N_PATIENTS = 20
TAILS = np.array([0.025, 0.975])
# Autocorrelation is estimated from the beginning of each chain: it does not take two hundred thousand draws.
FOR_ESS = 5_000
SORTS = ("coefficients", "averages", "log OR", "RD")
LIMIT = 0.03  # of posterior SDs, or relative
WHAT = ("means", "SDs", "interval ends")
IN_DOUBT = 3.0
SHARED = ("prognostic", "modifiers", "group", "outcome", "treatment")
COMPILED: dict[object, Any] = {}


@dataclass(frozen=True, slots=True)
class Draws:
    """Variables of the sums form by name, shape (chains, draws, ...); `ess` if known (independent draws)."""

    values: dict[str, np.ndarray]
    ess: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """Of each quantity: mean, SD, kurtosis, ends (2, quantities), MCSE of the ends; ESS of mean and of square."""

    mean: np.ndarray
    sd: np.ndarray
    kurtosis: np.ndarray
    ends: np.ndarray
    mcse_ends: np.ndarray
    ess_mean: np.ndarray
    ess_square: np.ndarray


@dataclass(frozen=True, slots=True)
class Differences:
    """Absolute differences, and their Monte Carlo errors, in SDs or relative.

    Both have shape (4, quantities): of means, SDs, lower and upper ends.
    """

    size: np.ndarray
    error: np.ndarray
    sorts: np.ndarray

    @property
    def z(self) -> np.ndarray:
        """Differences in units of their errors."""
        return self.size / self.error

    def largest(self, sort: str) -> np.ndarray:
        """Largest difference of means, SDs and ends."""
        means, sds, *ends = self.size[:, self.sorts == sort]
        return np.array([means.max(), sds.max(), np.max(ends)])

    def grades(self, sort: str) -> np.ndarray:
        """For means, SDs and ends: 0 if each quantity is within the limit, 1 in doubt, 2 failed."""
        excess = (self.size - LIMIT)[:, self.sorts == sort]
        beyond_error = excess > IN_DOUBT * self.error[:, self.sorts == sort]
        means, sds, *ends = (excess > 0.0).astype(int) + beyond_error
        return np.array([means.max(), sds.max(), np.max(ends)])


class SharedDesign:
    """A trial whose arrays become data of the model being built, so that each shape is compiled once."""

    def __init__(self, design: TrialDesign) -> None:
        self._design = design

    def __getattr__(self, name: str) -> Any:
        """Give the attribute, as `pymc.Data` of the model in whose context this happens."""
        values = getattr(self._design, name)
        if name not in SHARED:
            return values
        model, label = pm.modelcontext(None), f"{name}_data"
        return model[label] if label in model.named_vars else pm.Data(label, values)


def by_nuts(trial: QuickTrial) -> Draws:
    """Sample by NUTS in the sums form."""
    design = trial.design
    key = (design.n_patients, design.coding.spec, trial.priors)
    if key not in COMPILED:
        COMPILED[key] = nutpie.compile_pymc_model(sums_model(cast("TrialDesign", SharedDesign(design)), trial.priors))
    compiled = COMPILED[key].with_data(**{f"{name}_data": getattr(design, name).copy() for name in SHARED})
    trace = nutpie.sample(compiled, progress_bar=False, **NUTS)
    draws = {str(name): values.to_numpy() for name, values in trace["posterior"].data_vars.items()}
    diverging = int(trace["sample_stats"]["diverging"].sum())
    return Draws(draws, problem=f"{diverging} divergences" if diverging else "")


def by_chain(trial: QuickTrial) -> Draws:
    """Sample by the independence chain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        posterior = fit(trial.design, priors=trial.priors, settings=CHAIN, cores=1)
    draws = {str(name): values.to_numpy() for name, values in posterior["posterior"].to_dataset().data_vars.items()}
    return Draws(with_sums(draws), problem="; ".join(str(check) for check in record_of(posterior).failures))


def by_quick(trial: QuickTrial) -> tuple[QuickPosterior, Draws]:
    """Sample by the engine that is judged: its equal-weight draws, as every summary uses them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        quick = quick_posterior(trial.design, priors=trial.priors, draws=QUICK_DRAWS, seed=1)
    draws = with_sums({name: values[None] for name, values in quick.draws.items()})
    return quick, Draws(draws, quick.record.ess, "; ".join(str(w.message) for w in caught))


def with_sums(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the group sums to the variables of Listing 2."""
    return draws | {"alpha": draws["b_intercept"][..., None] + draws["re"], "delta": draws["te_group"]}


def quantities(trial: QuickTrial, draws: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return values, shape (quantities, chains, draws), and what sort each quantity is of."""
    design = trial.design
    rows = np.linspace(0, design.n_patients - 1, N_PATIENTS).astype(int)
    group = design.group[rows]
    base = draws["alpha"][..., group] + draws["b_prognostic"] @ design.prognostic[rows].T
    log_ratio = draws["delta"][..., group] + draws["b_interaction"] @ design.modifiers[rows].T
    untreated = special.expit(base)
    risk_difference = special.expit(base + log_ratio) - untreated
    coefficients = [draws[name] for name in ("alpha", "delta", "b_prognostic", "b_interaction")]
    coefficients += [
        np.log(draws[name])[..., None] for name in ("tau_re", "tau_re_trt", "sd_interaction") if name in draws
    ]
    averages = [values.mean(axis=-1, keepdims=True) for values in (log_ratio, risk_difference, untreated)]
    averages += [risk_difference[..., group == g].mean(axis=-1, keepdims=True) for g in np.unique(group)]
    parts = [np.concatenate(some, axis=-1) for some in (coefficients, averages)] + [log_ratio, risk_difference]
    sorts = np.repeat(SORTS, [part.shape[-1] for part in parts])
    return np.ascontiguousarray(np.moveaxis(np.concatenate(parts, axis=-1), -1, 0)), sorts


def summarise(values: np.ndarray, known_ess: float | None) -> Summary:
    """Summarise draws, shape (quantities, chains, draws)."""
    flat = np.sort(values.reshape(len(values), -1), axis=1)
    mean = flat.mean(axis=1)
    squares = np.square(values[:, :, :FOR_ESS] - mean[:, None, None])

    def ess_of(some: np.ndarray) -> np.ndarray:
        if known_ess is not None:
            return np.full(len(values), known_ess)
        share: np.ndarray = array_stats.ess(some, method="mean") / some[0].size
        return share * flat.shape[1]

    first = values[:, :, :FOR_ESS]
    ends = np.quantile(flat, TAILS, axis=1)
    tail_ess = np.array([ess_of((first <= end[:, None, None]).astype(float)) for end in ends])
    shift = np.sqrt(TAILS * (1.0 - TAILS))[:, None] / np.sqrt(tail_ess)
    # Half the distance between the order statistics that stand one standard error to the left and to the right.
    places = np.clip(TAILS[:, None, None] + np.array([-1.0, 1.0]) * shift[..., None], 0.0, 1.0) * (flat.shape[1] - 1)
    around = np.take_along_axis(flat[None], places.round().astype(int), axis=2)
    centred = flat - mean[:, None]
    sd = np.sqrt(np.einsum("ij,ij->i", centred, centred) / (flat.shape[1] - 1))
    np.square(centred, out=centred)
    kurtosis = np.einsum("ij,ij->i", centred, centred) / flat.shape[1] / sd**4
    return Summary(mean, sd, kurtosis, ends, np.diff(around, axis=2)[..., 0] / 2.0, ess_of(first), ess_of(squares))


def compare(quick: Summary, other: Summary, sorts: np.ndarray) -> Differences:
    """Lay two summaries side by side."""
    # The larger of the two: a run that has missed a rare large value underestimates it.
    kurtosis = np.maximum(quick.kurtosis, other.kurtosis)
    size = [np.abs(quick.mean - other.mean) / other.sd, np.abs(quick.sd / other.sd - 1.0)]
    error = [
        np.sqrt(1.0 / quick.ess_mean + 1.0 / other.ess_mean),
        np.sqrt((kurtosis - 1.0) / 4.0 * (1.0 / quick.ess_square + 1.0 / other.ess_square)),
    ]
    ends = np.abs(quick.ends - other.ends) / other.sd
    return Differences(
        np.array([*size, *ends]), np.array([*error, *(np.hypot(quick.mcse_ends, other.mcse_ends) / other.sd)]), sorts
    )


def report(name: str, found: list[Differences]) -> None:
    """Print how many trials pass, and whether differences are as large as Monte Carlo errors make them."""
    z = np.concatenate([one.z.ravel() for one in found])
    print(f"\n{name}: {len(found)} trials. Trials with all differences within the limit / some in doubt / some failed:")
    for sort in SORTS:
        grades = np.array([one.grades(sort) for one in found])
        counts = ["/".join(str(int((grades[:, place] == grade).sum())) for grade in range(3)) for place in range(3)]
        of_sort = np.concatenate([one.z[:, one.sorts == sort].ravel() for one in found])
        cells = "".join(f"{what} {count:10}" for what, count in zip(WHAT, counts, strict=True))
        beyond = 100.0 * (of_sort > 1.96).mean()
        print(f"  {sort:14}{cells} |z| > 1.96: {beyond:.1f} %, largest {of_sort.max():.2f} of {of_sort.size}")
    allowed = stats.norm.isf(0.005 / z.size)
    print(
        f"  largest |z| of {z.size}, Bonferroni limit of a family-wise error of 1 %: {allowed:.2f}; found {z.max():.2f}"
    )


def line(trial: QuickTrial, quick: QuickPosterior, name: str, differences: Differences, notes: list[str]) -> str:
    """Write one row of the table."""
    cells = ""
    for sort in SORTS:
        mean, sd, ends = differences.largest(sort)
        z = differences.z[:, differences.sorts == sort].max()
        cells += f" | {mean:6.3f}{100 * sd:7.2f}{ends:6.3f}{z:6.2f}"
    if quick.by_nuts:
        notes = [f"quick by {quick.record.sampler}", *notes]
    events = int(trial.design.outcome.sum())
    head = f"{trial.name:34}{events:6}{quick.pareto_k:6.2f}  {name:5}"
    return head + cells + "".join(f"  [{note}]" for note in notes if note)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-nuts", action="store_true")
    with_nuts = not parser.parse_args().no_nuts
    started, found = time.perf_counter(), dict[str, list[Differences]]()
    print(f"quick: {QUICK_DRAWS} effective draws; {CHAIN}; NUTS: {NUTS}\n{library_versions()}")
    print("Largest differences: means (SDs), SDs (%), interval ends (SDs), and the largest z of the three")
    print(" " * 53 + "".join(f" | {sort:^25}" for sort in SORTS))
    columns = f" | {'mean':>6}{'SD %':>7}{'ends':>6}{'z':>6}" * len(SORTS)
    print(f"{'trial':34}{'events':>6}{'k-hat':>6}  vs   " + columns)
    for trial in quick_trials():
        references = {"chain": by_chain} | ({"NUTS": by_nuts} if with_nuts and trial.name.endswith(", 0") else {})
        with threadpool_limits(limits=1, user_api="blas"):
            quick, draws = by_quick(trial)
            values, sorts = quantities(trial, draws.values)
            ours = summarise(values, draws.ess)
            for name, reference in references.items():
                theirs = reference(trial)
                differences = compare(ours, summarise(quantities(trial, theirs.values)[0], theirs.ess), sorts)
                found.setdefault(name, []).append(differences)
                print(line(trial, quick, name, differences, [theirs.problem, draws.problem]), flush=True)
    for name, rows in found.items():
        report(name, rows)
    print(f"\n{time.perf_counter() - started:.0f} s on one core")


if __name__ == "__main__":
    main()
