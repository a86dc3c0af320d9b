"""Table 2 of the paper against the random numbers that made the trial.

Listing 1 draws its columns one after another from R's stream. Here the stream is walked again with the laws that
Table 2 prints, and the columns are compared patient by patient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hte_utils.trial import AGE_LIMITS, BLOOD_PRESSURE_COVARIANCE, BLOOD_PRESSURE_MEAN, BMI_LIMITS
from hte_utils.trial.as_described import FEMALE_PROBABILITY
from hte_utils.trial.r_stream import RRandom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hte_utils.trial import Covariates


def drawn_by_table_2(n_subjects: int = 2000, seed: int = 123) -> dict[str, NDArray[np.float64]]:
    """Draw the columns of Table 2 from R's stream by the printed laws, without any limits.

    Each column takes the random numbers that it takes in Listing 1, so a column whose law is the listing's comes out
    the same for every patient.
    """
    random = RRandom(seed)
    age = random.rnorm(n_subjects, mean=55.0, sd=12.0)
    gender = random.rbinom(n_subjects, 1, FEMALE_PROBABILITY)
    sbp, dbp = random.mvrnorm(n_subjects, BLOOD_PRESSURE_MEAN, BLOOD_PRESSURE_COVARIANCE).T
    bmi = random.rnorm(n_subjects, mean=28.0, sd=5.0)
    columns = {
        "age": age,
        "gender": gender,
        "sbp": sbp,
        "dbp": dbp,
        "bmi": bmi,
        "hypertension": (sbp >= 140) | (dbp >= 90),
        "diabetes": random.rbinom(n_subjects, 1, 0.2 + 0.2 * (bmi > 30)),
        "smoking": random.rbinom(n_subjects, 1, 0.25 - 0.1 * (age > 65)),
        "anticoagulant": random.rbinom(n_subjects, 1, 0.3),
        "prior_bleeding": random.rbinom(n_subjects, 1, 0.1),
    }
    return {name: np.asarray(values, dtype=np.float64) for name, values in columns.items()}


def against_the_trial(patients: Covariates, seed: int = 123) -> pd.DataFrame:
    """Count the patients whose value is what the law of Table 2 gives with the same random numbers.

    Index: column of the trial. `same`: patients who agree; `other`: those who do not; `at_limit`: patients exactly
    on a limit that Table 2 names (a law truncated there puts nobody on it); `lowest`, `highest`: of the trial.
    """
    limits = {"age": AGE_LIMITS, "bmi": BMI_LIMITS}
    rows = {}
    for name, drawn in drawn_by_table_2(patients.age.size, seed).items():
        values = np.asarray(getattr(patients, name), dtype=np.float64)
        same = int(np.sum(values == drawn))
        at_limit = int(np.isin(values, limits[name]).sum()) if name in limits else 0
        rows[name] = {
            "same": same,
            "other": values.size - same,
            "at_limit": at_limit,
            "lowest": values.min(),
            "highest": values.max(),
        }
    return pd.DataFrame.from_dict(rows, orient="index")
