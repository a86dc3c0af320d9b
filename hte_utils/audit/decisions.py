"""How many bleeds a rule of treatment causes or saves, by the truth of the simulated trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from hte_utils.audit.case import Case
    from hte_utils.trial import TrialTruth

TREAT_NOBODY = "treat nobody"
TREAT_ALL = "treat everybody"
LOW_QUINTILES = "treat Q1 and Q2 of Table 8"
HIGH_QUINTILES = "treat Q4 and Q5 of Table 8"
BY_SIGN = "treat where the predicted risk difference is below 0"
ORACLE = "treat where the true risk difference is below 0"


def expected_bleeds(truth: TrialTruth, treated: np.ndarray) -> float:
    """Return the expected number of bleeds when the marked patients, and only they, are treated."""
    return float(np.sum(truth.baseline_risk + truth.risk_difference * treated))


def bleeds_by_rule(case: Case) -> pd.DataFrame:
    """Compare rules of treatment on the trial's patients.

    Index: the rule. Columns: `treated`, the number of patients treated, and `bleeds`, the true expected number of
    bleeds among all patients. Quintiles are those of Table 8; predictions are the model's, gender effects in.
    """
    model, n = case.as_implied, case.design.n_patients
    rules = {
        TREAT_NOBODY: np.zeros(n, dtype=bool),
        TREAT_ALL: np.ones(n, dtype=bool),
        LOW_QUINTILES: case.as_computed.group <= 2,
        HIGH_QUINTILES: case.as_computed.group >= 4,
        BY_SIGN: model.risk_difference < 0,
        ORACLE: case.truth.risk_difference < 0,
    }
    rows = {
        name: {"treated": int(treated.sum()), "bleeds": expected_bleeds(case.truth, treated)}
        for name, treated in rules.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index")
