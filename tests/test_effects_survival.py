"""Effects on times: by integration, beside Kaplan and Meier, against a simulated truth; and the doors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from actg175_trials import real_posterior, real_times, real_trial
from scipy import integrate

from hte_utils.effects.averages import summarise_effects
from hte_utils.effects.survival import (
    MEASURES,
    kaplan_meier,
    patient_effects_by,
    risks_by,
    summarise_times,
    survival_curves,
)
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.model.survival import fit_times, times_design
from hte_utils.trial import simulate_trial, simulate_truth
from hte_utils.trial.event_times import FollowUp, trial_with_times

HORIZON = 730.0


def few(changing_effect: bool = False):
    return real_posterior(changing_effect).isel(draw=slice(0, 5))


@pytest.mark.parametrize("changing", [False, True])
def test_one_patient_by_hand(changing):
    """Risk and event-free time of one patient in one draw, from the hazards, integrated numerically."""
    posterior, design = few(changing), real_times().trial
    draw = posterior["posterior"].to_dataset().isel(chain=1, draw=2)
    patient, ends = 17, real_times().ends
    members = pd.DataFrame({"one": np.arange(design.n_patients) == patient})
    found = risks_by(posterior, design, HORIZON, members).isel(chain=1, draw=2, population=0)
    group = design.group[patient]
    log_ratio = float(draw["re_trt"][group] + draw["b_interaction"].to_numpy() @ design.modifiers[patient])
    log_hazard = float(draw["re"][group] + draw["b_prognostic"].to_numpy() @ design.prognostic[patient])

    def survival(arm, day):
        total, start = 0.0, 0.0
        for place, end in enumerate(ends):
            effect = draw["log_hazard_ratio"][place] if changing else draw["b_trt"]
            hazard = np.exp(float(draw["log_hazard"][place]) + log_hazard + arm * (float(effect) + log_ratio))
            total += hazard * max(min(day, end) - start, 0.0) / ends[-1]
            start = end
        return np.exp(-total)

    for arm, name in enumerate(("untreated", "treated")):
        assert float(found[name]) == pytest.approx(1.0 - survival(arm, HORIZON), rel=1e-9)
        area = integrate.quad(
            lambda day, arm=arm: survival(arm, day), 0.0, HORIZON, points=ends[ends < HORIZON], limit=200
        )[0]
        assert float(found[f"{name}_time"]) == pytest.approx(area, rel=1e-6)
    if not changing:
        assert float(found["mean_log_hazard_ratio"]) == pytest.approx(float(draw["b_trt"]) + log_ratio, rel=1e-9)


def test_curves_lie_beside_kaplan_and_meier():
    """Within each arm of the real trial by prior therapy, once the hazard has risen from next to nothing."""
    trial, design = real_trial(), real_times().trial
    members = pd.DataFrame({name: trial["prior_therapy"] == name for name in ("Naive", "Experienced")})
    days = [400.0, 600.0, 800.0, 1000.0]
    curves = survival_curves(real_posterior(), design, days, members).mean(["chain", "draw"])
    for name in members:
        for arm, variable in ((0.0, "untreated"), (1.0, "treated")):
            chosen = members[name].to_numpy() & (design.treatment == arm)
            km = sm.SurvfuncRight(trial.loc[chosen, "days"], trial.loc[chosen, "event"])
            place = np.searchsorted(km.surv_times, days, side="right") - 1
            away = curves[variable].sel(population=name).to_numpy() - km.surv_prob[place]
            assert (np.abs(away) < 2.0 * km.surv_prob_se[place]).all(), (name, arm, away)


def test_tables_of_averages_take_the_risks():
    risks = risks_by(few(), real_times().trial, HORIZON)
    table = summarise_times(risks)
    assert list(table.index.get_level_values("measure")) == list(MEASURES)
    binary = summarise_effects(risks)
    pd.testing.assert_series_equal(
        table.loc[("all patients", "RISK_DIFFERENCE")], binary.loc[("all patients", "RISK_DIFFERENCE")]
    )
    assert risks.attrs["horizon"] == HORIZON


def test_hazard_ratios_do_not_collapse():
    """Everybody has the same log hazard ratio, but the population's is nearer to 0, and the more the later."""
    posterior = few().copy(deep=True)
    for name in ("b_interaction", "re_trt"):
        posterior["posterior"][name] = 0.0 * posterior["posterior"][name]
    risks = [risks_by(posterior, real_times().trial, day) for day in (100.0, 1200.0)]
    early, late = (summarise_times(each).loc["all patients", "mean"] for each in risks)
    conditional = float(posterior["posterior"]["b_trt"].mean())
    for each in (early, late):
        assert each["MEAN_LOG_HAZARD_RATIO"] == pytest.approx(conditional)
    ratios = [each["MARGINAL_LOG_HAZARD_RATIO"] / conditional for each in (late, early)]
    assert 0.8 < ratios[0] < ratios[1] < 1.0


def test_each_patients_effects_average_to_the_populations():
    by_patient = patient_effects_by(few(), real_times().trial, HORIZON)
    risks = risks_by(few(), real_times().trial, HORIZON)
    assert len(by_patient) == real_times().trial.n_patients
    assert by_patient["mean"].mean() == pytest.approx(float((risks["treated"] - risks["untreated"]).mean()))
    assert by_patient["untreated_risk"].mean() == pytest.approx(float(risks["untreated"].mean()))
    assert (by_patient["lower"] < by_patient["mean"]).all()


def test_a_simulated_truth_is_recovered():
    """6000 patients with dropout: average risk difference, event-free time and hazard ratio within three SD."""
    truth, follow_up = simulate_truth(6_000, 11), FollowUp(shape=1.4, dropout=0.3)
    trial = trial_with_times(truth, np.random.default_rng(2), follow_up)
    times = times_design(PAPER_SPEC.design(trial), trial["time"], ends=(90.0, 180.0, 270.0, 365.0))
    posterior = fit_times(times, settings=IndependenceSettings(draws=300, chains=2, proposals_per_draw=10))
    treated = truth.baseline_risk + truth.risk_difference
    for horizon in (180.0, 365.0):
        table = summarise_times(risks_by(posterior, times.trial, horizon)).loc["all patients"]
        true = {
            "RISK_DIFFERENCE": (follow_up.risk(treated, horizon) - follow_up.risk(truth.baseline_risk, horizon)).mean(),
            "TIME_LOST": (
                follow_up.event_free_time(truth.baseline_risk, horizon) - follow_up.event_free_time(treated, horizon)
            ).mean(),
            "MEAN_LOG_HAZARD_RATIO": np.log(np.log1p(-treated) / np.log1p(-truth.baseline_risk)).mean(),
        }
        for measure, value in true.items():
            row = table.loc[measure]
            assert abs(row["mean"] - value) < 3 * row["sd"], (horizon, measure, row["mean"], value)


def test_doors():
    design = real_times().trial
    for horizon in (0.0, -5.0, 2000.0, np.nan):
        with pytest.raises(ValueError, match="horizon must be positive and at most 1231"):
            risks_by(few(), design, horizon)
    with pytest.raises(ValueError, match="at most 1231"):
        survival_curves(few(), design, [0.0, 100.0, 5000.0])
    with pytest.raises(ValueError, match="must be a probability"):
        patient_effects_by(few(), design, HORIZON, interval=95)
    binary = PAPER_SPEC.design(simulate_trial(300, 1))
    posterior = fit(binary)
    with pytest.raises(ValueError, match="must be of fit_times"):
        risks_by(posterior, binary, HORIZON)


def test_kaplan_meier_of_many_groups_is_statsmodels_of_each() -> None:
    """With ties, a group in which nobody is left, and one without an event."""
    rng = np.random.default_rng(1)
    time, outcome = np.ceil(rng.exponential(300.0, 200)), (rng.random(200) < 0.6).astype(float)
    inside = rng.random((200, 5)) < 0.4
    inside[:, 3] = (outcome == 1.0) & (time < 300.0)
    inside[:, 4] = outcome == 0.0
    risk, se = kaplan_meier(time, outcome, inside, 365.0)
    for group in range(3):
        curve = sm.SurvfuncRight(time[inside[:, group]], outcome[inside[:, group]])
        place = np.searchsorted(curve.surv_times, 365.0, side="right") - 1
        assert risk[group] == pytest.approx(1.0 - curve.surv_prob[place], abs=1e-12)
        assert se[group] == pytest.approx(curve.surv_prob_se[place], abs=1e-12)
    assert risk[3] == 1.0
    assert np.isnan(se[3])
    assert (risk[4], se[4]) == (0.0, 0.0)
