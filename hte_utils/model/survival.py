"""The hierarchical model for times to event: Listing 2 with a hazard in place of a probability.

The hazard of patient i of group g is constant within each interval j of follow-up (Holford 1980)::

    log hazard_i(j) = b_intercept + re[g] + change_j + b_prognostic . x_i
                      + T_i (b_trt + re_trt[g] + b_interaction . z_i  [+ effect_change_j])

The changes are sums of steps from interval to interval, ``step ~ Normal(0, fixed_sd²)``, none in the first. All other
priors are Listing 2's. Hazards are events per *whole follow-up* (the last end of `TimesDesign`), so that with a
constant hazard a patient's log hazard is log(-log(1 - p)), p being the probability of an event by the end: for rare
events the log odds, and the priors mean nearly what they mean in Listing 2. Effects are log hazard ratios of the event;
positive is harm if the event is bad. Without the term in brackets the effect is proportional.

The likelihood is that of Poisson counts. The project's engine draws from the posterior; NUTS is the second opinion.
"""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, override

import numpy as np
import numpy.typing as npt
import xarray as xr

from hte_utils.model.checks import FloatArray, IntArray, one_per_patient
from hte_utils.model.density import Coordinates, HierarchicalDensity, coordinates_of, design_rows
from hte_utils.model.fit import (
    IndependenceSettings,
    NutsSettings,
    Settings,
    available_cores,
    independence_chains,
    nuts_chains,
    record_fit,
    run_checks,
)
from hte_utils.model.listing_2 import (
    Priors,
    interaction_variable,
    model_coords,
    posterior_tree,
    split_sums,
    sums_of,
    sums_variable,
)
from hte_utils.model.quick_posterior import QuickFallbackWarning, equal_weights, importance_record
from hte_utils.model.sampler import child_seed, importance_sample
from hte_utils.model.spec import TrialDesign
from hte_utils.model.threads import one_blas_thread

if TYPE_CHECKING:
    import pymc as pm

# A block of rows times a block of points is half a MiB of doubles: it stays in a core's cache.
_ROW_BLOCK, _POINT_BLOCK = 2048, 32


@dataclass(frozen=True, slots=True, eq=False)
class TimesDesign:
    """A trial with times: `trial.outcome` is 1 where the event was seen at `time`, 0 where the patient was censored.

    `time`, shape (patients,), and `ends`, shape (intervals,), of the intervals of constant hazard, are in the reader's
    unit. What happens after the last end is not looked at.
    """

    trial: TrialDesign
    time: FloatArray
    ends: FloatArray

    @property
    def exposure(self) -> FloatArray:
        """Share of the whole follow-up that each patient was at risk in each interval, shape (patients, intervals)."""
        starts = np.append(0.0, self.ends[:-1])
        watched = np.clip(self.time[:, None] - starts, 0.0, self.ends - starts)
        return np.asarray(watched / self.ends[-1])

    @property
    def events(self) -> FloatArray:
        """1 in the interval in which the patient's event was seen, shape (patients, intervals)."""
        place = np.searchsorted(self.ends, self.time, side="left")
        seen = (self.trial.outcome == 1.0) & (place < self.ends.size)
        return np.asarray((place[:, None] == np.arange(self.ends.size)) & seen[:, None], dtype=np.float64)


def times_design(
    trial: TrialDesign, time: npt.ArrayLike, *, ends: Sequence[float] | None = None, intervals: int | None = None
) -> TimesDesign:
    """Add times to a trial whose outcome says whether the event was seen.

    Parameters
    ----------
    trial
        Of `TrialSpec.design`: outcome 1 = event seen, 0 = censored.
    time
        Time from randomisation to event or censoring, positive, one for each patient in their order.
    ends
        Ends of the intervals of constant hazard, increasing; the last is the end of follow-up that is looked at. If
        None, `intervals` with equally many events, up to the largest time; where the hazard changes fast, say ends.
    intervals
        If None, one for every ten events, but at most eight.

    Raises
    ------
    TypeError, ValueError
        If `trial` is no TrialDesign, times are missing, infinite or not positive, ends do not increase, in an interval
        nobody is at risk, or no event is left.
    """
    if not isinstance(trial, TrialDesign):
        raise TypeError(f"times_design needs a TrialDesign, not {type(trial).__name__}: call spec.design(trial) first")
    found = one_per_patient("time", time, trial.n_patients)
    if found.min() <= 0.0:
        raise ValueError(
            f"time must be positive, but {(found <= 0.0).sum()} patients have {found.min():g} or so, first at position "
            f"{int((found <= 0.0).argmax())}. Count the day of randomisation as a part of a day, e.g. 0.5"
        )
    if ends is None:
        at_events = found[trial.outcome == 1.0]
        if intervals is None:
            intervals = min(8, max(1, at_events.size // 10))
        if isinstance(intervals, bool) or not isinstance(intervals, int) or not 1 <= intervals <= at_events.size:
            raise ValueError(
                f"intervals must be a whole number from 1 to the {at_events.size} events, not {intervals!r}"
            )
        inner = np.quantile(at_events, np.arange(1, intervals) / intervals)
        cuts = np.append(np.unique(inner[inner < found.max()]), found.max())
    else:
        cuts = np.asarray(ends, dtype=np.float64)
        if not (cuts.ndim == 1 and cuts.size and np.isfinite(cuts).all() and (np.diff(cuts, prepend=0.0) > 0.0).all()):
            raise ValueError(f"ends must be positive, finite and increasing, not {list(ends)!r}")
        if cuts.size > 1 and found.max() <= cuts[-2]:
            raise ValueError(
                f"nobody is at risk after {cuts[-2]:g}, but the last interval ends at {cuts[-1]:g} (the largest time "
                f"is {found.max():g}): drop the last ends"
            )
    design = TimesDesign(trial, found, cuts)
    if not design.events.any():
        raise ValueError(f"no event is seen up to {cuts[-1]:g}: choose a later end of follow-up")
    return design


@dataclass(frozen=True, slots=True, eq=False)
class TimesDensity(HierarchicalDensity):
    """The log posterior for times; the steps of the baseline (and of the effect) follow the covariates' main effects.

    `rows`, shape (rows, coefficients), one for each patient and interval at risk, with `exposure` and `events` of shape
    (rows,): the log-likelihood is ``events @ eta - exposure @ exp(eta)``, eta = rows @ coefficients.
    """

    rows: FloatArray
    exposure: FloatArray
    events: FloatArray
    priors: Priors
    at: Coordinates

    @classmethod
    def of(cls, times: TimesDesign, priors: Priors, changing_effect: bool) -> TimesDensity:
        """Lay out a trial for fast evaluation."""
        exposure, events = times.exposure, times.events
        patient, interval = np.nonzero(exposure)
        steps = (interval[:, None] >= np.arange(1, times.ends.size)).astype(np.float64)
        if changing_effect:
            steps = np.hstack([steps, steps * times.trial.treatment[patient, None]])
        rows, at = design_rows(times.trial)[patient], coordinates_of(times.trial, priors, steps.shape[1])
        after = at.prognostic.stop - steps.shape[1]
        rows = np.hstack([rows[:, :after], steps, rows[:, after:]])
        return cls(rows, exposure[patient, interval], events[patient, interval], priors, at)

    @override
    def log_likelihood(self, coefficients: FloatArray) -> FloatArray:
        total: FloatArray = coefficients @ (self.events @ self.rows)
        with np.errstate(over="ignore"):  # a hazard beyond 1e308 has no weight in any posterior
            for first in range(0, len(coefficients), _POINT_BLOCK):
                some = slice(first, first + _POINT_BLOCK)
                columns = np.ascontiguousarray(coefficients[some].T)
                for row in range(0, len(self.rows), _ROW_BLOCK):
                    terms = self.rows[row : row + _ROW_BLOCK] @ columns
                    np.exp(terms, out=terms)
                    total[some] -= self.exposure[row : row + _ROW_BLOCK] @ terms
        return total

    @override
    def log_likelihood_at(self, coefficients: FloatArray) -> float:
        with np.errstate(over="ignore"):
            return float(self.events @ (self.rows @ coefficients) - self.exposure @ np.exp(self.rows @ coefficients))

    @override
    def slopes_at(self, coefficients: FloatArray) -> tuple[FloatArray, FloatArray]:
        expected = self.exposure * np.exp(self.rows @ coefficients)
        return (self.events - expected) @ self.rows, (self.rows * expected[:, None]).T @ self.rows

    @override
    def events_by_group(self) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_]]:
        with_event = self.rows[self.events == 1.0]
        events, treated = (with_event[:, own].astype(np.int64).sum(axis=0) for own in (self.at.alpha, self.at.delta))
        return events, treated, self.rows[:, self.at.alpha].any(axis=0)


def fit_times(
    times: TimesDesign,
    *,
    priors: Priors | None = None,
    changing_effect: bool = False,
    settings: Settings | None = None,
    cores: int | None = None,
) -> xr.DataTree:
    """Draw from the posterior of the model for times.

    Parameters
    ----------
    priors, settings, cores
        As for `hte_utils.model.fit.fit`; the priors are of log hazards per whole follow-up.
    changing_effect
        Whether the treatment effect may change from interval to interval. Otherwise hazards are proportional.

    Returns
    -------
    xarray.DataTree
        As that of `fit`, with log hazards in place of log odds; further ``log_hazard`` (interval) of an untreated
        patient whose covariates are 0, without the group's deviation (in the first interval ``b_intercept``), and with
        `changing_effect` also ``log_hazard_ratio`` (interval; in the first ``b_trt``). The coordinate ``interval_end``
        is in the times' unit.

    Warns
    -----
    QuickFallbackWarning
        If no settings were given and the fast chains failed a check: the draws are those of NUTS then.
    FitWarning
        If the fit fails a check.

    Examples
    --------
    >>> import numpy as np
    >>> import hte_utils as hte
    >>> from hte_utils.trial.event_times import trial_with_times
    >>> trial = trial_with_times(hte.simulate_truth(500, seed=1), np.random.default_rng(1))
    >>> times = times_design(hte.PAPER_SPEC.design(trial), trial["time"], ends=(100, 200, 365))
    >>> fit_times(times)["posterior"]["log_hazard"].sizes["interval"]
    3
    """
    if not isinstance(times, TimesDesign):
        raise TypeError(f"fit_times needs a TimesDesign, not {type(times).__name__}: call times_design(design, time)")
    priors, chosen = priors or Priors(), settings or IndependenceSettings()
    cores = min(cores or available_cores(), chosen.chains)
    started = clock.perf_counter()
    posterior = _drawn(times, priors, changing_effect, chosen, cores)
    if settings is None and not all(check.passed for check in run_checks(posterior)):
        # Above some forty coefficients one proposal for all of them is refused too often.
        warnings.warn("the fast chains failed a check; NUTS takes their place", QuickFallbackWarning, stacklevel=2)
        chosen = NutsSettings(draws=2000, tune=500, target_accept=0.9)
        posterior = _drawn(times, priors, changing_effect, chosen, cores)
    record_fit(posterior, chosen, priors, clock.perf_counter() - started, cores)
    return posterior


def _drawn(times: TimesDesign, priors: Priors, changing_effect: bool, settings: Settings, cores: int) -> xr.DataTree:
    if isinstance(settings, IndependenceSettings):
        density = TimesDensity.of(times, priors, changing_effect)
        points, stats, rng = independence_chains(density, settings, cores)
        return _tree(times, priors, _with_steps(points, density, times), stats, rng)
    model = times_model(times, priors, changing_effect=changing_effect)
    sums, stats, rng = nuts_chains(model, settings, cores, progress=False)
    return _tree(times, priors, sums, stats, rng)


def _with_steps(points: FloatArray, density: TimesDensity, times: TimesDesign) -> dict[str, FloatArray]:
    sums = sums_of(points, density.at)
    sums["b_prognostic"], sums["steps"] = np.split(sums["b_prognostic"], [len(times.trial.prognostic_labels)], axis=-1)
    return sums


def _tree(
    times: TimesDesign, priors: Priors, sums: dict[str, FloatArray], stats: xr.Dataset, rng: np.random.Generator
) -> xr.DataTree:
    """Take sums and steps, shape (chains, draws, ...), apart and label them."""
    found = split_sums(sums, priors, rng)
    changes = np.split(found.pop("steps"), [times.ends.size - 1], axis=-1)
    starts = {"log_hazard": "b_intercept"} | ({"log_hazard_ratio": "b_trt"} if changes[1].size else {})
    for (name, start), steps_of_it in zip(starts.items(), changes, strict=False):
        found[name] = np.cumsum(np.concatenate([found[start][..., None], steps_of_it], axis=-1), axis=-1)
    posterior = posterior_tree(found, stats, times.trial)
    labelled = posterior["posterior"].to_dataset().assign_coords(interval_end=("interval", times.ends))
    posterior["posterior"] = xr.DataTree(labelled)
    return posterior


def quick_times(
    times: TimesDesign,
    *,
    priors: Priors | None = None,
    changing_effect: bool = False,
    draws: int = 1000,
    seed: np.random.SeedSequence,
) -> xr.DataTree:
    """Draw from the same posterior by importance sampling on one core, or by NUTS where that fails.

    As `hte_utils.model.quick_posterior.quick_posterior` does without times: one chain of at most twice the wanted
    effective `draws`, in random order, with the record of its checks. A `QuickFallbackWarning` says that NUTS was used,
    a `FitWarning` that it failed a check of its own.
    """
    priors, started = priors or Priors(), clock.perf_counter()
    sampling, splitting, fallback = (child_seed(seed, place) for place in range(3))
    with one_blas_thread():
        density = TimesDensity.of(times, priors, changing_effect)
        sample = importance_sample(density, draws, sampling)
    record = importance_record(sample, draws, priors, seed, clock.perf_counter() - started)
    if not record.passed:
        said = "; ".join(str(check) for check in record.checks)
        warnings.warn(f"{said}; NUTS takes the place of importance sampling", QuickFallbackWarning, stacklevel=2)
        nuts = NutsSettings(
            draws=max(1000, draws), tune=1000, target_accept=0.99, seed=int(fallback.generate_state(1)[0])
        )
        return fit_times(times, priors=priors, changing_effect=changing_effect, settings=nuts)
    rng = np.random.default_rng(splitting)
    sums = _with_steps(equal_weights(sample, draws, rng)[None], density, times)
    stats = xr.Dataset(attrs={"pareto_k": sample.pareto_k, "ess": sample.ess})
    posterior = _tree(times, priors, sums, stats, rng)
    record.attach(posterior)
    return posterior


def times_model(times: TimesDesign, priors: Priors | None = None, *, changing_effect: bool = False) -> pm.Model:
    """Build the model in PyMC, in the form of `hte_utils.model.listing_2.sums_model`; observed ``events``.

    Beside that form's variables, ``steps``: of the log hazard after each interval but the last, and then of the effect.
    """
    import pymc as pm

    priors, trial = priors or Priors(), times.trial
    shape, rate = priors.precision_shape, priors.precision_rate
    patient, interval = np.nonzero(times.exposure)
    later = (interval[:, None] >= np.arange(1, times.ends.size)).astype(np.float64)
    with pm.Model(coords=model_coords(trial)) as model:
        b_prognostic = pm.Normal("b_prognostic", 0.0, priors.fixed_sd, dims="prognostic")
        b_interaction = interaction_variable(priors)
        tau_re = pm.Gamma("tau_re", shape, rate)
        tau_re_trt = pm.Gamma("tau_re_trt", shape, rate)
        alpha = sums_variable("alpha", priors.shared_intercept, tau_re, len(trial.group_labels))
        delta = sums_variable("delta", priors.shared_effect, tau_re_trt, len(trial.group_labels))
        steps = pm.Normal("steps", 0.0, priors.fixed_sd, shape=later.shape[1] * (2 if changing_effect else 1))
        effect = (delta[trial.group] + trial.modifiers @ b_interaction)[patient]
        if changing_effect:
            effect += later @ steps[later.shape[1] :]
        log_hazard = (alpha[trial.group] + trial.prognostic @ b_prognostic)[patient] + later @ steps[: later.shape[1]]
        expected = times.exposure[patient, interval] * pm.math.exp(log_hazard + trial.treatment[patient] * effect)
        pm.Poisson("events", expected, observed=times.events[patient, interval])
    return model
