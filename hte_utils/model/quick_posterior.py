"""A posterior in a few hundredths of a second, for studies of thousands of trials.

The posterior is that of `hte_utils.model.fit.fit`, and so is the proposal; here its weights are resampled, so that a
thousand effective draws need hardly more proposals. Each fit says by Pareto's k-hat whether that worked; where it did
not, NUTS takes its place, with a warning and a mark in the record.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr

from hte_utils.model.checks import FloatArray
from hte_utils.model.density import SumsDensity
from hte_utils.model.fit import FitCheck, FitRecord, NutsSettings, fit, library_versions, record_of
from hte_utils.model.listing_2 import Priors, posterior_tree, split_sums, sums_of
from hte_utils.model.sampler import LARGEST_PARETO_K, ImportanceSample, child_seed, importance_sample
from hte_utils.model.spec import TrialDesign
from hte_utils.model.threads import one_blas_thread

_FEWEST_DRAWS = 100


class QuickFallbackWarning(UserWarning):
    """Importance sampling failed for a trial; its posterior was sampled by NUTS."""


@dataclass(frozen=True, slots=True, eq=False)
class QuickPosterior:
    """A posterior of one trial.

    `draws` are equal-weight draws of the variables of Listing 2 by name, shape (draws,) or (draws, labels), in random
    order: at most twice those wanted; a heavy point occurs more than once. `pareto_k` is k-hat of the importance
    weights; above 0.7 they were not used, and the record is that of NUTS.
    """

    design: TrialDesign
    draws: Mapping[str, FloatArray]
    record: FitRecord
    pareto_k: float

    @property
    def by_nuts(self) -> bool:
        """Whether NUTS took the place of importance sampling."""
        return self.record.sampler == "nuts"

    @property
    def n_draws(self) -> int:
        """Number of equal-weight draws."""
        return int(self.draws["b_intercept"].size)

    def tree(self) -> xr.DataTree:
        """The draws as one chain in the form of `fit`; its order is random, so that autocorrelations say nothing."""
        stats = xr.Dataset(attrs={"pareto_k": self.pareto_k, "ess": self.record.ess})
        tree = posterior_tree({name: values[None] for name, values in self.draws.items()}, stats, self.design)
        self.record.attach(tree)
        return tree


def quick_posterior(
    design: TrialDesign,
    *,
    priors: Priors | None = None,
    draws: int = 1000,
    seed: int | np.random.SeedSequence,
) -> QuickPosterior:
    """Draw from the posterior of Listing 2 by importance sampling, or by NUTS where that fails.

    The result depends on the arguments alone, not on threads or on what ran before; it uses one core, since studies run
    many fits at once. `priors` are those of Listing 2 if None, `draws` is the wanted effective sample size (at least
    100), and `seed` is left as it was if it is a SeedSequence. A `QuickFallbackWarning` says that Pareto's k-hat is
    above 0.7, or that the wanted effective sample size is out of reach: NUTS was used then, which issues a `FitWarning`
    if it failed a check of its own.
    """
    if not isinstance(design, TrialDesign):
        raise TypeError(f"quick_posterior needs a TrialDesign, not {type(design).__name__}: call spec.design(trial)")
    if draws < _FEWEST_DRAWS:
        raise ValueError(f"draws must be at least {_FEWEST_DRAWS}, not {draws}: k-hat cannot be judged from fewer")
    if not isinstance(seed, int | np.random.SeedSequence):
        raise TypeError(f"seed must be an integer or a numpy SeedSequence, not {seed!r}: the draws shall come again")
    root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
    priors = priors or Priors()
    sampling, splitting, fallback = (child_seed(root, place) for place in range(3))
    started = time.perf_counter()
    # One BLAS thread: the products are small, a study fills the cores with fits, and a sum that is split over threads
    # may round differently.
    with one_blas_thread():
        density = SumsDensity.of(design, priors)
        sample = importance_sample(density, draws, sampling)
        rng = np.random.default_rng(splitting)
        found = split_sums(sums_of(equal_weights(sample, draws, rng), density.at), priors, rng)
    failure = None
    # Written so that NaN counts as failure.
    if not sample.pareto_k <= LARGEST_PARETO_K:
        failure = f"Pareto's k-hat is {sample.pareto_k:.2f}, above {LARGEST_PARETO_K:g}"
    elif not sample.ess >= draws:
        failure = f"{len(sample.points)} proposals are worth only {sample.ess:.0f} draws, {draws} were asked for"
    if failure is not None:
        message = f"{failure}; NUTS takes the place of importance sampling for this trial"
        warnings.warn(message, QuickFallbackWarning, stacklevel=2)
        each = max(250, -(-draws // 2))  # of four chains: twice as many as wanted, since some parameters mix slowly
        nuts = NutsSettings(draws=each, tune=500, target_accept=0.95, seed=int(fallback.generate_state(1)[0]))
        posterior = fit(design, priors=priors, settings=nuts, cores=1, progress=False)
        by_name = posterior["posterior"].to_dataset().data_vars.items()
        found = {str(name): values.to_numpy().reshape(-1, *values.shape[2:]) for name, values in by_name}
        return QuickPosterior(design, found, record_of(posterior), sample.pareto_k)
    record = importance_record(sample, draws, priors, root, time.perf_counter() - started)
    return QuickPosterior(design, found, record, sample.pareto_k)


def importance_record(
    sample: ImportanceSample, draws: int, priors: Priors, seed: np.random.SeedSequence, seconds: float
) -> FitRecord:
    """The record of a posterior by importance sampling; it passed if the sample is worth the `draws` wanted."""
    enough, even = sample.ess >= draws, sample.pareto_k <= LARGEST_PARETO_K  # NaN fails
    return FitRecord(
        sampler="importance",
        settings={"draws": draws, "seed": f"{seed.entropy} {seed.spawn_key}"},
        priors=asdict(priors),
        versions=library_versions(),
        seconds=seconds,
        cores=1,
        checks=(
            FitCheck("effective sample size", sample.ess, "", f"at least {draws}", enough),
            FitCheck("Pareto k", sample.pareto_k, "", f"at most {LARGEST_PARETO_K:g}", even),
        ),
        ess=sample.ess,
    )


def equal_weights(sample: ImportanceSample, draws: int, rng: np.random.Generator) -> FloatArray:
    """Points by systematic resampling (Carpenter, Clifford & Fearnhead 1999), in random order."""
    size = min(len(sample.points), 2 * draws)
    # In the order of the Sobol points, so that neighbours stand in for each other.
    ladder = (np.arange(size) + rng.random()) / size
    chosen = np.searchsorted(np.cumsum(sample.weights), ladder).clip(max=sample.weights.size - 1)
    points: FloatArray = sample.points[rng.permutation(chosen)]
    return points
