"""Proportional hazards for a report with times: ranking by risk, and heterogeneity with its null rate.

Ranking, and the trials without heterogeneity for the null rates, come from a regression with proportional hazards that
are constant within intervals; these trials are censored as the reader's was, arm by arm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from scipy.linalg import block_diag
from statsmodels.duration.survfunc import SurvfuncRight

from hte_utils.corrected.cross_fitting import N_FOLDS, arm_balanced_folds, groups_within_folds
from hte_utils.model.checks import FloatArray, IntArray
from hte_utils.report.heterogeneity import (
    N_GROUPS,
    Heterogeneity,
    Quintiles,
    RiskModel,
    Statistics,
    calibrated,
    risk_quintiles,
)
from hte_utils.report.reading import DataError
from hte_utils.report.times import as_times, missed_effects

if TYPE_CHECKING:
    from hte_utils.report.columns import OwnTrial

_FAINT_PRECISION = 0.01  # Normal(0, 10) of log hazards and of the effect: felt only where there is no event
_STEPS, _SMALL_STEP, _LONGEST_STEP = 50, 1e-6, 2.0
_LOG_FACTOR = (-300.0, 300.0)  # where exp() of a sum of two is still finite


class Hazards(NamedTuple):
    """Proportional hazards, constant within intervals; effects share a ridge penalty, as in `RiskModel`.

    `terms`: T, X, group, shape (patients, terms). `exposure` and `events`: shape (patients, intervals), the first in a
    unit in which the mean hazard is 1.
    """

    terms: FloatArray
    precision: FloatArray
    exposure: FloatArray
    events: FloatArray
    widths: FloatArray

    @classmethod
    def of(cls, trial: OwnTrial, number: int = 0) -> Hazards:
        """Of one imputed version of the covariates."""
        model, none = RiskModel.of(trial, number), np.empty((0, 0))
        terms = np.ascontiguousarray(model.terms[:, 1:])
        return cls(terms, model.precision[1:], none, none, none).seen_in(trial)

    def seen_in(self, trial: OwnTrial) -> Hazards:
        """The same terms, with these times and events."""
        times = as_times(trial)
        exposure, events = times.exposure, times.events
        rate = max(events.sum(), 0.5) / exposure.sum()
        widths = np.diff(times.ends, prepend=0.0) / times.ends[-1]
        return self._replace(exposure=exposure * rate, events=events, widths=widths * rate)

    def with_terms(self, *columns: FloatArray) -> Hazards:
        """Other terms, with next to no penalty."""
        return self._replace(terms=np.column_stack(columns), precision=np.full(len(columns), _FAINT_PRECISION))

    def fit(self, kept: FloatArray | None = None, start: FloatArray | None = None) -> FloatArray:
        """Log hazards of the intervals, then coefficients of the terms, by Newton's method; NaN without a maximum.

        `kept`: 1 for each patient who counts, 0 for the others (all count if None). `start`: where to begin; a fit to
        data that differ little from these saves half of the steps.
        """
        chosen = self
        if kept is not None:  # whoever was never watched has no say
            chosen = self._replace(exposure=self.exposure * kept[:, None], events=self.events * kept[:, None])
        found = np.zeros(chosen.events.shape[1] + chosen.terms.shape[1])
        if start is not None and start.size == found.size and np.isfinite(start).all():
            found = start.copy()
        for _ in range(_STEPS):
            score, information = chosen.slopes(found)
            step = np.linalg.solve(information, score)
            found += step * min(1.0, _LONGEST_STEP / max(np.abs(step).max(), _SMALL_STEP))
            if np.abs(step).max() < _SMALL_STEP:
                return found
        return np.full_like(found, np.nan)

    def factors(self, found: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Of the hazard: of each patient, shape (patients,), and of each interval, shape (intervals,)."""
        n = self.events.shape[1]
        return np.exp(np.clip(self.terms @ found[n:], *_LOG_FACTOR)), np.exp(np.clip(found[:n], *_LOG_FACTOR))

    def slopes(self, found: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient of the penalised log likelihood and its information."""
        (patient, interval), n = self.factors(found), self.events.shape[1]
        # Products with a vector of ones: many times faster than sums over so short an axis.
        of_patients, of_intervals = patient * (self.exposure @ interval), (patient @ self.exposure) * interval
        happened, seen = self.events @ np.ones(n), np.ones(patient.size) @ self.events
        penalty = np.append(np.full(n, _FAINT_PRECISION), self.precision)
        score = np.append(seen - of_intervals, (happened - of_patients) @ self.terms) - penalty * found
        information = block_diag(np.diag(of_intervals), (self.terms.T * of_patients) @ self.terms) + np.diag(penalty)
        information[:n, n:] = interval[:, None] * ((self.exposure * patient[:, None]).T @ self.terms)
        information[n:, :n] = information[:n, n:].T
        return score, information

    def log_likelihood(self, found: FloatArray) -> float:
        """Without the penalty, less what does not depend on the parameters."""
        (patient, interval), n = self.factors(found), self.events.shape[1]
        log_hazards = self.events.sum(axis=1) @ (self.terms @ found[n:]) + self.events.sum(axis=0) @ found[:n]
        return float(log_hazards - patient @ (self.exposure @ interval))

    def cumulative(self, found: FloatArray, arm: float) -> FloatArray:
        """Cumulative hazards by the horizon if everybody is in one arm, shape (patients,)."""
        n = self.events.shape[1]
        log_hazard = self.terms @ found[n:] + found[n] * (arm - self.terms[:, 0])
        return np.asarray(np.exp(log_hazard) * (np.exp(found[:n]) @ self.widths))


def ranked_by_risk(trial: OwnTrial) -> Quintiles:
    """Fifths of cross-fitted risk without treatment: by `risk_quintiles`, or with times by proportional hazards."""
    if trial.time is None:
        return risk_quintiles(trial)
    fold = arm_balanced_folds(trial.treatment, N_FOLDS, trial.question.seed)
    versions = range(len(trial.imputed))
    log_hazard = np.mean([_fold_log_hazards(Hazards.of(trial, number), fold) for number in versions], axis=0)
    if not np.isfinite(log_hazard).all():
        raise DataError("the regression for times found no maximum: name fewer covariates, or correct extreme values")
    return Quintiles(groups_within_folds(log_hazard, fold, N_GROUPS), -np.expm1(-np.exp(log_hazard)), fold)


def _fold_log_hazards(model: Hazards, fold: IntArray, start: FloatArray | None = None) -> FloatArray:
    """Log cumulative hazards without treatment, each patient's by the fit that has not seen the own fold."""
    log_hazard = np.empty(fold.size)
    for held_out in range(N_FOLDS):
        own = fold == held_out
        found = model.fit((~own).astype(np.float64), start)
        log_hazard[own] = np.log(model.cumulative(found, 0.0)[own])
    return log_hazard


class NullTimes(NamedTuple):
    """The trial without heterogeneity: one hazard ratio for all patients. `found` are the coefficients of `model`."""

    trial: OwnTrial
    model: Hazards
    found: FloatArray

    @classmethod
    def of(cls, trial: OwnTrial) -> NullTimes:
        """Fit to the first of the trial's imputed versions."""
        model = Hazards.of(trial)
        return cls(replace(trial, imputed=trial.imputed[:1]), model, model.fit())

    def effects(self) -> FloatArray:
        """Each patient's true risk difference by the horizon."""
        untreated, treated = (np.exp(-self.model.cumulative(self.found, arm)) for arm in (0.0, 1.0))
        return np.asarray(untreated - treated)

    def trials(self) -> Iterator[OwnTrial]:
        """Simulate times, censored as the trial's were, arm by arm; always the same trials."""
        trial, (patient, interval) = self.trial, self.model.factors(self.found)
        cumulative = np.append(0.0, np.cumsum(interval * self.model.widths))
        ends = np.append(0.0, as_times(trial).ends)
        leaving = [_censoring(trial, value) for value in (0.0, 1.0)]
        rng = np.random.default_rng((trial.question.seed, 11))
        for _ in range(trial.question.simulations):
            event_at = np.interp(rng.exponential(size=trial.n) / patient, cumulative, ends, right=np.inf)
            u = rng.random(trial.n)
            left_at = np.where(trial.treatment == 1.0, leaving[1](u), leaving[0](u))
            outcome = (event_at <= left_at).astype(np.float64)
            yield replace(trial, time=np.minimum(event_at, left_at), outcome=outcome)


def heterogeneity_of_times(
    trial: OwnTrial, modifiers: FloatArray, names: list[str], progress: Callable[[str], None]
) -> Heterogeneity:
    """`hte_utils.report.heterogeneity.heterogeneity` for times: one hazard ratio for all patients is the null model."""
    null = NullTimes.of(trial)
    truth, fold = null.effects(), arm_balanced_folds(trial.treatment, N_FOLDS, trial.question.seed)
    parts, missed, wanted = [], [], trial.question.simulations
    for number, simulated in enumerate(null.trials(), start=1):
        model = null.model.seen_in(simulated)
        found = model.fit(start=null.found)
        log_hazard = _fold_log_hazards(model, fold, found)
        if np.isfinite(found).all() and np.isfinite(log_hazard).all():
            parts.append(_statistics(model, found, modifiers))
            group = groups_within_folds(log_hazard, fold, N_GROUPS)
            missed.append(missed_effects(simulated, Quintiles(group, truth, fold).members(), truth))
        if number % 50 == 0 or number == wanted:
            progress(f"simulated {number} of {wanted} trials without heterogeneity")
    if not parts:
        raise DataError("no simulated trial could be analysed: there are too few events for so many covariates")
    together = Statistics(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return calibrated(_statistics(null.model, null.found, modifiers), together, np.stack(missed), names)


def _censoring(trial: OwnTrial, arm: float) -> Callable[[FloatArray], FloatArray]:
    """Times at which patients of an arm leave, by Kaplan and Meier, from uniform numbers; the horizon for most."""
    inside = trial.treatment == arm
    time, horizon = cast("FloatArray", trial.time)[inside], float(cast("float", trial.question.horizon))
    left = (time < horizon) & (trial.outcome[inside] == 0.0)
    if not left.any():
        return lambda u: np.full(u.shape, horizon)
    curve = SurvfuncRight(time, left.astype(np.float64))
    times, gone = np.append(curve.surv_times, horizon), 1.0 - curve.surv_prob
    return lambda u: times[np.searchsorted(gone, u)]


def _statistics(model: Hazards, found: FloatArray, modifiers: FloatArray) -> Statistics:
    """As those of `hte_utils.report.heterogeneity.NullModel`, with the likelihood of times; shape (1,)."""
    n = model.events.shape[1]
    arm, risk = model.terms[:, 0], model.terms[:, 1:] @ found[n + 1 :]
    risk = risk - risk.mean()
    start = np.concatenate([found[: n + 1], [1.0, 0.0]])
    small, large = model.with_terms(arm, risk), model.with_terms(arm, risk, arm * risk)
    ratio = 2.0 * (large.log_likelihood(large.fit(start=start)) - small.log_likelihood(small.fit(start=start[:-1])))
    (patient, interval), products = model.factors(found), arm[:, None] * modifiers
    at_risk = model.exposure * patient[:, None]
    weight = at_risk @ interval
    score, information = model._replace(precision=np.full(model.terms.shape[1], 1e-9)).slopes(found)
    cross = np.vstack([interval[:, None] * (at_risk.T @ products), (model.terms.T * weight) @ products])
    projected = np.linalg.solve(information, cross)
    variance = (products.T * weight) @ products - cross.T @ projected
    left = (model.events.sum(axis=1) - weight) @ products - score @ projected
    z = left / np.sqrt(np.maximum(np.diag(variance), 1e-12))
    everything = left @ np.linalg.pinv(variance, hermitian=True) @ left
    largest = np.abs(z).max(initial=0.0)
    return Statistics(np.array([ratio]), np.array([everything]), np.array([largest]), z[None])
