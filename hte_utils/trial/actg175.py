"""A real trial: ACTG 175 (Hammer et al., NEJM 1996;335:1081), four antiretroviral regimens, time to first event.

The event is a fall of the CD4 count by half, AIDS, or death: bad, so a positive effect on its risk is harm here too.
Provenance, licence, and what each column of the file means: ``book/data/actg175/README.md``.
"""

from __future__ import annotations

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

DIGEST: Final = "56fba31fa0d7bfbff9667b7149fd96a97c352e72aa582871a62a935e812f0e07"
"""SHA-256 of the table as the wheel of lifelines 0.30.3 has it."""
ARMS: Final = ("Zidovudine", "Zidovudine + didanosine", "Zidovudine + zalcitabine", "Didanosine")
"""The randomised arms; the first is the control of the trial's report."""
RANDOMISED: Final = 2467
"""Patients of the trial; the public table holds 2139 of them."""
PUBLISHED_HAZARD_RATIOS: Final = {ARMS[1]: 0.50, ARMS[2]: 0.54, ARMS[3]: 0.61}
"""Of the event, against zidovudine alone, in all 2467 randomised patients (the report's abstract)."""
AFTER_RANDOMISATION: Final = ("cd420", "cd496", "r", "cd820", "offtrt")
"""Columns of the file that are measured after randomisation. As covariates they would take away part of the effect."""
BASELINE: Final = (
    "age",
    "weight",
    "karnofsky",
    "cd4",
    "cd8",
    "days_of_prior_therapy",
    "gender",
    "race",
    "haemophilia",
    "homosexual",
    "drug_use",
    "symptomatic",
    "zidovudine_30_days",
    "other_prior_therapy",
    "prior_therapy",
)
"""The covariates known at randomisation; ``therapy_stratum`` says more finely what ``prior_therapy`` does."""

_NO_YES = ("No", "Yes")
_NUMBERS = {
    "age": "age",
    "weight": "wtkg",
    "karnofsky": "karnof",
    "cd4": "cd40",
    "cd8": "cd80",
    "days_of_prior_therapy": "preanti",
}
_CATEGORIES = {
    "gender": ("gender", ("Female", "Male")),
    "race": ("race", ("White", "Non-white")),
    "haemophilia": ("hemo", _NO_YES),
    "homosexual": ("homo", _NO_YES),
    "drug_use": ("drugs", _NO_YES),
    "symptomatic": ("symptom", _NO_YES),
    "zidovudine_30_days": ("z30", _NO_YES),
    "other_prior_therapy": ("oprior", _NO_YES),
    "prior_therapy": ("str2", ("Naive", "Experienced")),
}
_STRATA = ("Naive", "Up to 52 weeks", "More than 52 weeks")


def read_actg175(path: Path | str) -> pd.DataFrame:
    """Read the shipped table: 2139 patients, with what is known at randomisation, and the event.

    Returns
    -------
    pandas.DataFrame
        ``subject_id``, ``arm`` (of `ARMS`), ``event`` (1 = happened, 0 = censored), ``days`` (to event or censoring),
        the columns of `BASELINE` (age in years, weight in kg, CD4 and CD8 cells per mm³, the Karnofsky score 0 to 100,
        days of antiretroviral therapy before; the others are categories) and ``therapy_stratum``. `AFTER_RANDOMISATION`
        and ``zprior`` (always 1, also where a patient was never treated) are left out.

    Raises
    ------
    ValueError
        If the file is not the one whose digest is `DIGEST`.
    """
    content = Path(path).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != DIGEST:
        raise ValueError(
            f"{path} is not the table that was shipped: its SHA-256 is {found}, not {DIGEST}. "
            "Take it from the repository, or make it again with benchmarks/actg175.py"
        )
    table = pd.read_csv(BytesIO(content), index_col=0)

    def category(column: str, labels: tuple[str, ...], first: int = 0) -> pd.Categorical[str]:
        return pd.Categorical.from_codes(table[column].to_numpy() - first, categories=pd.Index(labels))

    return pd.DataFrame(
        {
            "subject_id": table["pidnum"].to_numpy(),
            "arm": category("arms", ARMS),
            "event": table["cens"].to_numpy(),
            "days": table["days"].to_numpy(),
            **{name: table[column].to_numpy(dtype=np.float64) for name, column in _NUMBERS.items()},
            **{name: category(*coding) for name, coding in _CATEGORIES.items()},
            "therapy_stratum": category("strat", _STRATA, first=1),
        }
    )


def two_arms(trial: pd.DataFrame, treated: str, control: str = ARMS[0]) -> pd.DataFrame:
    """Keep two arms of `read_actg175`'s table, as its ``arm``: the second category, `treated`, counts as treated.

    Raises ValueError if an arm is not in the table.
    """
    known = trial["arm"].cat.categories
    unknown = [arm for arm in (control, treated) if arm not in known]
    if unknown or control == treated:
        raise ValueError(f"two different arms of {list(known)} are needed, not {control!r} and {treated!r}")
    kept = trial[trial["arm"].isin([control, treated])].reset_index(drop=True)
    return kept.assign(arm=kept["arm"].cat.set_categories([control, treated]))
