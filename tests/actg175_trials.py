"""ACTG 175 as several tests look at it: two arms, a few covariates, and posteriors that are fitted once a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd
import xarray as xr

from hte_utils.model.spec import Covariate, TrialSpec
from hte_utils.model.survival import TimesDesign, fit_times, times_design
from hte_utils.trial.actg175 import ARMS, read_actg175, two_arms

PATH = Path(__file__).parents[1] / "book" / "data" / "actg175" / "actg175.csv"
SPEC = TrialSpec(
    outcome="event",
    treatment="arm",
    group="prior_therapy",
    prognostic=(
        Covariate("age", "age", standardise=True),
        Covariate("cd4", "cd4", standardise=True),
        Covariate("karnofsky", "karnofsky", standardise=True),
        Covariate("symptomatic", "symptomatic"),
    ),
    modifiers=("age", "cd4"),
)


@cache
def real_trial() -> pd.DataFrame:
    return two_arms(read_actg175(PATH), ARMS[1])


@cache
def real_times() -> TimesDesign:
    return times_design(SPEC.design(real_trial()), real_trial()["days"])


@cache
def real_posterior(changing_effect: bool = False) -> xr.DataTree:
    return fit_times(real_times(), changing_effect=changing_effect)
