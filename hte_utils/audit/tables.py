"""Small tables that the chapter *Audit* shows above its verdicts. Positive effects are harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.audit.common import QUINTILES, table_8
from hte_utils.trial import AGE_LIMITS, BMI_LIMITS, simulate_truth
from hte_utils.trial.as_described import simulate_truth_as_described

if TYPE_CHECKING:
    from hte_utils.audit.case import Case
    from hte_utils.audit.confounding import Allocation
    from hte_utils.trial import TrialTruth


def table_8_by_reading(case: Case) -> pd.DataFrame:
    """Lay the risk and the effect of Table 8 beside both readings of the posterior.

    Index: quintile. Columns (two levels): mean risk (a probability) and mean effect (log odds ratio of bleeding),
    each as printed, without and with the gender effects.
    """
    columns = {}
    for label, name in (("mean risk", "mean_risk"), ("mean effect", "mean_te")):
        columns[label, "printed"] = table_8(name)
        columns[label, "gender effects left out"] = case.as_computed.log_odds[name].to_numpy()
        columns[label, "gender effects in"] = case.as_implied.log_odds[name].to_numpy()
    return pd.DataFrame(columns, index=list(QUINTILES))


def truth_by_quintile(case: Case) -> pd.DataFrame:
    """Lay what the model says of the patients of each group of Table 8 (gender effects in) beside what is true.

    Index: quintile. Predicted and true risk difference (percentage points, positive = more bleeds), and the share
    of patients (%) whose risk treatment truly raises.
    """
    true, groups = case.as_computed.true, range(1, len(QUINTILES) + 1)
    predicted = [case.as_implied.risk_difference[case.as_computed.group == group].mean() for group in groups]
    return pd.DataFrame(
        {
            "Table 8 (log odds ratio)": table_8("mean_te"),
            "predicted difference": 100 * np.array(predicted),
            "true difference": 100 * true["risk_difference"].to_numpy(),
            "truly harmed (%)": 100 * true["share_harmed"].to_numpy(),
        },
        index=list(QUINTILES),
    )


def described_beside_run(n_subjects: int = 2000, seed: int = 123) -> pd.DataFrame:
    """Simulate the trial as the text describes it and as Listing 1 runs it, and compare what can be told apart.

    Index: the property. Columns: `as described`, `as run`.
    """
    described, run = simulate_truth_as_described(n_subjects, seed), simulate_truth(n_subjects, seed)
    return pd.DataFrame({"as described": _properties(described), "as run": _properties(run)})


def _properties(truth: TrialTruth) -> pd.Series:
    x, difference = truth.covariates, 100 * truth.risk_difference
    at_limit = np.isin(x.age, AGE_LIMITS) | np.isin(x.bmi, BMI_LIMITS)
    return pd.Series(
        {
            "patients exactly on a limit of age or BMI": at_limit.sum(),
            "women (%)": 100 * x.gender.mean(),
            "patients who bleed (%)": 100 * truth.event.mean(),
            "patients whose risk treatment raises (%)": 100 * np.mean(difference > 0),
            "mean risk difference (points)": difference.mean(),
            "the same, age above 65": difference[x.age > 65].mean(),
            "the same, age up to 65": difference[x.age <= 65].mean(),
            "the same, BMI above 30": difference[x.bmi > 30].mean(),
            "the same, BMI up to 30": difference[x.bmi <= 30].mean(),
        }
    )


def confounding_by_allocation(allocations: dict[str, Allocation]) -> pd.DataFrame:
    """Lay ways of allotting treatment beside each other.

    Index: the way. Confounding (percentage points of risk, mean and SD over trials), and the share of trials (%) in
    which the joint test of the propensity score is significant at 5 %.
    """
    rows = {
        label: {
            "confounding (points)": each.confounding,
            "SD over trials": each.spread,
            "seen by the propensity score (%)": 100 * each.found,
        }
        for label, each in allocations.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
