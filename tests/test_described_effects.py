"""Equations (3) and (4), taken literally."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hte_utils.described_effects import (
    LOG_ODDS_EFFECTS,
    RISK_DIFFERENCE_EFFECTS,
    DescribedEffects,
    described_effect,
    risk_under_treatment,
)
from hte_utils.trial import simulate_truth
from hte_utils.trial_truth import EffectScale

LISTING = simulate_truth(40_000, 15)
PATIENTS = LISTING.covariates


@pytest.mark.parametrize("effects", [RISK_DIFFERENCE_EFFECTS, LOG_ODDS_EFFECTS], ids=["risk", "log-odds"])
def test_equation_3(effects):
    effect = described_effect(PATIENTS, effects)
    rows = pd.DataFrame({"older": PATIENTS.age > 65, "drug": PATIENTS.anticoagulant == 1, "obese": PATIENTS.bmi > 30})
    for (older, drug, obese), who in rows.groupby(["older", "drug", "obese"]).groups.items():
        expected = effects.base + effects.older * older + effects.anticoagulant * drug + effects.obese * obese
        assert effect[who] == pytest.approx(expected)
    assert (effect > 0).all(), "each term of the text raises the risk of bleeding"


def test_equation_4_on_both_scales():
    baseline, effect = np.array([0.1, 0.4]), np.array([0.05, -0.2])
    literal = risk_under_treatment(baseline, effect, EffectScale.RISK_DIFFERENCE)
    assert literal == pytest.approx([0.15, 0.2])
    by_odds = risk_under_treatment(baseline, effect, EffectScale.LOG_ODDS)
    assert by_odds / (1 - by_odds) == pytest.approx(baseline / (1 - baseline) * np.exp(effect))


def test_the_ends_of_the_unit_interval_are_allowed():
    risk = risk_under_treatment(np.array([0.5, 0.5]), np.array([0.5, -0.5]), EffectScale.RISK_DIFFERENCE)
    assert risk.tolist() == [1.0, 0.0]


def test_default_risk_effects_are_the_log_odds_ones_at_the_listing_s_risks():
    p = LISTING.baseline_risk
    slope = (p * (1 - p)).mean()
    for name in ("base", "older", "anticoagulant", "obese"):
        risk, log_odds = getattr(RISK_DIFFERENCE_EFFECTS, name), getattr(LOG_ODDS_EFFECTS, name)
        assert risk == pytest.approx(0.05 * log_odds)
    assert slope == pytest.approx(0.05, abs=0.0025)


def test_default_effects_cannot_leave_the_unit_interval():
    # The patient at greatest risk whom Table 2 allows: every risk factor, and both limits.
    log_odds = -3.5 + 0.02 * (85 - 55) + 0.8 + 1.2 + 0.3 + 0.01 * (220 - 130)
    effect = 0.01 + 0.025 + 0.02 + 0.01
    assert 1 / (1 + np.exp(-log_odds)) + effect < 1


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda: DescribedEffects(np.nan, 0, 0, 0, EffectScale.LOG_ODDS), ValueError, "base must be finite; got nan"),
        (lambda: DescribedEffects(0, "a", 0, 0, EffectScale.LOG_ODDS), TypeError, "older must be a number; got 'a'"),
        (lambda: DescribedEffects(0, 0, True, 0, EffectScale.LOG_ODDS), TypeError, "anticoagulant must be a number"),
        (lambda: DescribedEffects(0, 0, 0, 0, "log-odds"), TypeError, "scale must be an EffectScale; got 'log-odds'"),
    ],
)
def test_bad_gammas_say_what_is_wrong(attempt, kind, message):
    with pytest.raises(kind, match=message):
        attempt()
