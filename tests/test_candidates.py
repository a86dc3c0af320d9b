"""The candidate models: what they see, what they leave out, and the constant one against maximum likelihood."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.special import expit, logit

from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.model.candidates import (
    ALL_MODIFIERS_MODEL,
    ALL_MODIFIERS_PRIORS,
    ALL_MODIFIERS_SPEC,
    CANDIDATES,
    CONSTANT_MODEL,
    DESIGN_EVENT_RATE,
    FEW_MODIFIERS_MODEL,
    PAPER_MODEL,
    SBP_MODEL,
    UNSHRUNK_MODEL,
)
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.model.listing_2 import Priors
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.trial import simulate_trial


def test_the_paper_model_is_listing_2() -> None:
    assert PAPER_MODEL.spec is PAPER_SPEC
    assert PAPER_MODEL.priors == Priors()


def test_the_all_modifiers_model_has_everything_as_modifier() -> None:
    labels = ("age", "anticoag", "bmi", "diabetes", "prior", "sbp", "smoking")
    assert ALL_MODIFIERS_SPEC.prognostic_labels == ALL_MODIFIERS_SPEC.modifiers == labels
    assert ALL_MODIFIERS_SPEC.group == "gender"
    assert {c.label for c in ALL_MODIFIERS_SPEC.prognostic if c.standardise} == {"age", "bmi", "sbp"}
    assert ALL_MODIFIERS_PRIORS.intercept_mean == pytest.approx(logit(DESIGN_EVENT_RATE))
    assert ALL_MODIFIERS_PRIORS.intercept_sd == 1.0
    assert ALL_MODIFIERS_PRIORS.interaction_scale == 0.5


def test_every_departure_from_the_paper_has_a_reason() -> None:
    """A prior that was changed without a word in `reasons` turns this red."""
    said = {
        "intercept_mean": "intercept",
        "intercept_sd": "intercept",
        "interaction_scale": "interactions",
        "precision_rate": "gender",
        "precision_shape": "gender",
        "fixed_sd": "main effects",
    }
    table = ALL_MODIFIERS_MODEL.reasons_table()
    assert table["why"].str.len().min() > 40
    for field in fields(Priors):
        if getattr(ALL_MODIFIERS_PRIORS, field.name) != getattr(Priors(), field.name):
            assert said[field.name] in table.index
    assert {"covariates", "modifiers"} <= set(table.index)


def test_steps_differ_by_what_they_say() -> None:
    assert {model.name for model in CANDIDATES} == {
        "constant", "paper", "paper_sbp", "few_modifiers", "unshrunk", "all_modifiers",
    }  # fmt: skip
    assert set(SBP_MODEL.spec.prognostic_labels) - set(PAPER_SPEC.prognostic_labels) == {"sbp"}
    assert FEW_MODIFIERS_MODEL.spec.modifiers == PAPER_SPEC.modifiers
    assert UNSHRUNK_MODEL.spec == ALL_MODIFIERS_SPEC
    assert UNSHRUNK_MODEL.priors.interaction_scale is None
    assert FEW_MODIFIERS_MODEL.priors == UNSHRUNK_MODEL.priors


@pytest.fixture(scope="module")
def trial() -> pd.DataFrame:
    return simulate_trial(2000, 123)


def test_constant_model_is_logistic_regression(trial: pd.DataFrame) -> None:
    """Its posterior is near the likelihood's: coefficients of a regression with one treatment effect."""
    design = CONSTANT_MODEL.design(trial)
    settings = IndependenceSettings(draws=1000, chains=2, proposals_per_draw=10)
    posterior = fit(design, priors=CONSTANT_MODEL.priors, settings=settings)
    effects = cate_draws(
        posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=GroupEffects.INCLUDED
    ).to_numpy()
    assert np.ptp(effects, axis=2).max() < 1e-12
    columns = np.column_stack([np.ones(2000), design.treatment, design.prognostic])
    likelihood = sm.Logit(design.outcome, columns).fit(disp=0)
    sd = likelihood.bse
    # The priors are weak beside the data: the effect within a quarter, the others within half a standard error.
    assert abs(effects.mean() - likelihood.params[1]) < 0.25 * sd[1]
    assert effects[..., 0].std() == pytest.approx(sd[1], rel=0.1)
    found = posterior["posterior"]["b_prognostic"].mean(["chain", "draw"]).to_numpy()
    assert (np.abs(found - likelihood.params[2:]) < 0.5 * sd[2:]).all()
    assert design.prognostic_labels[-1] == "gender_main"


def test_other_models_differ_between_patients(trial: pd.DataFrame) -> None:
    design = PAPER_MODEL.design(trial)
    assert design.modifiers.any()
    assert set(np.unique(design.group)) == {0, 1}


def test_numbers_in_the_reasons_are_right() -> None:
    why = ALL_MODIFIERS_MODEL.reasons_table()["why"]
    low, high = expit(ALL_MODIFIERS_PRIORS.intercept_mean + 2.0 * np.array([-1.0, 1.0]))
    assert f"two SD: {100 * low:.1f} % to {100 * high:.0f} %" in why["intercept"]
    assert f"median {stats.halfnorm(scale=0.5).median():.2f}" in why["interactions"]
    sds = [1 / np.sqrt(stats.gamma(2, scale=1 / rate).median()) for rate in (ALL_MODIFIERS_PRIORS.precision_rate, 2.0)]
    assert f"SD is {sds[0]:.2f} instead of the paper's {sds[1]:.1f}" in why["gender"]
    assert f"1/{np.exp(2):.0f} to {np.exp(2):.0f} in two SD" in why["main effects"]
