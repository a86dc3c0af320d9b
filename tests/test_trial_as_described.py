"""The trial as the text describes it: every law of Table 2 and equations (1) to (4) against closed forms.

The seeds are fixed, so a test that passes once passes always; levels of 1e-4 keep a wrong law from passing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from hte_utils.trial import EffectScale, simulate_trial, simulate_truth
from hte_utils.trial.as_described import (
    LOG_ODDS_EFFECTS,
    RISK_DIFFERENCE_EFFECTS,
    DescribedEffects,
    described_effect,
    draw_blood_pressure,
    risk_under_treatment,
    simulate_trial_as_described,
    simulate_truth_as_described,
)

N = 200_000
TRUTH = simulate_truth_as_described(N, 11)
PATIENTS = TRUTH.covariates


def cut_normal(mean: float, sd: float, low: float, high: float):
    """Distribution function of a truncated normal, written out."""
    normal = stats.norm(mean, sd)
    return lambda x: (normal.cdf(x) - normal.cdf(low)) / (normal.cdf(high) - normal.cdf(low))


@pytest.mark.parametrize(
    ("values", "mean", "sd", "low", "high"),
    [(PATIENTS.age, 55, 12, 25, 85), (PATIENTS.bmi, 28, 5, 16, 50)],
    ids=["age", "bmi"],
)
def test_age_and_bmi_are_truncated_not_clamped(values, mean, sd, low, high):
    assert stats.kstest(values, cut_normal(mean, sd, low, high)).pvalue > 1e-4
    assert low < values.min() < values.max() < high
    assert np.unique(values).size == N, "clamping would pile patients up at the limits"


def test_blood_pressure_is_a_truncated_pair():
    sbp, dbp = draw_blood_pressure(np.random.default_rng(12), N, (120.0, 150.0), (75.0, 100.0))
    assert 120 <= sbp.min() < sbp.max() <= 150
    assert 75 <= dbp.min() < dbp.max() <= 100

    def sbp_density(x: float) -> float:
        dbp_given_sbp = stats.norm(80 + (x - 130) / 2, np.sqrt(50))
        return stats.norm.pdf(x, 130, np.sqrt(200)) * (dbp_given_sbp.cdf(100) - dbp_given_sbp.cdf(75))

    total = integrate.quad(sbp_density, 120, 150)[0]
    grid = np.linspace(120, 150, 301)
    cdf = integrate.cumulative_simpson([sbp_density(x) for x in grid], x=grid, initial=0) / total
    assert stats.kstest(sbp, lambda x: np.interp(x, grid, cdf)).pvalue > 1e-4


def test_blood_pressure_stays_where_a_trial_would_believe_it():
    assert 80 <= PATIENTS.sbp.min() < PATIENTS.sbp.max() <= 220
    assert 40 <= PATIENTS.dbp.min() < PATIENTS.dbp.max() <= 130


def test_blood_pressure_has_the_covariance_of_table_2():
    sbp, dbp = draw_blood_pressure(np.random.default_rng(13), N, (-np.inf, np.inf), (-np.inf, np.inf))
    covariance = np.cov(sbp, dbp)
    expected = np.array([[200.0, 100.0], [100.0, 100.0]])
    variances = np.diag(expected)
    standard_error = np.sqrt((expected**2 + np.outer(variances, variances)) / N)
    assert (np.abs(covariance - expected) < 4 * standard_error).all()
    assert sbp.mean() == pytest.approx(130, abs=4 * np.sqrt(200 / N))
    assert dbp.mean() == pytest.approx(80, abs=4 * np.sqrt(100 / N))


@pytest.mark.parametrize(
    ("values", "who", "probability"),
    [
        (PATIENTS.gender, np.ones(N, bool), 0.52),
        (PATIENTS.diabetes, PATIENTS.bmi > 30, 0.4),
        (PATIENTS.diabetes, PATIENTS.bmi <= 30, 0.2),
        (PATIENTS.smoking, PATIENTS.age > 65, 0.15),
        (PATIENTS.smoking, PATIENTS.age <= 65, 0.25),
        (PATIENTS.anticoagulant, np.ones(N, bool), 0.3),
        (PATIENTS.prior_bleeding, np.ones(N, bool), 0.1),
        (TRUTH.treatment, np.ones(N, bool), 0.5),
    ],
)
def test_bernoulli_laws_of_table_2(values, who, probability):
    assert stats.binomtest(int(values[who].sum()), int(who.sum()), probability).pvalue > 1e-4


def test_gender_is_not_the_listing_s():
    assert stats.binomtest(int(PATIENTS.gender.sum()), N, 0.5).pvalue < 1e-4


def test_hypertension_is_its_definition():
    assert np.array_equal(PATIENTS.hypertension == 1, (PATIENTS.sbp >= 140) | (PATIENTS.dbp >= 90))


def test_equations_1_and_2():
    who = 7
    log_odds = (
        -3.5
        + 0.02 * (PATIENTS.age[who] - 55)
        + 0.8 * PATIENTS.anticoagulant[who]
        + 1.2 * PATIENTS.prior_bleeding[who]
        + 0.3 * PATIENTS.diabetes[who]
        + 0.01 * (PATIENTS.sbp[who] - 130)
    )
    assert TRUTH.baseline_risk[who] == pytest.approx(1 / (1 + np.exp(-log_odds)))


def test_equation_4_literally_adds_a_risk_difference():
    assert TRUTH.scale is EffectScale.RISK_DIFFERENCE
    expected = TRUTH.baseline_risk + TRUTH.treatment * TRUTH.treatment_effect
    assert TRUTH.event_probability == pytest.approx(expected, abs=1e-15)
    assert np.array_equal(TRUTH.risk_difference, TRUTH.treatment_effect)


def test_equation_4_on_the_log_odds():
    truth = simulate_truth_as_described(N, 11, effects=LOG_ODDS_EFFECTS)
    odds = truth.event_probability / (1 - truth.event_probability)
    baseline_odds = truth.baseline_risk / (1 - truth.baseline_risk)
    assert odds / baseline_odds == pytest.approx(np.exp(truth.treatment * truth.treatment_effect))
    treated = truth.treatment == 1
    assert (truth.baseline_risk + truth.risk_difference)[treated] == pytest.approx(truth.event_probability[treated])


@pytest.mark.parametrize("effects", [RISK_DIFFERENCE_EFFECTS, LOG_ODDS_EFFECTS], ids=["risk", "log-odds"])
def test_events_have_their_probability(effects):
    truth = simulate_truth_as_described(N, 14, effects=effects)
    p = truth.event_probability
    for arm in (truth.treatment == 0, truth.treatment == 1):
        surplus = truth.event[arm].sum() - p[arm].sum()
        assert abs(surplus) < 4 * np.sqrt((p * (1 - p))[arm].sum())


def test_same_table_as_the_listing_s_with_its_scale_named():
    described, printed = simulate_trial_as_described(50, 1), simulate_trial(50, 1)
    assert described.dtypes.equals(printed.dtypes)
    assert described.attrs["true_te_scale"] == "risk difference"
    assert simulate_trial_as_described(50, 1, effects=LOG_ODDS_EFFECTS).attrs["true_te_scale"] == "log odds ratio"
    assert printed.attrs["true_te_scale"] == "log odds ratio"


def test_one_patient_and_reproducibility():
    assert len(simulate_trial_as_described(1, 0)) == 1
    pd.testing.assert_frame_equal(simulate_trial_as_described(np.int64(40), 3), simulate_trial_as_described(40, 3))
    assert not simulate_trial_as_described(40, 3).equals(simulate_trial_as_described(40, 4))


@pytest.mark.parametrize(("base", "risk"), [(0.99, "1[.]"), (-0.2, "-0[.]1")])
def test_probabilities_outside_the_unit_interval_are_refused(base, risk):
    effects = DescribedEffects(base, 0.0, 0.0, 0.0, EffectScale.RISK_DIFFERENCE)
    message = rf"must stay in \[0, 1\].* first being subject \d+ with {risk}\d+ = baseline risk .*log-odds scale"
    with pytest.raises(ValueError, match=message):
        simulate_trial_as_described(500, 1, effects=effects)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((0,), ValueError, "n_subjects must be from 1 to 100,000,000; got 0"),
        ((2.5,), TypeError, "integer"),
        ((10**12,), ValueError, "n_subjects must be from 1"),
        ((9, None), TypeError, "integer"),
        ((9, -1), ValueError, "non-negative"),
    ],
)
def test_bad_arguments_say_what_is_wrong(arguments, kind, message):
    with pytest.raises(kind, match=message):
        simulate_trial_as_described(*arguments)


LISTING = simulate_truth(40_000, 15)
LISTED = LISTING.covariates


@pytest.mark.parametrize("effects", [RISK_DIFFERENCE_EFFECTS, LOG_ODDS_EFFECTS], ids=["risk", "log-odds"])
def test_equation_3(effects):
    effect = described_effect(LISTED, effects)
    rows = pd.DataFrame({"older": LISTED.age > 65, "drug": LISTED.anticoagulant == 1, "obese": LISTED.bmi > 30})
    for (older, drug, obese), who in rows.groupby(["older", "drug", "obese"]).groups.items():
        expected = effects.base + effects.older * older + effects.anticoagulant * drug + effects.obese * obese
        assert effect[who] == pytest.approx(expected)
    assert (effect > 0).all(), "each term of the text raises the risk of bleeding"


def test_equation_4_on_both_scales():
    baseline, effect = np.array([0.1, 0.4]), np.array([0.05, -0.2])
    literal = risk_under_treatment(baseline, effect, EffectScale.RISK_DIFFERENCE)
    assert literal == pytest.approx([0.15, 0.2])
    by_odds = risk_under_treatment(baseline, effect, EffectScale.LOG_ODDS_RATIO)
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
