"""Fit the paper's model: trial in, posterior out, with a record of how it was made and which checks it passed.

Two samplers give the same posterior (the tests say so, with JAGS as the third witness): exact chains made for this
model (`hte_utils.model.sampler`; no compilation), and NUTS (nutpie) on either PyMC form, slower, but at home with any
number of groups and with the field's own diagnostics. The checks' limits are those of Vehtari et al. 2021
(rank-normalised R-hat, bulk and tail ESS), Betancourt 2016 (E-BFMI), Vehtari et al. 2024 (Pareto k), and posteriordb.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache, partial
from importlib import metadata
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from hte_utils.model import listing_2
from hte_utils.model.checks import FloatArray, require_probability
from hte_utils.model.density import HierarchicalDensity, SumsDensity
from hte_utils.model.listing_2 import Priors, listing2_draws, posterior_tree, split_sums, sums_of
from hte_utils.model.sampler import LARGEST_PARETO_K, metropolis_chain, pareto_k, proposal_for_chains
from hte_utils.model.spec import TrialDesign
from hte_utils.model.threads import one_blas_thread


class Form(StrEnum):
    """In which coordinates NUTS samples, `listing_2.sums_model` or `listing_model`; the posterior is the same."""

    SUMS = "sums"
    LISTING = "listing"


@dataclass(frozen=True, slots=True)
class IndependenceSettings:
    """Settings of the independence chain; the same seed gives the same draws, on any number of cores.

    `draws` are those kept of each chain; `proposals_per_draw` Metropolis-Hastings steps lie between two of them.
    """

    draws: int = 1000
    chains: int = 4
    proposals_per_draw: int = 5
    seed: int = 123

    def __post_init__(self) -> None:
        _require_whole(self, draws=4, chains=2, proposals_per_draw=1, seed=0)


@dataclass(frozen=True, slots=True)
class NutsSettings:
    """Settings of NUTS; `tune` warm-up draws a chain adapt step size and (low-rank) mass matrix, and are dropped."""

    draws: int = 1000
    chains: int = 4
    tune: int = 300
    target_accept: float = 0.8
    form: Form = Form.SUMS
    seed: int = 123

    def __post_init__(self) -> None:
        _require_whole(self, draws=4, chains=2, tune=50, seed=0)
        require_probability("target_accept", self.target_accept)
        object.__setattr__(self, "form", Form(self.form))


Settings = IndependenceSettings | NutsSettings


def _require_whole(settings: Settings, **least: int) -> None:
    for name, smallest in least.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise ValueError(f"{name} must be a whole number of at least {smallest}, not {value!r}")


_STATISTICS: Any = array_stats  # ArviZ has no type hints
_ATTRIBUTE = "fit_record"
_VERSIONED = ("numpy", "scipy", "xarray", "arviz-stats", "pymc", "pytensor", "numba", "nutpie")


class FitWarning(UserWarning):
    """A posterior failed a check of its fit: do not report it as it is."""


@dataclass(frozen=True, slots=True)
class FitCheck:
    """One check: the worst `value` found, at which `parameter` ("" if none), and whether it obeys `rule`."""

    name: str
    value: float
    parameter: str
    rule: str
    passed: bool

    def __str__(self) -> str:
        where = f" ({self.parameter})" if self.parameter else ""
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.name} {self.value:.4g}{where}, must be {self.rule}: {verdict}"


@dataclass(frozen=True, slots=True)
class FitRecord:
    """How a posterior was made; it travels inside the posterior, as JSON in its attributes.

    `sampler` is "independence", "nuts" or "importance" (`quick_posterior`), `seconds` wall time from the design to the
    draws, compilation included and checks not. `ess` is the smallest bulk ESS of any scalar of Listing 2, or of
    importance sampling 1 / sum(weights²), which undersells quasi-random proposals.
    """

    sampler: str
    settings: dict[str, Any]
    priors: dict[str, float | None]
    versions: dict[str, str]
    seconds: float
    cores: int
    checks: tuple[FitCheck, ...]
    ess: float

    @property
    def failures(self) -> tuple[FitCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def passed(self) -> bool:
        """Whether every check was passed."""
        return not self.failures

    def attach(self, posterior: xr.DataTree) -> None:
        """Write the record into the posterior's attributes."""
        posterior.attrs[_ATTRIBUTE] = json.dumps(asdict(self))


def record_of(posterior: xr.DataTree) -> FitRecord:
    """Read the record of a posterior that `fit` made."""
    content = json.loads(posterior.attrs[_ATTRIBUTE])
    content["checks"] = tuple(FitCheck(**check) for check in content["checks"])
    return FitRecord(**content)


def library_versions(*more: str) -> dict[str, str]:
    """Versions of Python, of the libraries that a posterior depends on, and of those named."""
    return {"python": platform.python_version()} | {name: _version(name) for name in (*_VERSIONED, *more)}


_version = cache(metadata.version)  # reads a file; a study asks thousands of times


def run_checks(posterior: xr.DataTree) -> tuple[FitCheck, ...]:
    """Check the chains of every scalar of Listing 2, and what the sampler says about itself.

    R-hat, bulk ESS, tail ESS and MCSE of the mean for any sampler; divergences and E-BFMI for NUTS; the Pareto k of the
    importance weights for the independence chain.
    """
    scalars, stats = listing2_draws(posterior), posterior["sample_stats"]
    names = [str(name) for name in scalars.data_vars]
    # (parameter, chain, draw): one call for all of them
    draws = scalars.to_dataarray("parameter").transpose("parameter", "chain", "draw").to_numpy()
    enough = 100 * draws.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):  # chains that never move have SD 0: NaN, which fails below
        tail = _STATISTICS.ess(draws, method="tail", prob=(0.05, 0.95))
        mcse = _STATISTICS.mcse(draws, method="mean") / draws.std(axis=(1, 2), ddof=1)
        checks = [
            _worst("R-hat", _STATISTICS.rhat(draws), names, below=1.01),
            _worst("bulk ESS", _STATISTICS.ess(draws, method="bulk"), names, at_least=enough),
            _worst("tail ESS", tail, names, at_least=enough),
            _worst("MCSE of the mean / SD", mcse, names, below=0.05),
        ]
    if "diverging" in stats:
        checks.append(_worst("divergences", np.array([int(stats["diverging"].sum())]), [""], below=1))
    if "energy" in stats:
        bfmi = _STATISTICS.bfmi(stats["energy"].transpose("chain", "draw").to_numpy())
        checks.append(_worst("E-BFMI", bfmi, [f"chain {chain}" for chain in range(bfmi.size)], at_least=0.3))
    if "pareto_k" in stats.attrs:
        checks.append(_worst("Pareto k", np.array([stats.attrs["pareto_k"]]), [""], below=LARGEST_PARETO_K))
    return tuple(checks)


def _worst(
    name: str, values: FloatArray, names: list[str], *, below: float | None = None, at_least: float | None = None
) -> FitCheck:
    # NaN (a chain that never moved) counts as the worst of all: it is what argmax and argmin return first.
    place = int(np.argmax(values) if at_least is None else np.argmin(values))
    value = float(values[place])
    if at_least is None:
        return FitCheck(name, value, names[place], f"below {below:g}", below is not None and value < below)
    return FitCheck(name, value, names[place], f"at least {at_least:g}", value >= at_least)


def fit(
    design: TrialDesign,
    *,
    priors: Priors | None = None,
    settings: Settings | None = None,
    cores: int | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """Draw from the posterior of Listing 2.

    `priors` are those of Listing 2, `settings` are `IndependenceSettings()` if None. `cores` are the chains that run at
    the same time (all processors if None), on which the draws do not depend. NUTS shows its `progress`; if that is
    None, only when a person watches (a terminal, or a notebook in Jupyter).

    Returns
    -------
    xarray.DataTree
        Group `posterior`, dims (chain, draw): ``b_intercept``, ``b_trt``, ``b_prognostic`` (prognostic),
        ``b_interaction`` (modifier), ``re``, ``re_trt``, ``te_group`` (group), all on the log-odds scale (positive =
        more events, which is harm in the paper's trial), ``tau_re``, ``tau_re_trt`` (their inverse square), and
        ``sd_interaction`` if `Priors.interaction_scale` is set. Group `sample_stats`: what the sampler says about
        itself. `record_of` reads the fit's record; a failed check is also a `FitWarning`.

    Examples
    --------
    >>> import hte_utils as hte
    >>> posterior = hte.fit(hte.PAPER_SPEC.design(hte.simulate_trial(500, seed=1)))
    >>> bool(posterior["posterior"]["b_trt"].std() > 0)
    True
    """
    if not isinstance(design, TrialDesign):
        raise TypeError(f"fit needs a TrialDesign, not {type(design).__name__}: call spec.design(trial) first")
    priors, settings = priors or Priors(), settings or IndependenceSettings()
    cores = min(cores or available_cores(), settings.chains)
    started = time.perf_counter()
    if isinstance(settings, IndependenceSettings):
        posterior = _independence(design, priors, settings, cores)
    else:
        posterior = _nuts(design, priors, settings, cores, _somebody_watches() if progress is None else progress)
    record_fit(posterior, settings, priors, time.perf_counter() - started, cores)
    return posterior


def record_fit(posterior: xr.DataTree, settings: Settings, priors: Priors, seconds: float, cores: int) -> None:
    """Check a posterior, attach the record of its fit, and warn if a check failed."""
    checks = run_checks(posterior)
    record = FitRecord(
        sampler=type(settings).__name__.removesuffix("Settings").lower(),
        settings=asdict(settings),
        priors=asdict(priors),
        versions=library_versions(),
        seconds=seconds,
        cores=cores,
        checks=checks,
        ess=next(check.value for check in checks if check.name == "bulk ESS"),
    )
    record.attach(posterior)
    warn_if_failed(record, stacklevel=4)


def warn_if_failed(record: FitRecord, stacklevel: int = 3) -> None:
    """Issue a `FitWarning` that lists the checks a fit failed, if there are any."""
    if not record.passed:
        failures = "; ".join(str(check) for check in record.failures)
        remedy = "draws or tune" if record.sampler == "nuts" else "draws or proposals_per_draw, or NutsSettings"
        message = f"this posterior must not be reported: {failures}. Take more {remedy}"
        warnings.warn(message, FitWarning, stacklevel=stacklevel)


def _independence(design: TrialDesign, priors: Priors, settings: IndependenceSettings, cores: int) -> xr.DataTree:
    density = SumsDensity.of(design, priors)
    points, stats, rng = independence_chains(density, settings, cores)
    return posterior_tree(split_sums(sums_of(points, density.at), priors, rng), stats, design)


def independence_chains(
    density: HierarchicalDensity, settings: IndependenceSettings, cores: int
) -> tuple[FloatArray, xr.Dataset, np.random.Generator]:
    """Run the chains: points (chain, draw, coordinate), what the sampler says, and numbers to take sums apart with."""
    pilot, split, *seeds = np.random.SeedSequence(settings.seed).spawn(settings.chains + 2)
    # Many small products: a second BLAS thread a chain costs more than it brings, and could change the last bit.
    with one_blas_thread(), ThreadPoolExecutor(cores) as pool:
        proposal = proposal_for_chains(density, pilot)
        run = partial(metropolis_chain, density, proposal, settings.draws, settings.proposals_per_draw)
        chains = list(pool.map(run, seeds))
    stats = xr.Dataset(
        {"acceptance_rate": (("chain", "draw"), np.stack([chain.acceptance for chain in chains]))},
        attrs={"pareto_k": pareto_k(np.stack([chain.log_weights for chain in chains]))},
    )
    return np.stack([chain.points for chain in chains]), stats, np.random.default_rng(split)


def _nuts(design: TrialDesign, priors: Priors, settings: NutsSettings, cores: int, progress: bool) -> xr.DataTree:
    build = listing_2.sums_model if settings.form == Form.SUMS else listing_2.listing_model
    draws, stats, rng = nuts_chains(build(design, priors), settings, cores, progress)
    return posterior_tree(split_sums(draws, priors, rng) if settings.form == Form.SUMS else draws, stats, design)


def nuts_chains(
    model: Any, settings: NutsSettings, cores: int, progress: bool
) -> tuple[dict[str, FloatArray], xr.Dataset, np.random.Generator]:
    """Run nutpie on a PyMC model: draws by name, what the sampler says, and numbers to take sums apart with."""
    import nutpie  # half of the start-up time of a process that only needs the other sampler

    nuts_seed, split_seed = np.random.SeedSequence(settings.seed).spawn(2)
    # One BLAS thread a chain: the products are small, and the chains already fill the cores.
    with one_blas_thread():
        trace = nutpie.sample(
            nutpie.compile_pymc_model(model),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=cores,
            seed=int(nuts_seed.generate_state(1)[0]),
            target_accept=settings.target_accept,
            adaptation="low_rank",
            save_warmup=False,
            progress_bar=progress,
        )
    draws = {str(name): variable.to_numpy() for name, variable in trace["posterior"].data_vars.items()}
    draws.pop("standard_interaction", None)
    stats = trace["sample_stats"].to_dataset()[["diverging", "energy", "n_steps", "step_size"]]
    stats = stats.drop_attrs().drop_vars(("chain", "draw"), errors="ignore")
    return draws, stats, np.random.default_rng(split_seed)


def available_cores() -> int:
    """Processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # what this process may use; not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _somebody_watches() -> bool:
    # Jupyter's server sets the variable for notebooks that a person opened; nbval and jupyter-book do not.
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ
