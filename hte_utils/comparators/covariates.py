"""What the frequentist methods see of a trial: outcome, arm and eight covariates as numbers.

The covariates are those of `candidate_models.ALL_MODIFIERS_SPEC`: age, anticoagulant, BMI, diabetes, prior bleeding,
systolic pressure, smoking and gender. Every frequentist method has the same information as the
all-modifiers Bayesian model.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hte_utils.candidate_models import ALL_MODIFIERS_SPEC
from hte_utils.trial_checks import TrialWarning
from hte_utils.trial_design import Patients

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from hte_utils.trial_design import DesignCoding

    FloatArray = NDArray[np.float64]

COVARIATES = (*(covariate.column for covariate in ALL_MODIFIERS_SPEC.prognostic), ALL_MODIFIERS_SPEC.group)
"""Columns of the covariate matrix, in its order."""


@dataclass(frozen=True, slots=True, eq=False)
class TrialNumbers:
    """A trial as numbers.

    Attributes
    ----------
    covariates
        Shape (patients, 8), columns as `COVARIATES`: age, BMI and blood pressure in SD from the trial's mean, the
        others 0 or 1.
    treatment, outcome
        0/1, shape (patients,).
    coding
        Puts other patients on the same scale.
    """

    covariates: FloatArray
    treatment: FloatArray
    outcome: FloatArray
    coding: DesignCoding

    @classmethod
    def of(cls, trial: pd.DataFrame) -> TrialNumbers:
        """Read a trial.

        Raises
        ------
        TypeError, ValueError
            As for `hte_utils.spec.TrialSpec.design`; so a covariate that is constant in this trial is refused by name.
        """
        with warnings.catch_warnings():
            # It speaks of priors, which these methods do not have; what an arm without events does to them they say.
            warnings.simplefilter("ignore", TrialWarning)
            design = ALL_MODIFIERS_SPEC.design(trial)
        # Copies, because some libraries refuse read-only arrays.
        return cls(_matrix(design), design.treatment.copy(), design.outcome.copy(), design.coding)

    def encode(self, patients: pd.DataFrame) -> FloatArray:
        """Covariates of other patients, shape (patients, 8), on the scale of the trial."""
        return _matrix(Patients(*self.coding.encode(patients), self.coding))

    def require_events_in_both_arms(self, method: str) -> None:
        """Check that each arm has patients with and without the event.

        Raises
        ------
        ValueError
            If an arm has not.
        """
        for arm, name in ((0.0, "control"), (1.0, "treated")):
            outcomes = self.outcome[self.treatment == arm]
            if outcomes.min() == outcomes.max():
                found = "only events" if outcomes[0] else "no event"
                raise ValueError(
                    f"the {name} arm has {found} among its {outcomes.size} patients, but {method} learns each arm's "
                    "risk by itself: take a method with one model for both arms"
                )


def _matrix(patients: Patients) -> FloatArray:
    return np.column_stack([patients.prognostic, patients.group.astype(np.float64)])
