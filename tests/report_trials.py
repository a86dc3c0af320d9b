"""A small trial as people have them: text columns, a centre, 1:2 allocation, and a known truth."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from hte_utils.report import Question, Report, analyse

COVARIATES = ("age", "sex", "severity")


def own_trial_frame(n: int = 600, seed: int = 3) -> pd.DataFrame:
    """Simulated; the event is "yes", the treated arm "Active" (which sorts before "Placebo")."""
    rng = np.random.default_rng(seed)
    age, severity = rng.normal(60, 10, n).round(1), rng.choice(["mild", "moderate", "severe"], n, p=[0.5, 0.3, 0.2])
    sex, centre = rng.choice(["F", "M"], n), rng.choice(list("ABCDE"), n)
    treated = rng.random(n) < 2 / 3
    log_odds = -2 + 0.05 * (age - 60) + 0.8 * (severity == "severe") - 0.5 * treated
    event = rng.random(n) < 1 / (1 + np.exp(-log_odds))
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "event": np.where(event, "yes", "no"),
            "arm": np.where(treated, "Active", "Placebo"),
            "age": age,
            "sex": sex,
            "severity": severity,
            "centre": centre,
        }
    )


def own_question(**more: object) -> Question:
    """The question of that trial, with few simulations."""
    given: dict[str, object] = {
        "outcome": "event",
        "event": "yes",
        "treatment": "arm",
        "control": "Placebo",
        "covariates": COVARIATES,
        "simulations": 20,
    }
    return Question(**(given | more))  # type: ignore[arg-type]


@functools.cache
def own_report() -> Report:
    """Made once."""
    return analyse(own_trial_frame(), own_question(group=("centre",)))
