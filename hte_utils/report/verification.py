"""The report against R and closed forms, on the shipped trials: a dated table that says what passed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd

from hte_utils.ledger.notebooks import Project
from hte_utils.model.fit import library_versions
from hte_utils.report.analysis import Report, analyse
from hte_utils.report.columns import own_trial
from hte_utils.report.question import Question
from hte_utils.report.reading import read_table
from hte_utils.report.times import times_shown
from hte_utils.report.words import baseline
from hte_utils.trial.actg175 import ARMS, read_actg175, two_arms

_TOLERANCE = 1e-6
_SHIPPED_COVARIATES = ("age", "sex", "severity", "smoker", "crp")
_HORIZON = 730.0


def verify() -> pd.DataFrame:
    """One row for each number: `ours`, `expected`, by whom (`witness`), and whether it `passed`.

    R's values are those that `tests/reference/r_report.R` printed: of the example trial, and of two arms of ACTG 175
    with times.
    """
    folder = Project.find().stored_results / "own-trial"
    question = Question("relapse", "arm", _SHIPPED_COVARIATES, event="yes", control="Placebo", simulations=20)
    table = read_table(folder / "trial.csv")
    report, again = (analyse(table, question) for _ in range(2))
    printed = pd.read_csv(folder / "r_values.csv", comment="#", index_col="name")["value"]
    ours = _averages(report) | _table_one(report) | _times()
    rows = [(name, ours[str(name)], float(value), "R") for name, value in printed.items()]
    rows += [
        (f"{name}: observed risk difference", row["estimate"], _rate_difference(row), "closed form")
        for name, row in report.quintiles.iterrows()
    ]
    rows.append(
        ("patients in the five fifths", float(report.quintiles["n"].sum()), float(report.trial.n), "closed form")
    )
    first, second = (each.numbers()["heterogeneity"]["p"] for each in (report, again))
    rows.append(("calibrated p-value, the same seed again", second, first, "first run"))
    found = pd.DataFrame(rows, columns=["number", "ours", "expected", "witness"])
    return found.assign(passed=np.isclose(found["ours"], found["expected"], rtol=0.0, atol=_TOLERANCE))


def _averages(report: Report) -> dict[str, float]:
    """Effects by the names of the R script."""
    arms = report.trial.arm_counts()
    found = {"n": report.trial.n, "events": report.trial.outcome.sum()}
    found |= {f"events_{role}": arm.events for role, arm in arms.items()}
    numbers: dict[str, Any] = report.numbers()["average"]
    crude, standardised = numbers, numbers["standardised"]
    for key, name in {"estimate": "difference", "lower": "lower", "upper": "upper"}.items():
        found[f"crude_{name}"] = crude["risk_difference"][key]
        found[f"standardised_{name}"] = standardised["risk_difference"][key]
    for key, name in {"estimate": "ratio", "lower": "ratio_lower", "upper": "ratio_upper"}.items():
        found[f"standardised_{name}"] = standardised["risk_ratio"][key]
    return {name: float(value) for name, value in found.items()}


def _table_one(report: Report) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in baseline(report.trial).to_dict("records"):
        name = f"{row['covariate']} {row['value']}" if row["counts"] else row["covariate"]
        for arm in ("control", "treated"):
            found |= {f"table 1: {name}: {arm}": row[arm], f"table 1: {name}: {arm} spread": row[f"{arm}_spread"]}
        found[f"table 1: {name}: difference"] = row["difference"]
    return found


def _times() -> dict[str, float]:
    """Risks, event-free times and the hazard ratio of ACTG 175 by a horizon, by the names of the R script."""
    patients = two_arms(read_actg175(Project.find().stored_results / "actg175" / "actg175.csv"), ARMS[1])
    question = Question("event", "arm", ("age",), control=ARMS[0], time="days", horizon=_HORIZON)
    times = times_shown(own_trial(patients.astype({"arm": str}), question))
    found = {
        f"times: {arm}: {key}": float(row[key])
        for arm, row in times.arms.to_dict("index").items()
        for key in ("risk", "se", "event_free", "event_free_se")
    }
    found |= {f"times: hazard ratio: {key}": value for key, value in times.hazard_ratio.items()}
    return found | {"times: log-rank p": times.log_rank_p}


def _rate_difference(row: pd.Series) -> float:
    return float(row["events_treated"] / row["n_treated"] - row["events_control"] / row["n_control"])


def verification_text(found: pd.DataFrame) -> str:
    """The dated table, the versions it holds for, and the verdict."""
    shown = found.assign(passed=found["passed"].map({True: "pass", False: "FAIL"}))
    versions = ", ".join(f"{name} {version}" for name, version in library_versions("hte-utils", "pandas").items())
    verdict = f"{int(found['passed'].sum())} of {len(found)} numbers passed (within {_TOLERANCE:g})."
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    table = shown.to_string(index=False, float_format=lambda value: f"{value:.8f}")
    return f"Verification of hte_utils.report, {when}\n{table}\n{verdict}\n{versions}\n"
