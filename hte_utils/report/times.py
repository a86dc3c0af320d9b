"""Trials with times: risks by a horizon where some patients were censored before it.

Risks are Kaplan and Meier's. A patient who was censored before the horizon is at risk until then, and never counts as
one without event. `OwnTrial.time` ends at the horizon, and `OwnTrial.outcome` is whether the event was seen by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import pandas as pd
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from hte_utils.corrected.subgroups import compared_rates, unadjusted_effects
from hte_utils.effects.averages import EVERYBODY, everybody
from hte_utils.effects.logistic import Z
from hte_utils.effects.survival import hazard_ratio, observed_by
from hte_utils.model.checks import FloatArray, rows_where
from hte_utils.model.survival import TimesDesign
from hte_utils.report.reading import DataError, has_decimal_comma, missing_in, numbers_of

if TYPE_CHECKING:
    from hte_utils.model.spec import TrialDesign
    from hte_utils.report.columns import OwnTrial
    from hte_utils.report.question import Question

_MOST_INTERVALS, _EVENTS_EACH = 4, 20
_ROLES = ("control", "treated")
_MEASURES = ("RISK_DIFFERENCE", "RISK_RATIO", "MARGINAL_LOG_ODDS_RATIO")


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


def missed_effects(trial: OwnTrial, members: pd.DataFrame, truth: FloatArray) -> FloatArray:
    """Whether each population's interval misses its true effect, shape (populations,); NaN where there is none.

    `truth`: each patient's risk difference.
    """
    both = [name for name in members if np.unique(trial.treatment[members[name]]).size == 2]
    effects = crude_effects(trial, members[both]).xs("RISK_DIFFERENCE", level="measure").reindex(members.columns)
    true = np.array([truth[members[name]].mean() if name in both else np.nan for name in members])
    estimate, lower, upper = (effects[key].to_numpy() for key in ("estimate", "lower", "upper"))
    return np.where(np.isfinite(estimate), (true < lower) | (upper < true), np.nan)
