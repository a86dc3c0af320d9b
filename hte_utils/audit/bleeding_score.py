"""A clinical bleeding score, against the covariates of the simulated trial.

HAS-BLED (Pisters et al. 2010, *Chest* 138:1093) is the score that guidelines name for the risk of major bleeding under
anticoagulants. It serves as a list, made by others, of what is "known clinically".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ScoreItem:
    """One item of the score, and the column of the trial that speaks of it (None: there is none)."""

    name: str
    column: str | None


HAS_BLED: Final = (
    ScoreItem("hypertension (systolic pressure above 160)", "sbp"),
    ScoreItem("abnormal renal function", None),
    ScoreItem("abnormal liver function", None),
    ScoreItem("stroke", None),
    ScoreItem("bleeding history or predisposition", "prior_bleeding"),
    ScoreItem("labile INR", None),
    ScoreItem("elderly (above 65)", "age"),
    ScoreItem("drugs (antiplatelets, NSAIDs)", None),
    ScoreItem("alcohol", None),
)


def uncovered_items() -> tuple[str, ...]:
    """Names of the items of the score on which the trial has no covariate."""
    return tuple(item.name for item in HAS_BLED if item.column is None)
