"""The protocol of the study as tables, made from the records that the study runs by, so that neither can drift away.

The event is bleeding: a positive effect is harm. Morris, White & Crowther (2019) call the parts ADEMP: aims,
data-generating mechanisms, estimands, methods, performance measures.
"""

from __future__ import annotations

import math
from typing import Final

import pandas as pd

from hte_utils.study.generate import PROFILE_NAMES, population, profiles
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS

POINTS: Final = 100.0
WANTED_COVERAGE_MCSE: Final = 0.005
NOMINAL_COVERAGE: Final = 0.95

PERFORMANCE: Final = {
    "bias": "mean over patients of estimated minus true effect",
    "RMSE": "root of the mean over patients of the squared error",
    "MAE": "mean over patients of the absolute error",
    "correlation": "Pearson correlation over patients of estimated and true effects",
    "calibration slope": "least squares of true on estimated effects; below 1: estimated too far apart",
    "coverage": "share of patients whose true effect lies in their own 95 % interval",
    "width": "mean over patients of the width of that interval",
    "policy regret": "bleeds per 1000 patients above the best possible rule, if those with an estimated risk "
    "difference below 0 are treated",
    "bias of the ATE": "mean over trials of estimated minus true average risk difference",
    "empirical SE of the ATE": "SD over trials of that error",
    "coverage of one effect": "share of trials whose 95 % interval holds the truth: the ATE, or a profile patient's "
    "effect",
    "paired difference": "one method's measure minus another's on the same trials, mean",
}
"""The performance measures, and what each is."""
_OTHER_ERRORS: Final = {"empirical SE of the ATE": "SE / √(2(n − 1))", "coverage of one effect": "√(p(1 − p) / n)"}


def mechanisms() -> pd.DataFrame:
    """Describe the scenarios by what is true in their large populations.

    Returns
    -------
    pandas.DataFrame
        Index: the scenarios' labels. Columns: `patients` (of a trial), `event_rate` (both arms, per cent), `ate` (mean
        risk difference, percentage points; positive is harm), `sd_rd` and `sd_lor` (how much the effect varies between
        patients: SD of risk differences in points, and of log odds ratios), `helped` (per cent of the patients whose
        risk treatment lowers).
    """
    rows = {}
    for scenario in SCENARIOS.values():
        truth = population(scenario).truth
        treated = truth.baseline_risk + truth.risk_difference
        rows[scenario.label] = {
            "patients": scenario.n_patients,
            "event_rate": POINTS * float(truth.baseline_risk.mean() + treated.mean()) / 2.0,
            "ate": POINTS * float(truth.risk_difference.mean()),
            "sd_rd": POINTS * float(truth.risk_difference.std()),
            "sd_lor": float(truth.log_odds_ratio.std()),
            "helped": POINTS * float((truth.risk_difference < 0.0).mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="scenario")


def profile_patients() -> pd.DataFrame:
    """The fixed patients whose effects are followed from trial to trial, with the truth in the paper's design.

    Returns
    -------
    pandas.DataFrame
        Index: their names. Columns: the covariates in words, `risk` (per cent, without treatment) and `effect` (risk
        difference, percentage points; positive is harm).
    """
    patients = profiles(SCENARIOS[PAPER_DESIGN])
    table = patients.covariates
    flags = ["hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding"]
    conditions = [
        ", ".join(name.replace("_", " ") for name in flags if row[name] == "Yes") or "none"
        for _, row in table.iterrows()
    ]
    return pd.DataFrame(
        {
            "age": table["age"].to_numpy().round().astype(int),
            "gender": table["gender"].astype(str).to_numpy(),
            "BMI": table["bmi"].to_numpy().round().astype(int),
            "conditions": conditions,
            "risk": POINTS * patients.truth.baseline_risk,
            "effect": POINTS * patients.truth.risk_difference,
        },
        index=pd.Index(PROFILE_NAMES, name="profile"),
    )


def performance_measures() -> pd.DataFrame:
    """`PERFORMANCE` as a table, with the formula of each Monte Carlo standard error over n replicates."""
    table = pd.DataFrame({"definition": PERFORMANCE}).rename_axis(index="measure")
    return table.assign(monte_carlo_se=[_OTHER_ERRORS.get(name, "SD / √n") for name in table.index])


def replicates_for_coverage(mcse: float = WANTED_COVERAGE_MCSE, coverage: float = NOMINAL_COVERAGE) -> int:
    """How many replicates keep the Monte Carlo standard error of a coverage at `mcse`: p(1 - p) / mcse², rounded up."""
    return math.ceil(round(coverage * (1.0 - coverage) / mcse**2, 9))
