"""Fit the paper's model: trial in, posterior out, with a record of how it was made and which checks it passed.

Two samplers give the same posterior (the tests say so, with JAGS as the third witness):

- `IndependenceSettings`, the default: an exact chain made for this model, see `hte_utils.independence`. No compilation.
- `NutsSettings`: the No-U-Turn sampler (nutpie) on either PyMC form of the model; slower, but at home with any
  number of groups, and with the field's own diagnostics (divergences, E-BFMI).
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from dataclasses import asdict

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

from hte_utils.fit_record import FitRecord, FitWarning, library_versions, pareto_k, run_checks
from hte_utils.fit_settings import Form, IndependenceSettings, NutsSettings, Settings
from hte_utils.independence import Schedule, run_chains
from hte_utils.parameters import posterior_tree, split_sums, sums_of
from hte_utils.priors import Priors
from hte_utils.spec import TrialDesign
from hte_utils.sums_density import SumsDensity


def fit(
    design: TrialDesign,
    *,
    priors: Priors | None = None,
    settings: Settings | None = None,
    cores: int | None = None,
    progress: bool | None = None,
) -> xr.DataTree:
    """Draw from the posterior of Listing 2.

    Parameters
    ----------
    priors, settings
        Those of Listing 2, and `IndependenceSettings()`, if None.
    cores
        Chains that run at the same time; as many as there are processors if None. The draws do not depend on it.
    progress
        Whether NUTS shows a progress bar; if None, when a person watches (a terminal, or a notebook in Jupyter).

    Returns
    -------
    xarray.DataTree
        Group `posterior`, dims (chain, draw): ``b_intercept``, ``b_trt``, ``b_prognostic`` (prognostic),
        ``b_interaction`` (modifier), ``re``, ``re_trt``, ``te_group`` (group), all on the log-odds scale (positive =
        more events, which is harm in the paper's trial), ``tau_re``, ``tau_re_trt`` (their inverse square), and
        ``sd_interaction`` if `Priors.interaction_scale` is set. Group `sample_stats`: what the sampler says about
        itself. `hte_utils.fit_record.record_of` reads the fit's record.

    Warns
    -----
    FitWarning
        If the fit fails a check. The record says so as well.
    """
    if not isinstance(design, TrialDesign):
        raise TypeError(f"fit needs a TrialDesign, not {type(design).__name__}: call spec.design(trial) first")
    priors, settings = priors or Priors(), settings or IndependenceSettings()
    cores = min(cores or _available_cores(), settings.chains)
    started = time.perf_counter()
    if isinstance(settings, IndependenceSettings):
        posterior = _independence(design, priors, settings, cores)
    else:
        posterior = _nuts(design, priors, settings, cores, _somebody_watches() if progress is None else progress)
    record = FitRecord(
        sampler=type(settings).__name__.removesuffix("Settings").lower(),
        settings=asdict(settings),
        priors=asdict(priors),
        versions=library_versions(),
        seconds=time.perf_counter() - started,
        cores=cores,
        checks=run_checks(posterior),
    )
    record.attach(posterior)
    warn_if_failed(record)
    return posterior


def warn_if_failed(record: FitRecord) -> None:
    """Issue a `FitWarning` that lists the checks a fit failed, if there are any."""
    if not record.passed:
        failures = "; ".join(str(check) for check in record.failures)
        remedy = "draws or tune" if record.sampler == "nuts" else "draws or proposals_per_draw, or NutsSettings"
        message = f"this posterior must not be reported: {failures}. Take more {remedy}"
        warnings.warn(message, FitWarning, stacklevel=3)


def _independence(design: TrialDesign, priors: Priors, settings: IndependenceSettings, cores: int) -> xr.DataTree:
    density = SumsDensity.of(design, priors)
    *seeds, last = np.random.SeedSequence(settings.seed).spawn(settings.chains + 2)
    schedule = Schedule(settings.draws, settings.burn_in, settings.proposals_per_draw)
    chains = run_chains(density, schedule, seeds, cores)
    sums = sums_of(np.stack([chain.points for chain in chains]), density.at)
    log_weights = np.stack([chain.log_weights for chain in chains])
    stats = xr.Dataset(
        {"acceptance_rate": (("chain", "draw"), np.stack([chain.acceptance for chain in chains]))},
        attrs={"pareto_k": pareto_k(log_weights)},
    )
    return posterior_tree(split_sums(sums, priors, np.random.default_rng(last)), stats, design)


def _nuts(design: TrialDesign, priors: Priors, settings: NutsSettings, cores: int, progress: bool) -> xr.DataTree:
    # Imported here: half of the start-up time of a process that only needs the other sampler.
    import nutpie

    from hte_utils.model import listing_model, sums_model

    build = sums_model if settings.form == Form.SUMS else listing_model
    nuts_seed, split_seed = np.random.SeedSequence(settings.seed).spawn(2)
    # One BLAS thread a chain: the products are small, and the chains already fill the cores.
    with threadpool_limits(limits=1, user_api="blas"):
        trace = nutpie.sample(
            nutpie.compile_pymc_model(build(design, priors)),
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
    if settings.form == Form.SUMS:
        draws = split_sums(draws, priors, np.random.default_rng(split_seed))
    stats = trace["sample_stats"].to_dataset()[["diverging", "energy", "n_steps", "step_size"]]
    return posterior_tree(draws, stats.drop_attrs().drop_vars(("chain", "draw"), errors="ignore"), design)


def _available_cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # what this process may use; not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _somebody_watches() -> bool:
    # Jupyter's server sets the variable for notebooks that a person opened; nbval and jupyter-book do not.
    return sys.stderr.isatty() or "JPY_SESSION_NAME" in os.environ
