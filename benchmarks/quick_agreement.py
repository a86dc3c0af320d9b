"""Does the quick posterior agree with exact samplers? Fifty-two trials, ordinary and awkward.

Each is fitted by `quick_posterior` (with many draws, so that Monte Carlo error does not hide a bias), by a long run of
the exact independence chain, and by NUTS. Compared are every coefficient and log scale, and the CATEs of twenty
patients on both scales: posterior means, and ends of the CATEs' 95 % intervals, in units of the posterior SD; SDs in
per cent. "z" is a difference in units of its Monte Carlo error (ESS of means, MCSE of quantiles, of both sides): with
some 55 quantities in each of 52 trials, the largest of that many z is about 3.5 to 4 where two samplers agree. Ends of
the intervals of rare and skewed risk differences have Monte Carlo errors of 0.03 SD and more in runs of this length.

    python benchmarks/quick_agreement.py [--no-nuts] > benchmarks/quick_agreement.txt
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import nutpie
import pymc as pm
from arviz_stats.base import array_stats
from scipy import special
from threadpoolctl import threadpool_limits

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests")]
from quick_trials import QuickTrial, quick_trials  # noqa: E402

from hte_utils.fit import fit  # noqa: E402
from hte_utils.fit_record import FitWarning, library_versions, record_of  # noqa: E402
from hte_utils.fit_settings import IndependenceSettings  # noqa: E402
from hte_utils.model import sums_model  # noqa: E402
from hte_utils.quick_posterior import quick_posterior  # noqa: E402
from hte_utils.spec import TrialDesign  # noqa: E402

QUICK_DRAWS = 30_000
CHAIN = IndependenceSettings(draws=10_000, chains=4, proposals_per_draw=8, seed=2)
NUTS: dict[str, Any] = {"draws": 3000, "tune": 400, "chains": 4, "cores": 2, "seed": 3, "adaptation": "low_rank"}
N_PATIENTS = 20
COLUMNS = ("mean", "SD %", "ends", "z mean", "z ends", "med mean", "med SD %")
SHARED = ("prognostic", "modifiers", "group", "outcome", "treatment")
COMPILED: dict[object, Any] = {}


@dataclass(frozen=True, slots=True)
class Summary:
    """Per quantity: mean, SD, ends of the interval, ESS, and Monte Carlo errors of the ends."""

    mean: np.ndarray
    sd: np.ndarray
    ends: np.ndarray
    ess: np.ndarray
    mcse_ends: np.ndarray


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


def by_nuts(trial: QuickTrial) -> tuple[dict[str, np.ndarray], str]:
    """Draws of NUTS on the sums form, and what went wrong."""
    design = trial.design
    key = (design.n_patients, design.coding.spec, trial.priors)
    if key not in COMPILED:
        COMPILED[key] = nutpie.compile_pymc_model(sums_model(cast("TrialDesign", SharedDesign(design)), trial.priors))
    with threadpool_limits(limits=1, user_api="blas"):
        compiled = COMPILED[key].with_data(**{f"{name}_data": getattr(design, name).copy() for name in SHARED})
        trace = nutpie.sample(compiled, progress_bar=False, **NUTS)
    draws = {str(name): values.to_numpy() for name, values in trace["posterior"].data_vars.items()}
    diverging = int(trace["sample_stats"]["diverging"].sum())
    return draws, f"{diverging} divergences" if diverging else ""


def by_chain(trial: QuickTrial) -> tuple[dict[str, np.ndarray], str]:
    """Draws of the independence chain, and its failed checks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        posterior = fit(trial.design, priors=trial.priors, settings=CHAIN)
    draws = {str(name): values.to_numpy() for name, values in posterior["posterior"].to_dataset().data_vars.items()}
    return with_sums(draws), "; ".join(str(check) for check in record_of(posterior).failures)


def with_sums(draws: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Add the group sums to the variables of Listing 2."""
    return draws | {"alpha": draws["b_intercept"][..., None] + draws["re"], "delta": draws["te_group"]}


def quantities(trial: QuickTrial, draws: dict[str, np.ndarray]) -> tuple[np.ndarray, int]:
    """Shape (quantities, chains, draws): coefficients and log scales, then CATEs; and the number of the former."""
    design = trial.design
    rows = np.linspace(0, design.n_patients - 1, N_PATIENTS).astype(int)
    base = draws["alpha"][..., design.group[rows]] + draws["b_prognostic"] @ design.prognostic[rows].T
    effect = draws["delta"][..., design.group[rows]] + draws["b_interaction"] @ design.modifiers[rows].T
    parts = [draws[name] for name in ("alpha", "delta", "b_prognostic", "b_interaction")]
    parts += [np.log(draws[name])[..., None] for name in ("tau_re", "tau_re_trt", "sd_interaction") if name in draws]
    n_parameters = sum(part.shape[-1] for part in parts)
    parts += [effect, special.expit(base + effect) - special.expit(base)]
    return np.moveaxis(np.concatenate(parts, axis=-1), -1, 0), n_parameters


def summarise(values: np.ndarray, ess: float | None) -> Summary:
    """Summarise draws; `ess` is known for independent draws, else it is estimated from the chains."""
    flat = values.reshape(len(values), -1)
    ends = np.quantile(flat, [0.025, 0.975], axis=1)
    found = array_stats.ess(values, method="mean") if ess is None else np.full(len(values), ess)
    errors = np.array([array_stats.mcse(values, method="quantile", prob=p) for p in (0.025, 0.975)])
    if ess is not None:  # equal-weight draws repeat themselves: there are more of them than they are worth
        errors *= np.sqrt(flat.shape[1] / ess)
    return Summary(flat.mean(axis=1), flat.std(axis=1, ddof=1), ends, found, errors)


def distances(quick: Summary, other: Summary, n_parameters: int) -> np.ndarray:
    """Largest differences, in the order of `COLUMNS`; interval ends are those of the CATEs."""
    mean, sd = np.abs(quick.mean - other.mean) / other.sd, 100 * np.abs(quick.sd / other.sd - 1)
    error = np.sqrt(1 / quick.ess + 1 / other.ess)
    ends = np.abs(quick.ends - other.ends)[:, n_parameters:]
    z_ends = (ends / np.hypot(quick.mcse_ends, other.mcse_ends)[:, n_parameters:]).max()
    in_sds = (ends / other.sd[n_parameters:]).max()
    return np.array([mean.max(), sd.max(), in_sds, (mean / error).max(), z_ends, np.median(mean), np.median(sd)])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-nuts", action="store_true")
    references = {"chain": by_chain} if parser.parse_args().no_nuts else {"chain": by_chain, "nuts": by_nuts}
    print(f"quick: {QUICK_DRAWS} effective draws; {CHAIN}; NUTS: {NUTS}\n{library_versions()}")
    print("Largest differences over all quantities of a trial (and medians):")
    print(f"{'trial':40}{'events':>7}{'k-hat':>7}{'engine':>11}  vs   " + "".join(f"{name:>9}" for name in COLUMNS))
    found: dict[str, list[np.ndarray]] = {name: [] for name in references}
    for trial in quick_trials():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            quick = quick_posterior(trial.design, priors=trial.priors, draws=QUICK_DRAWS, seed=1)
        values, n_parameters = quantities(trial, with_sums({name: v[None] for name, v in quick.draws.items()}))
        ours, events = summarise(values, float(quick.record.ess)), int(trial.design.outcome.sum())
        head = f"{trial.name:40}{events:7}{quick.record.pareto_k:7.2f}{quick.record.engine:>11}"
        for name, reference in references.items():
            draws, problem = reference(trial)
            found[name].append(distances(ours, summarise(quantities(trial, draws)[0], None), n_parameters))
            numbers = "".join(f"{number:9.3f}" for number in found[name][-1])
            note = (f"  [{problem}]" if problem else "") + "".join(f"  [{w.message}]" for w in caught)
            print(f"{head}  {name:5}{numbers}{note}", flush=True)
    for name, rows in found.items():
        table = np.array(rows)
        print(f"\n{name}: {len(table)} trials; largest of each column, and its median over trials")
        print(f"{'':72}" + "".join(f"{number:9.3f}" for number in table.max(axis=0)))
        print(f"{'':72}" + "".join(f"{number:9.3f}" for number in np.median(table, axis=0)))
        for limit, column, what in ((0.03, 0, "means"), (3.0, 1, "SDs"), (0.03, 2, "interval ends")):
            print(f"  {what} within {limit:g}: {int((table[:, column] <= limit).sum())} of {len(table)} trials")


if __name__ == "__main__":
    main()
