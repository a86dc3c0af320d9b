"""Trials and fits of the described model that several tests look at; each is made once a test process."""

from __future__ import annotations

from functools import cache

import pandas as pd
import xarray as xr

from hte_utils.audit.described_model import Reading, fit_described, paper_subgroups
from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import BaselineCoefficients, ListingCoefficients, simulate_trial

OFTEN = ListingCoefficients(baseline=BaselineCoefficients(intercept=-0.5))
"""Coefficients under which bleeds are common, so that small trials hold information."""


@cache
def paper_trial() -> tuple[TrialDesign, pd.Categorical]:
    trial = simulate_trial()
    return PAPER_SPEC.design(trial), paper_subgroups(trial)


@cache
def small_trial() -> tuple[TrialDesign, pd.Categorical]:
    trial = simulate_trial(80, 5, coefficients=OFTEN)
    return PAPER_SPEC.design(trial), paper_subgroups(trial)


@cache
def tiny_trial() -> tuple[TrialDesign, pd.Categorical]:
    trial = simulate_trial(24, 5, coefficients=OFTEN)
    return PAPER_SPEC.design(trial), paper_subgroups(trial)


@cache
def paper_fit(reading: Reading) -> xr.DataTree:
    return fit_described(*paper_trial(), reading)
