"""Simulate the example trial of the chapter *Your own trial*, as it is shipped in book/data/own-trial.

    python benchmarks/own_trial.py [--to book/data/own-trial]

Nobody was treated: every patient is a random number. The trial has what tables of real trials have: text columns, a
centre, an allocation of 1:2, and an arm whose name sorts before "Placebo". By the design that is written down here,
treatment halves the odds of a relapse in mild disease, hardly changes them in severe disease, and nothing else modifies
its effect.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

N_PATIENTS, SEED = 1200, 20_261_126
LOG_ODDS_RATIO = {"mild": -0.9, "moderate": -0.6, "severe": -0.1}
SHIPPED = Path(__file__).parents[1] / "book" / "data" / "own-trial"

PLAN = """\
# What was fixed before the outcomes were seen: the keys are the fields of hte_utils.report.Question.
title = "Example trial: Active against Placebo"
outcome = "relapse"
event = "yes"
treatment = "arm"
control = "Placebo"
identifier = "patient"
covariates = ["age", "sex", "severity", "smoker", "crp"]
modifiers = ["age", "severity"]
group = "centre"

[subgroups]
age = [65]
severity = []
"""


def simulate() -> pd.DataFrame:
    """The table, one row per patient."""
    rng = np.random.default_rng(SEED)
    n = N_PATIENTS
    table = pd.DataFrame({"patient": [f"P{number:04}" for number in range(1, n + 1)]})
    table["centre"] = rng.choice([f"Centre {name}" for name in "ABCDEFGH"], n)
    table["age"] = np.clip(rng.normal(62.0, 11.0, n), 25.0, 92.0).round()
    table["sex"] = rng.choice(["female", "male"], n, p=[0.55, 0.45])
    table["severity"] = rng.choice(["mild", "moderate", "severe"], n, p=[0.45, 0.35, 0.20])
    table["smoker"] = rng.choice(["no", "yes"], n, p=[0.75, 0.25])
    table["crp"] = np.exp(rng.normal(1.5, 0.8, n)).round(1)
    table["arm"] = rng.choice(["Placebo", "Active"], n, p=[1 / 3, 2 / 3])
    centre = dict(zip(sorted(table["centre"].unique()), rng.normal(0.0, 0.25, 8), strict=True))
    log_odds = (
        -1.6
        + 0.35 * (table["age"] - 62.0) / 11.0
        + table["severity"].map({"mild": 0.0, "moderate": 0.6, "severe": 1.3})
        + 0.3 * (table["smoker"] == "yes")
        + table["centre"].map(centre)
        + (table["arm"] == "Active") * table["severity"].map(LOG_ODDS_RATIO)
    )
    table["relapse"] = np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-log_odds)), "yes", "no")
    return table


def main() -> None:
    """Write the table and the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, default=SHIPPED)
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    simulate().to_csv(folder / "trial.csv", index=False, lineterminator="\n")
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")


if __name__ == "__main__":
    main()
