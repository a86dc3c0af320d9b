"""The policies of several predictions, laid side by side: what they would truly do, and what one trial can say.

Everything is in bleeds per 1000 patients; less is better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.calibration.bootstrap import Estimate
from hte_utils.decisions.policy import (
    PER_THOUSAND,
    Policy,
    believed_difference,
    estimated_difference,
    mean_estimate,
    treat_if_predicted_to_benefit,
    true_value,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from hte_utils.calibration.for_benefit import Cohort
    from hte_utils.decisions.doubly_robust import Scores
    from hte_utils.predictions.effect_predictions import EffectPredictions

NOBODY, EVERYBODY, ORACLE = "nobody", "everybody", "oracle (true risks known)"


def policies_of(predictions: Mapping[str, EffectPredictions], cohort: Cohort) -> dict[str, Policy]:
    """Treat nobody, everybody, whom each prediction says benefits, and whom the truth says benefits."""
    n_patients = cohort.outcome.size
    return {
        NOBODY: np.zeros(n_patients, dtype=np.bool_),
        EVERYBODY: np.ones(n_patients, dtype=np.bool_),
        **{label: treat_if_predicted_to_benefit(each) for label, each in predictions.items()},
        ORACLE: np.asarray(cohort.risk_difference < 0),
    }


def true_values(policies: Mapping[str, Policy], cohort: Cohort) -> pd.DataFrame:
    """True value of each policy among given patients.

    Index: policy. Per 1000 patients: `bleeds`; `regret`, bleeds above the oracle's, with its standard error
    `regret_se`; `treated`; `wrong`, patients who are treated to their harm or not treated though it would help.
    """
    rows = {name: true_value(each, cohort.untreated_risk, cohort.risk_difference) for name, each in policies.items()}
    table = PER_THOUSAND * pd.DataFrame(list(rows.values()), index=list(rows))
    return table.rename(columns={"event_rate": "bleeds", "share_treated": "treated"})


def regret_difference(policy: Policy, other: Policy, cohort: Cohort) -> Estimate:
    """Bleeds per 1000 under `policy` minus those under `other`, from true risks; below 0: `policy` is better.

    Paired: both policies meet the same patients. The standard error is over populations of this size.
    """
    return mean_estimate(PER_THOUSAND * (policy.astype(np.float64) - other) * cohort.risk_difference)


def differences_from(reference: str, policies: Mapping[str, Policy], cohort: Cohort, scores: Scores) -> pd.DataFrame:
    """Bleeds of each policy minus those of the reference: true, and estimated from the outcomes of the same patients.

    Index: the other policies. Columns `true`; `value`, `se`, `lower`, `upper` (estimate, 95 % interval), and
    `patients_needed`: in a trial of how many patients the true difference would be found (two-sided 5 %, power 80 %),
    at the spread of the scores in this one.
    """
    base = policies[reference]
    rows = {}
    for label, policy in policies.items():
        if label == reference:
            continue
        true = PER_THOUSAND * float(((policy.astype(np.float64) - base) * cohort.risk_difference).mean())
        found = estimated_difference(policy, base, scores)
        shown = [PER_THOUSAND * each for each in (found.value, found.se, found.lower, found.upper)]
        rows[label] = [true, *shown, patients_needed(true, shown[1], cohort.outcome.size)]
    columns = ["true", "value", "se", "lower", "upper", "patients_needed"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def patients_needed(effect: float, se: float, n_patients: int) -> float:
    """Size of a trial that finds `effect` with 80 % power, if one of `n_patients` has the standard error `se`.

    Two-sided test at 5 %: the standard error must be the effect divided by 1.96 + 0.84. Infinite if the effect is 0.
    """
    if effect == 0.0:
        return float("inf")
    power_sum = 1.959963984540054 + 0.8416212335729143
    return n_patients * (power_sum * se / abs(effect)) ** 2


def believed_against(policy: Policy, other: Policy, risk_differences: xr.DataArray, cohort: Cohort) -> pd.Series:
    """What a posterior believes of its own policy, beside the truth: bleeds per 1000, `policy` minus `other`.

    `believed` (posterior mean), `lower`, `upper` (central 95 % credible interval) and `true`, among the patients of the
    draws.
    """
    draws = PER_THOUSAND * believed_difference(policy, other, risk_differences)
    lower, upper = np.quantile(draws, (0.025, 0.975))
    true = PER_THOUSAND * float(((policy.astype(np.float64) - other) * cohort.risk_difference).mean())
    return pd.Series({"believed": draws.mean(), "lower": lower, "upper": upper, "true": true})
