"""All numbers of a report. Risk differences are probabilities: rate of the treated minus rate of the controls.

Whether a positive difference is harm or benefit depends on the event (`Question.benefit`); the numbers do not turn
round, the words do.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from scipy.special import expit

from hte_utils.corrected.subgroups import standardised_effects
from hte_utils.effects.averages import EVERYBODY, Measure, everybody
from hte_utils.effects.logistic import Z, fit_replicates
from hte_utils.model.checks import FloatArray
from hte_utils.model.fit import FitRecord, FitWarning, library_versions
from hte_utils.model.threads import one_blas_thread
from hte_utils.report.columns import OwnTrial, own_trial
from hte_utils.report.hazards import heterogeneity_of_times, ranked_by_risk
from hte_utils.report.heterogeneity import (
    Heterogeneity,
    Quintiles,
    RiskModel,
    heterogeneity,
)
from hte_utils.report.intervals import ALONE, FIFTHS, SHRUNKEN, subgroup_null_rates
from hte_utils.report.question import Question
from hte_utils.report.reading import Table
from hte_utils.report.shrinkage import (
    Predicted,
    Shrunken,
    predicted_effects,
    shrunken_effects,
    subgroup_members,
)
from hte_utils.report.times import Times, crude_effects, times_shown

_WEAK_PRECISION = 0.16  # Normal(0, 2.5): where the likelihood alone has no maximum


class Report(NamedTuple):
    """What was found. Tables of effects have the columns `estimate`, `lower`, `upper` (95 % intervals).

    `crude`, `standardised`: index measure (names of `Measure`), of all patients. `quintiles`: index Q1 to Q5, counts
    and rates by arm, `risk` (mean predicted risk without treatment), the risk difference and `ratio`, `ratio_lower`,
    `ratio_upper`. With times all risks are those by the horizon; `times` has the rest. `intervals`: null rates of the
    intervals on heterogeneity, index kind (`FIFTHS`, `ALONE`, `SHRUNKEN`, `PATIENTS`) and interval, as `null_rates`.
    """

    trial: OwnTrial
    crude: pd.DataFrame
    standardised: pd.DataFrame
    ranking: Quintiles
    quintiles: pd.DataFrame
    tests: Heterogeneity
    shrunken: Shrunken | None
    predicted: Predicted | None
    intervals: pd.DataFrame
    data_digest: str
    warnings: list[str]
    times: Times | None = None

    def null_rate(self, kind: str, interval: str) -> dict[str, float]:
        """How often an interval misses where there is no heterogeneity, by the names of `_RATE`; NaN if not known."""
        if (kind, interval) not in self.intervals.index:
            return dict.fromkeys(_RATE, np.nan)
        row: Any = self.intervals.loc[(kind, interval)]
        return {key: float(row[key]) for key in _RATE}

    def numbers(self) -> dict[str, Any]:
        """Every number, ready for JSON; NaN is null."""
        trial, question = self.trial, self.trial.question
        arms = trial.arm_counts()
        rows = [
            {"group": name, "n": int(row["n"]), "events": int(row["events"]), "risk": row["risk"]}
            | {f"{what}_{arm}": int(row[f"{what}_{arm}"]) for arm in ("control", "treated") for what in ("n", "events")}
            | {f"rate_{arm}": row[f"rate_{arm}"] for arm in ("control", "treated")}
            | {"risk_difference": _interval(row) | self.null_rate(FIFTHS, str(name))}
            | {"risk_ratio": {key: row[f"ratio{end}"] for key, end in _ENDS.items()}}
            for name, row in self.quintiles.iterrows()
        ]
        tests = [{"test": name} | row.to_dict() for name, row in self.tests.tests.iterrows()]
        single = [{"modifier": name} | row.to_dict() for name, row in self.tests.single.iterrows()]
        named = self.intervals.rename_axis(["kind", "interval"]).reset_index()
        found = {
            "title": question.title,
            "n": trial.n,
            "events": int(trial.outcome.sum()),
            "outcome": {"column": question.outcome, "event": trial.event, "good": question.benefit},
            "arms": {
                "column": question.treatment,
                "treated": trial.arms[1],
                "control": trial.arms[0],
                "counts": {role: {"n": arm.n, "events": arm.events, "rate": arm.rate} for role, arm in arms.items()},
            },
            "average": _measures(self.crude)
            | {"method": "rates of the arms" if self.times is None else "Kaplan and Meier's risks by the horizon"}
            | {"standardised": _measures(self.standardised)},
            "quintiles": rows,
            "heterogeneity": (tests[0] if tests else {"test": None, "p": None, "null_rate": None})
            | {"tests": tests, "modifiers": single, "simulated": self.tests.simulated}
            | {"quintile_interval_coverage": self.tests.coverage}
            | {"intervals": named.to_dict("records")},
            "subgroups": self._subgroups(),
            "patients": self._patients(),
            "sensitivity": [] if self.shrunken is None else _rows(self.shrunken.sensitivity, "scale"),
            "predicted_effects": None
            if self.predicted is None
            else {name: getattr(self.predicted, name) for name in ("slope", "concordance", "autoc")}
            | {"net_benefit": _rows(self.predicted.net_benefit, "threshold")},
            "fits": [] if self.shrunken is None else [_fit(record) for record in self.shrunken.fits],
            "horizon": question.horizon,
            "censored_before_horizon": None if self.times is None else self.times.arms["censored"].to_dict(),
            "times": None if self.times is None else _times(self.times),
            "flow": [{"what": what, "n": count} for what, count in trial.flow],
            "missing": trial.missing,
            "notes": trial.notes,
            "warnings": self.warnings,
            "seed": question.seed,
            "plan_digest": question.plan_digest,
            "data_digest": self.data_digest,
            "versions": library_versions("hte-utils", "pandas", "statsmodels", "scikit-learn"),
        }
        return {key: _plain(value) for key, value in found.items()}

    def _subgroups(self) -> list[dict[str, Any]]:
        if self.shrunken is None:
            return []
        counts = [f"{what}_{arm}" for arm in ("control", "treated") for what in ("n", "events")]
        return [
            {"population": name, "risk_difference": _interval(row) | self.null_rate(ALONE, str(name))}
            | {
                "shrunken": {"estimate": row["mean"], "lower": row["model_lower"], "upper": row["model_upper"]}
                | self.null_rate(SHRUNKEN, str(name))
            }
            | {count: int(row[count]) for count in counts}
            for name, row in self.shrunken.subgroups.iterrows()
        ]

    def _patients(self) -> dict[str, Any] | None:
        """Individual effects: quantiles over patients, and for what share the direction is sure."""
        if self.shrunken is None:
            return None
        positive, negative = self.shrunken.sure
        return {
            "quantiles": _rows(self.shrunken.patients, "quantile"),
            "surely_more_events": positive,
            "surely_fewer_events": negative,
        }


_DIFFERENCE = Measure.RISK_DIFFERENCE.name
_ENDS = {"estimate": "", "lower": "_lower", "upper": "_upper"}
_ROLES = ("control", "treated")
_RATE = ("null_rate", "null_rate_mcse", "simulated")
_WITH_RATES = (*_ENDS, *(f"rate_{arm}" for arm in _ROLES))


def _interval(row: Any) -> dict[str, float]:
    return {key: row[key] for key in _ENDS}


def _rows(table: pd.DataFrame, key: str) -> list[dict[str, Any]]:
    rows = table.to_dict("records")
    return [{key: place} | {str(name): row[name] for name in row} for place, row in zip(table.index, rows, strict=True)]


def _fit(record: FitRecord) -> dict[str, Any]:
    checks = [{"name": check.name, "value": check.value, "rule": check.rule} for check in record.checks]
    return {"engine": record.sampler, "ess": record.ess, "checks": checks}


def _times(times: Times) -> dict[str, Any]:
    return times._asdict() | {"arms": times.arms.to_dict("index")}


def _measures(table: pd.DataFrame) -> dict[str, Any]:
    return {str(name).lower(): _interval(row) for name, row in table.iterrows()}


def _plain(value: Any) -> Any:
    """Plain Python numbers; what is not finite is None."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value


def analyse(
    table: Table | pd.DataFrame, question: Question, *, progress: Callable[[str], None] | None = None
) -> Report:
    """Make all numbers of a report from a trial's table; DataError if the table does not allow it.

    `progress` is called with a sentence now and then.
    """
    say = progress or _silent
    trial = own_trial(table, question)
    warnings = list(trial.warnings)
    say(f"read {trial.n} patients, {int(trial.outcome.sum())} events")
    # One thread: faster for products of this size, and sums that are shared out may round differently.
    with one_blas_thread():
        crude = cast("pd.DataFrame", crude_effects(trial, everybody(trial.n)).xs(EVERYBODY))
        if trial.time is None:
            standardised = _standardised(trial, warnings)
        ranking = ranked_by_risk(trial)
        quintiles = _by_quintile(trial, ranking, warnings)
        say("effects by cross-fitted risk are there")
        modifiers, names = _modifier_columns(trial)
        members = subgroup_members(trial)
        shrunken = _shrunken(trial, members, warnings)
        say("shrunken effects are there")
        if trial.time is None:
            times = None
            predicted = predicted_effects(trial, ranking.fold) if names and np.ptp(ranking.risk) > 0.0 else None
            tests = heterogeneity(trial, ranking, modifiers, names, say)
        else:
            times, predicted = times_shown(trial), None  # these predictions are of an outcome that all patients have
            standardised = crude[["estimate", "lower", "upper"]] * np.nan if shrunken is None else shrunken.average
            tests = heterogeneity_of_times(trial, modifiers, names, say)
        rates = {FIFTHS: tests.fifths}
        if shrunken is not None:
            rates |= subgroup_null_rates(trial, members, shrunken, say)
    if tests.simulated < question.simulations:
        warnings.append(
            f"Only {tests.simulated} of {question.simulations} trials without heterogeneity could be analysed."
        )
    intervals, digest = pd.concat(rates), _digest(trial)
    return Report(
        trial, crude, standardised, ranking, quintiles, tests, shrunken, predicted, intervals, digest, warnings, times
    )


def _shrunken(trial: OwnTrial, members: pd.DataFrame, warnings: list[str]) -> Shrunken | None:
    try:
        found = shrunken_effects(trial, members)
    except FitWarning as failure:
        warnings.append(f"The hierarchical model could not be fitted, so nothing of it is reported: {failure}")
        return None
    if any(record.sampler == "nuts" for record in found.fits):
        warnings.append("The quick engine could not fit the hierarchical model: NUTS took over.")
    return found


def _silent(_: str) -> None:
    return None


def _standardised(trial: OwnTrial, warnings: list[str]) -> pd.DataFrame:
    """Standardised average effects of a logistic regression on arm, covariates and group, pooled over imputations.

    Maximum likelihood, but for the group, whose effects are shrunken (Normal(0, 1)).
    """
    tables = []
    n_groups = len(trial.group_labels) - 1
    for number in range(len(trial.imputed)):
        model = RiskModel.of(trial, number)
        precision = np.append(np.zeros(model.terms.shape[1] - n_groups), np.ones(n_groups))
        if any(arm.events in (0, arm.n) for arm in trial.arm_counts().values()):
            warnings.append("One arm has no event or no non-event: there is no standardised effect.")
            names = [measure.name for measure in Measure]
            return pd.DataFrame(np.nan, index=names, columns=["estimate", "lower", "upper", "se"])
        coefficients = fit_replicates(model.terms, trial.outcome, precision=precision)[0]
        if np.isnan(coefficients).any():
            precision[2:] = np.maximum(precision[2:], _WEAK_PRECISION)
            coefficients = fit_replicates(model.terms, trial.outcome, precision=precision)[0]
            warning = (
                "The covariates separate the events, or repeat each other: the standardised effect is from a "
                "regression with weak Normal(0, 2.5) priors, not from maximum likelihood."
            )
            warnings.extend([warning] if warning not in warnings else [])
        p = expit(model.terms @ coefficients)
        information = (model.terms.T * (p * (1.0 - p))) @ model.terms + np.diag(precision)
        untreated, treated = model.terms.copy(), model.terms.copy()
        untreated[:, 1], treated[:, 1] = 0.0, 1.0
        covariance = np.linalg.inv(information)
        found = standardised_effects(coefficients, covariance, untreated, treated, everybody(trial.n))
        tables.append(cast("pd.DataFrame", found.xs(EVERYBODY)))
    return pooled(tables)


def pooled(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Rubin's rules: mean of the estimates, variance within plus (1 + 1/m) times that between; ratios on the log scale.

    Tables with columns `estimate`, `se` and the index measure, one for each imputation; one is returned as it is.
    """
    if len(tables) == 1:
        return tables[0]
    ratio = np.asarray(tables[0].index == Measure.RISK_RATIO.name)
    estimates = np.stack(
        [np.where(ratio, np.log(np.where(ratio, each["estimate"], 1.0)), each["estimate"]) for each in tables]
    )
    within = np.mean([each["se"] ** 2 for each in tables], axis=0)
    se = np.sqrt(within + (1.0 + 1.0 / len(tables)) * estimates.var(axis=0, ddof=1))
    centre = estimates.mean(axis=0)
    ends = [np.where(ratio, np.exp(each), each) for each in (centre, centre - Z * se, centre + Z * se)]
    return pd.DataFrame(dict(zip(_ENDS, ends, strict=True)) | {"se": se}, index=tables[0].index)


def _by_quintile(trial: OwnTrial, ranking: Quintiles, warnings: list[str]) -> pd.DataFrame:
    members = ranking.members()
    populations = [str(name) for name in members]
    both = {name: bool(np.unique(trial.treatment[members[name]]).size == 2) for name in populations}
    if empty := [name for name, there in both.items() if not there]:
        warnings.append(f"Risk groups without patients of both arms cannot be compared: {', '.join(empty)}.")
    effects = crude_effects(trial, members[[name for name, there in both.items() if there]])
    unknown = effects["estimate"].xs(_DIFFERENCE, level="measure").isna()
    if unknown.any():
        names = ", ".join(unknown.index[unknown])
        warnings.append(f"In an arm of these risk groups nobody was followed up to the horizon: {names}.")
    rows = {}
    for name in populations:
        inside = members[name].to_numpy()
        row: dict[str, float] = {
            "n": inside.sum(),
            "events": trial.outcome[inside].sum(),
            "risk": ranking.risk[inside].mean() if inside.any() else np.nan,
        }
        for value, arm in enumerate(("control", "treated")):
            outcomes = trial.outcome[inside & (trial.treatment == value)]
            row |= {f"n_{arm}": outcomes.size, f"events_{arm}": outcomes.sum()}
        difference, ratio = (
            cast(
                "Mapping[str, float]",
                effects.loc[(name, measure.name)] if both[name] else dict.fromkeys(_WITH_RATES, np.nan),
            )
            for measure in (Measure.RISK_DIFFERENCE, Measure.RISK_RATIO)
        )
        row |= {f"rate_{arm}": difference[f"rate_{arm}"] for arm in _ROLES}
        row |= {key: difference[key] for key in _ENDS} | {f"ratio{end}": ratio[key] for key, end in _ENDS.items()}
        rows[name] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _modifier_columns(trial: OwnTrial) -> tuple[FloatArray, list[str]]:
    """Design columns of the covariates that may modify the effect, shape (patients, columns), and their names."""
    parts = [each.columns() for each in trial.covariates if each.name in trial.question.effect_modifiers]
    if not parts:
        return np.empty((trial.n, 0)), []
    return np.hstack([columns for columns, _ in parts]), [name for _, names in parts for name in names]


def _digest(trial: OwnTrial) -> str:
    """SHA-256 of what was analysed: arm, outcome, covariates as read, group."""
    content = hashlib.sha256()
    times = [] if trial.time is None else [trial.time]
    for values in (trial.treatment, trial.outcome, *times, trial.group, *(each.numbers for each in trial.covariates)):
        content.update(np.ascontiguousarray(np.asarray(values, dtype="<f8")).tobytes())
    return content.hexdigest()
