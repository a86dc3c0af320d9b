"""Trials with times: risks by a horizon where some patients were censored before it.

Risks are Kaplan and Meier's. A patient who was censored before the horizon is at risk until then, and never counts as
one without event. `OwnTrial.time` ends at the horizon, and `OwnTrial.outcome` is whether the event was seen by then.

Ranking, and the trials without heterogeneity for the null rates, come from a regression with proportional hazards that
are constant within intervals; these trials are censored as the reader's was, arm by arm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from hte_utils.corrected.cross_fitting import N_FOLDS, arm_balanced_folds, groups_within_folds
from hte_utils.corrected.subgroups import compared_rates, unadjusted_effects
from hte_utils.effects.averages import EVERYBODY, everybody
from hte_utils.effects.logistic import Z
from hte_utils.effects.survival import hazard_ratio, observed_by
from hte_utils.model.checks import FloatArray, rows_where
from hte_utils.model.survival import TimesDesign
from hte_utils.report.heterogeneity import (
    N_GROUPS,
    Heterogeneity,
    Quintiles,
    RiskModel,
    Statistics,
    calibrated,
    risk_quintiles,
)
from hte_utils.report.reading import DataError, has_decimal_comma, missing_in, numbers_of

if TYPE_CHECKING:
    from hte_utils.model.spec import TrialDesign
    from hte_utils.report.columns import OwnTrial
    from hte_utils.report.question import Question

_MOST_INTERVALS, _EVENTS_EACH = 4, 20
_ROLES = ("control", "treated")
_MEASURES = ("RISK_DIFFERENCE", "RISK_RATIO", "MARGINAL_LOG_ODDS_RATIO")
_FAINT_PRECISION = 0.01  # Normal(0, 10) of log hazards and of the effect: felt only where there is no event
_STEPS, _SMALL_STEP, _LONGEST_STEP = 50, 1e-6, 2.0


def follow_up(
    frame: pd.DataFrame, happened: FloatArray, treatment: FloatArray, arms: tuple[str, str], question: Question
) -> tuple[FloatArray, FloatArray, list[str]]:
    """Times up to the horizon, whether the event was seen by then, and notes; DataError if the times do not allow it.

    `happened`: whether the event was seen at the patient's time (1), or the patient was censored at it (0).
    """
    name, horizon = cast("str", question.time), cast("float", question.horizon)
    absent = missing_in(frame[name])
    time = numbers_of(frame[name])
    if time is None:
        raise DataError(f"the time (column {name!r}) must hold numbers: give the time since randomisation in one unit")
    for bad, what in ((absent, "missing"), (np.isinf(time), "infinite"), (time < 0.0, "negative")):
        if bad.any():
            raise DataError(
                f"the time (column {name!r}) is {what} in {rows_where(bad, frame.index)}: a report needs for every "
                "patient the time since randomisation. Correct these rows, or take them out and say so"
            )
    for value, label in enumerate(arms):
        inside = treatment == value
        if not inside.any():
            continue
        last = time[inside].max()
        # If those who were watched longest all had the event, the risk is known ever after: it is 1.
        if last < horizon and not happened[inside][time[inside] == last].all():
            raise DataError(
                f"nobody in arm {label!r} was followed up to the horizon of {horizon:g}: the last time (column "
                f"{name!r}) is {last:g}, so the risk by the horizon is not known. Choose a --horizon of at most that"
            )
    notes = []
    if has_decimal_comma(frame[name]):
        notes.append(f"Numbers in column {name!r} were read with a decimal comma.")
    if later := int((happened * (time > horizon)).sum()):
        notes.append(f"{later} events after the horizon of {horizon:g} do not count: these patients had none by then.")
    seen = happened * (time <= horizon)
    if zero := int((time == 0.0).sum()):
        time = np.where(time == 0.0, time[time > 0.0].min(initial=horizon) / 2.0, time)
        notes.append(f"{zero} patients with time 0 were taken to have half of the smallest time above 0.")
    return np.minimum(time, horizon), seen, notes


def as_times(trial: OwnTrial) -> TimesDesign:
    """The trial with intervals of constant hazard, of equally many events, that end at the horizon."""
    time, horizon = cast("FloatArray", trial.time), cast("float", trial.question.horizon)
    at_events = time[trial.outcome == 1.0]
    n = min(_MOST_INTERVALS, max(1, at_events.size // _EVENTS_EACH))
    inner = np.unique(np.quantile(at_events, np.arange(1, n) / n)) if at_events.size else np.empty(0)
    return TimesDesign(cast("TrialDesign", trial), time, np.append(inner[inner < horizon], horizon))


def arm_risks(trial: OwnTrial, members: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Of each population: risks by the horizon `control` and `treated`, their `se_` (Greenwood), and `size_`.

    The size is the number of patients that would give this standard error without censoring. All are NaN in an arm in
    which nobody was followed up to the horizon.
    """
    times = as_times(trial)
    horizon = times.ends[-1]
    found: dict[str, dict[str, float]] = observed_by(times, members, horizon).to_dict("index")  # type: ignore[assignment]
    for name, row in found.items():
        for value, arm in enumerate(_ROLES):
            inside = members[name].to_numpy() & (trial.treatment == value)
            time, happened = times.time[inside], trial.outcome[inside]
            risk, se = row[arm], row[f"se_{arm}"]
            if time.max() < horizon and not happened[time == time.max()].all():
                row |= {arm: np.nan, f"se_{arm}": np.nan, f"size_{arm}": np.nan}
                continue
            # Without an event, or with nothing else, Greenwood's error is 0 or unknown: those who are known count.
            known = float(((time == horizon) | (happened == 1.0)).sum())
            row[f"size_{arm}"] = risk * (1.0 - risk) / se**2 if se > 0.0 else known
    return found


def crude_effects(trial: OwnTrial, members: pd.DataFrame) -> pd.DataFrame:
    """Compare the arms without a model: as `unadjusted_effects`, and with `rate_control`, `rate_treated`.

    With times the rates are the risks by the horizon, and the intervals those of proportions among as many patients as
    give Greenwood's standard error: without censoring, exactly those of the report without times.
    """
    if trial.time is None:
        found = unadjusted_effects(cast("TrialDesign", trial), members)
        rates = {f"rate_{arm}": found[f"events_{arm}"] / found[f"n_{arm}"] for arm in _ROLES}
        return found.assign(**rates)
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for name, row in arm_risks(trial, members).items():
        counts: dict[str, float] = {}
        for value, arm in enumerate(_ROLES):
            outcomes = trial.outcome[members[name].to_numpy() & (trial.treatment == value)]
            counts |= {f"events_{arm}": int(outcomes.sum()), f"n_{arm}": outcomes.size}
        counts |= {f"rate_{arm}": row[arm] for arm in _ROLES}
        treated, control = row["size_treated"], row["size_control"]
        effects = dict.fromkeys(_MEASURES, dict.fromkeys(("estimate", "lower", "upper"), np.nan))
        if np.isfinite(treated + control):
            effects = compared_rates(row["treated"] * treated, treated, row["control"] * control, control)
        rows |= {(name, measure): effect | counts for measure, effect in effects.items()}
    index = pd.MultiIndex.from_tuples(rows, names=["population", "measure"])
    return pd.DataFrame(list(rows.values()), index=index)


class Times(NamedTuple):
    """What times show beside the risks by the horizon.

    `arms`: index control, treated; `n`, `events`, `censored` (before the horizon), `risk` and `se` by Kaplan and Meier,
    `naive` (events by patients, as if the censored had none), `event_free` (restricted mean time) and `event_free_se`.
    `gained`: restricted mean time, treated minus control. `hazard_ratio`: Cox's, up to the horizon. Both have
    `estimate`, `lower`, `upper`. `log_rank_p`: of the test that hazards are equal up to the horizon.
    """

    arms: pd.DataFrame
    gained: dict[str, float]
    hazard_ratio: dict[str, float]
    log_rank_p: float


def times_shown(trial: OwnTrial) -> Times:
    """Describe follow-up and the effect on times."""
    times = as_times(trial)
    horizon, risks = times.ends[-1], arm_risks(trial, everybody(trial.n))[EVERYBODY]
    rows = {}
    for value, arm in enumerate(_ROLES):
        inside = trial.treatment == value
        time, outcome = times.time[inside], trial.outcome[inside]
        event_free, se = restricted_mean(time, outcome, horizon)
        rows[arm] = {
            "n": time.size,
            "events": int(outcome.sum()),
            "censored": int(((time < horizon) & (outcome == 0.0)).sum()),
            "risk": risks[arm],
            "se": risks[f"se_{arm}"],
            "naive": outcome.mean(),
            "event_free": event_free,
            "event_free_se": se,
        }
    arms = pd.DataFrame.from_dict(rows, orient="index")
    gained, se = float(arms["event_free"].diff().iloc[-1]), float(np.hypot(*arms["event_free_se"]))
    both = bool((arms["events"] > 0).all())
    ratio = hazard_ratio(times) if both else dict.fromkeys(("estimate", "lower", "upper"), np.nan)
    return Times(
        arms,
        {"estimate": gained, "lower": gained - Z * se, "upper": gained + Z * se},
        ratio,
        float(survdiff(times.time, trial.outcome, trial.treatment)[1]),
    )


def restricted_mean(time: FloatArray, outcome: FloatArray, horizon: float) -> tuple[float, float]:
    """Area under Kaplan and Meier's curve up to the horizon, and its standard error; statsmodels has neither.

    Without an event the error is not known, and NaN.
    Klein & Moeschberger (2003), section 4.5.
    """
    curve = SurvfuncRight(time, outcome)
    starts, surviving = np.append(0.0, curve.surv_times), np.append(1.0, curve.surv_prob)
    areas = surviving * np.diff(np.append(starts, horizon))
    after = areas[::-1].cumsum()[::-1][1:]  # the area to the right of each event
    spread = curve.n_events / np.maximum(curve.n_risk * (curve.n_risk - curve.n_events), 1.0)
    return float(areas.sum()), float(np.sqrt((after**2 * spread).sum())) if after.size else np.nan


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
        times, model = as_times(trial), RiskModel.of(trial, number)
        rate = max(times.events.sum(), 0.5) / times.exposure.sum()
        widths = np.diff(times.ends, prepend=0.0) / times.ends[-1]
        return cls(model.terms[:, 1:], model.precision[1:], times.exposure * rate, times.events, widths * rate)

    def with_terms(self, *columns: FloatArray) -> Hazards:
        """Other terms, with next to no penalty."""
        return self._replace(terms=np.column_stack(columns), precision=np.full(len(columns), _FAINT_PRECISION))

    def fit(self, rows: FloatArray | None = None) -> FloatArray:
        """Log hazards of the intervals, then coefficients of the terms; from the patients `rows` alone, if given."""
        chosen = self if rows is None else self._replace(**{k: getattr(self, k)[rows] for k in _BY_PATIENT})
        found = np.zeros(chosen.events.shape[1] + chosen.terms.shape[1])
        for _ in range(_STEPS):
            score, information = chosen.slopes(found)
            step = np.linalg.solve(information, score)
            found += step * min(1.0, _LONGEST_STEP / max(np.abs(step).max(), _SMALL_STEP))
            if np.abs(step).max() < _SMALL_STEP:
                return found
        return np.full_like(found, np.nan)

    def expected(self, found: FloatArray) -> FloatArray:
        """Expected events, shape (patients, intervals)."""
        n = self.events.shape[1]
        return np.exp(np.clip((self.terms @ found[n:])[:, None] + found[:n], -500.0, 500.0)) * self.exposure

    def slopes(self, found: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient of the penalised log likelihood and its information."""
        expected, n = self.expected(found), self.events.shape[1]
        penalty = np.append(np.full(n, _FAINT_PRECISION), self.precision)
        residual = self.events - expected
        score = np.append(residual.sum(axis=0), residual.sum(axis=1) @ self.terms) - penalty * found
        information = block_diag(
            np.diag(expected.sum(axis=0)), (self.terms.T * expected.sum(axis=1)) @ self.terms
        ) + np.diag(penalty)
        information[:n, n:] = expected.T @ self.terms
        information[n:, :n] = information[:n, n:].T
        return score, information

    def log_likelihood(self, found: FloatArray) -> float:
        """Without the penalty, less what does not depend on the parameters."""
        n = self.events.shape[1]
        expected = self.expected(found)
        return float((self.events * ((self.terms @ found[n:])[:, None] + found[:n])).sum() - expected.sum())

    def cumulative(self, found: FloatArray, arm: float) -> FloatArray:
        """Cumulative hazards by the horizon if everybody is in one arm, shape (patients,)."""
        n = self.events.shape[1]
        log_hazard = self.terms @ found[n:] + found[n] * (arm - self.terms[:, 0])
        return np.asarray(np.exp(log_hazard) * (np.exp(found[:n]) @ self.widths))


_BY_PATIENT = ("terms", "exposure", "events")


def ranked_by_risk(trial: OwnTrial) -> Quintiles:
    """Fifths of cross-fitted risk without treatment: by `risk_quintiles`, or with times by proportional hazards."""
    if trial.time is None:
        return risk_quintiles(trial)
    fold = arm_balanced_folds(trial.treatment, N_FOLDS, trial.question.seed)
    log_hazard = np.zeros(trial.n)
    for number in range(len(trial.imputed)):
        model = Hazards.of(trial, number)
        for held_out in range(N_FOLDS):
            own = fold == held_out
            found = model.fit(~own)
            log_hazard[own] += np.log(model.cumulative(found, 0.0)[own]) / len(trial.imputed)
    if not np.isfinite(log_hazard).all():
        raise DataError("the regression for times found no maximum: name fewer covariates, or correct extreme values")
    return Quintiles(groups_within_folds(log_hazard, fold, N_GROUPS), -np.expm1(-np.exp(log_hazard)), fold)


def heterogeneity_of_times(
    trial: OwnTrial, modifiers: FloatArray, names: list[str], progress: Callable[[str], None]
) -> Heterogeneity:
    """`hte_utils.report.heterogeneity.heterogeneity` for times: one hazard ratio for all patients is the null model."""
    model = Hazards.of(trial)
    found, n_intervals = model.fit(), model.events.shape[1]
    truth = np.exp(-model.cumulative(found, 0.0)) - np.exp(-model.cumulative(found, 1.0))
    factor = np.exp(model.terms @ found[n_intervals:])
    cumulative = np.append(0.0, np.cumsum(np.exp(found[:n_intervals]) * model.widths))
    ends = np.append(0.0, as_times(trial).ends)
    leaving = [_censoring(trial, value) for value in (0.0, 1.0)]
    rng = np.random.default_rng((trial.question.seed, 11))
    parts, covered, wanted = [], [], trial.question.simulations
    for number in range(1, wanted + 1):
        event_at = np.interp(rng.exponential(size=trial.n) / factor, cumulative, ends, right=np.inf)
        u = rng.random(trial.n)
        left_at = np.where(trial.treatment == 1.0, leaving[1](u), leaving[0](u))
        outcome = (event_at <= left_at).astype(np.float64)
        simulated = replace(trial, time=np.minimum(event_at, left_at), outcome=outcome)
        parts.append(_statistics(simulated, modifiers))
        covered.append(_covered(simulated, truth))
        if number % 50 == 0 or number == wanted:
            progress(f"simulated {number} of {wanted} trials without heterogeneity")
    together = Statistics(*(np.concatenate(each) for each in zip(*parts, strict=True)))
    return calibrated(_statistics(trial, modifiers), together, np.stack(covered), names)


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


def _statistics(trial: OwnTrial, modifiers: FloatArray) -> Statistics:
    """As those of `hte_utils.report.heterogeneity.NullModel`, with the likelihood of times; shape (1,)."""
    model = Hazards.of(trial)
    found, n = model.fit(), model.events.shape[1]
    arm, risk = model.terms[:, 0], model.terms[:, 1:] @ found[n + 1 :]
    risk = risk - risk.mean()
    small, large = model.with_terms(arm, risk), model.with_terms(arm, risk, arm * risk)
    ratio = 2.0 * (large.log_likelihood(large.fit()) - small.log_likelihood(small.fit()))
    expected, products = model.expected(found), arm[:, None] * modifiers
    weight, residual = expected.sum(axis=1), model.events - expected
    score, information = model._replace(precision=np.full(model.terms.shape[1], 1e-9)).slopes(found)
    cross = np.vstack([expected.T @ products, (model.terms.T * weight) @ products])
    projected = np.linalg.solve(information, cross)
    variance = (products.T * weight) @ products - cross.T @ projected
    left = residual.sum(axis=1) @ products - score @ projected
    z = left / np.sqrt(np.maximum(np.diag(variance), 1e-12))
    everything = left @ np.linalg.pinv(variance, hermitian=True) @ left
    largest = np.abs(z).max(initial=0.0)
    return Statistics(np.array([ratio]), np.array([everything]), np.array([largest]), z[None])


def _covered(trial: OwnTrial, truth: FloatArray) -> FloatArray:
    """Whether each fifth's interval holds its true effect, shape (fifths,); NaN where there is none."""
    members = ranked_by_risk(trial).members()
    both = [name for name in members if np.unique(trial.treatment[members[name]]).size == 2]
    effects = crude_effects(trial, members[both]).xs("RISK_DIFFERENCE", level="measure").reindex(members.columns)
    true = np.array([truth[members[name]].mean() if name in both else np.nan for name in members])
    estimate, lower, upper = (effects[key].to_numpy() for key in ("estimate", "lower", "upper"))
    return np.where(np.isfinite(estimate), (lower <= true) & (true <= upper), np.nan)
