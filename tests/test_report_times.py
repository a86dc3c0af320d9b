"""The report on trials with times: against statsmodels on ACTG 175, closed forms, and the report without times."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from report_trials import own_question, own_trial_frame
from statsmodels.duration.survfunc import survdiff

from hte_utils.ledger.notebooks import Project
from hte_utils.report import DataError, Question, Report, analyse
from hte_utils.report.__main__ import main
from hte_utils.report.columns import own_trial
from hte_utils.report.hazards import Hazards, heterogeneity_of_times
from hte_utils.report.page import page
from hte_utils.report.times import as_times, crude_effects, restricted_mean
from hte_utils.trial.actg175 import ARMS, read_actg175, two_arms

HORIZON = 730.0
COVARIATES = ("age", "cd4", "gender", "symptomatic", "prior_therapy")


@functools.cache
def actg() -> pd.DataFrame:
    """Two arms of the real trial, as text."""
    patients = read_actg175(Project.find().stored_results / "actg175" / "actg175.csv")
    return two_arms(patients, ARMS[1]).astype({"arm": str})


def question(**more: object) -> Question:
    given: dict[str, object] = {"time": "days", "horizon": HORIZON, "control": ARMS[0], "simulations": 20}
    return Question("event", "arm", COVARIATES, **(given | more))  # type: ignore[arg-type]


@functools.cache
def actg_report() -> Report:
    """Made once."""
    return analyse(actg(), question())


def with_times(frame: pd.DataFrame | None = None) -> pd.DataFrame:
    """The small trial with a day for each patient, nobody censored before day 100."""
    frame = own_trial_frame() if frame is None else frame
    day = np.random.default_rng(4).integers(1, 100, len(frame))
    return frame.assign(day=np.where(frame["event"] == "yes", day, 100 + day))


def kaplan_meier(frame: pd.DataFrame, by: float) -> tuple[float, float]:
    curve = sm.SurvfuncRight(frame["days"], frame["event"])
    place = np.searchsorted(curve.surv_times, by, side="right") - 1
    return 1.0 - curve.surv_prob[place], curve.surv_prob_se[place]


def test_risks_on_actg_175_are_those_of_statsmodels() -> None:
    times, crude = actg_report().times, actg_report().crude
    assert times is not None
    risks = []
    for role, arm in (("control", ARMS[0]), ("treated", ARMS[1])):
        risk, se = kaplan_meier(actg()[actg()["arm"] == arm], HORIZON)
        np.testing.assert_allclose(times.arms.loc[role, ["risk", "se"]].to_numpy(dtype=float), [risk, se], rtol=1e-12)
        risks.append(risk)
    row = crude.loc["RISK_DIFFERENCE"]
    assert row["estimate"] == pytest.approx(risks[1] - risks[0], abs=1e-12)
    reach = 1.96 * np.hypot(*times.arms["se"])
    np.testing.assert_allclose([row["lower"], row["upper"]], row["estimate"] + np.array([-reach, reach]), atol=0.003)


def test_hazard_ratio_and_log_rank_on_actg_175_are_those_of_statsmodels() -> None:
    frame, times = actg(), actg_report().times
    assert times is not None
    treated, by_then = (frame["arm"] == ARMS[1]).astype(float), frame["event"] * (frame["days"] <= HORIZON)
    fitted = sm.PHReg(frame["days"].clip(upper=HORIZON), treated, by_then, ties="efron").fit()
    assert times.hazard_ratio["estimate"] == pytest.approx(np.exp(fitted.params[0]), rel=1e-9)
    assert times.log_rank_p == pytest.approx(survdiff(frame["days"].clip(upper=HORIZON), by_then, treated)[1])


def test_the_censored_never_count_as_without_event() -> None:
    frame, times = actg(), actg_report().times
    assert times is not None
    before = (frame["event"] == 0) & (frame["days"] < HORIZON)
    numbers = json.loads(json.dumps(actg_report().numbers(), allow_nan=False))
    assert numbers["horizon"] == HORIZON
    assert numbers["censored_before_horizon"] == {
        "control": int((before & (frame["arm"] == ARMS[0])).sum()),
        "treated": int((before & (frame["arm"] == ARMS[1])).sum()),
    }
    assert (times.arms["risk"] > times.arms["naive"]).all()
    assert numbers["arms"]["counts"]["control"]["rate"] == times.arms.loc["control", "risk"]
    assert numbers["predicted_effects"] is None


def test_each_fifth_is_compared_by_kaplan_and_meier_and_ranked_blind_to_its_own_fold() -> None:
    report, frame = actg_report(), actg()
    for name, row in report.quintiles.iterrows():
        inside = frame[report.ranking.members()[name].to_numpy()]
        risks = [kaplan_meier(inside[inside["arm"] == arm], HORIZON)[0] for arm in ARMS[:2]]
        np.testing.assert_allclose(row[["rate_control", "rate_treated"]].to_numpy(dtype=float), risks, rtol=1e-12)
        assert row["estimate"] == pytest.approx(risks[1] - risks[0])
    own = report.ranking.fold == 2
    flipped = analyse(frame.assign(days=frame["days"].where(~own, 800)), question()).ranking
    np.testing.assert_array_equal(flipped.group[own], report.ranking.group[own])
    assert (flipped.group != report.ranking.group).any()


def test_the_model_agrees_with_what_was_seen_on_average() -> None:
    report = actg_report()
    model, seen = (each.loc["RISK_DIFFERENCE"] for each in (report.standardised, report.crude))
    assert model["estimate"] == pytest.approx(seen["estimate"], abs=0.015)
    assert report.shrunken is not None
    assert all(each.passed for each in report.shrunken.fits)


def test_without_censoring_the_crude_effects_are_those_without_times() -> None:
    plain = own_trial(own_trial_frame(), own_question())
    timed = own_trial(with_times(), own_question(time="day", horizon=100))
    members = pd.DataFrame({"all": True, "older": plain.covariates[0].numbers > 60}, index=range(plain.n))
    pd.testing.assert_frame_equal(crude_effects(timed, members), crude_effects(plain, members), check_dtype=False)
    assert timed.arm_counts()["treated"].rate == pytest.approx(plain.arm_counts()["treated"].rate)


def test_without_events_in_an_arm_the_interval_does_not_shrink_to_nothing() -> None:
    frame = own_trial_frame()
    frame.loc[frame["arm"] == "Active", "event"] = "no"
    plain, timed = (
        crude_effects(own_trial(each, asked), pd.DataFrame({"all": np.ones(600, dtype=bool)}))
        for each, asked in ((frame, own_question()), (with_times(frame), own_question(time="day", horizon=100)))
    )
    pd.testing.assert_frame_equal(timed, plain, check_dtype=False)


def test_restricted_means_without_censoring_are_means() -> None:
    time = np.minimum(np.random.default_rng(2).exponential(50.0, 400), 60.0)
    mean, se = restricted_mean(time, (time < 60.0).astype(float), 60.0)
    assert mean == pytest.approx(time.mean())
    assert se == pytest.approx(time.std() / np.sqrt(400))


def test_without_an_event_the_error_of_a_restricted_mean_is_not_known() -> None:
    mean, se = restricted_mean(np.full(20, 60.0), np.zeros(20), 60.0)
    assert mean == 60.0
    assert np.isnan(se)


def test_the_regression_for_times_is_that_of_a_poisson_glm() -> None:
    trial = own_trial(actg(), question())
    model, times = Hazards.of(trial), as_times(trial)
    model = model._replace(precision=np.zeros(model.terms.shape[1]))
    patient, interval = np.nonzero(times.exposure)
    dummies = np.eye(times.ends.size)[interval]
    design = np.hstack([dummies, model.terms[patient]])
    exposure = model.exposure[patient, interval]
    fitted = sm.GLM(
        times.events[patient, interval], design, family=sm.families.Poisson(), offset=np.log(exposure)
    ).fit()
    np.testing.assert_allclose(model.fit(), fitted.params, atol=2e-3)


def test_the_test_finds_an_effect_that_turns_round_and_errs_seldom_without() -> None:
    rng = np.random.default_rng(5)
    marker, arm = (rng.integers(0, 2, 1500).astype(float) for _ in range(2))
    found = {}
    for strength in (0.0, 2.0):
        day = rng.exponential(100.0 / np.exp(arm * strength * (marker - 0.5)))
        left = rng.uniform(20.0, 200.0, 1500)
        frame = pd.DataFrame({"event": (day <= left).astype(int), "day": np.minimum(day, left), "arm": arm})
        asked = Question("event", "arm", ("marker", "other"), time="day", horizon=90.0, simulations=60)
        trial = own_trial(frame.assign(marker=marker, other=rng.normal(size=1500)), asked)
        columns = trial.matrix()
        found[strength] = heterogeneity_of_times(trial, columns, ["marker", "other"], lambda _: None)
    assert found[2.0].tests["p"].iloc[1] == pytest.approx(1 / 61)
    assert found[2.0].single.loc["marker", "z"] > 4.0
    assert found[0.0].tests["p"].iloc[1] > 0.03
    assert (found[0.0].tests["null_rate"] <= 0.17).all()
    assert 0.9 < found[0.0].coverage <= 1.0


def test_the_page_says_what_censoring_did_and_what_is_left_out() -> None:
    shown = page(actg_report())
    assert "were censored without event" in shown
    assert "not collapsible" in shown
    assert "hazard ratio of treatment differs" in shown
    assert "this report leaves them out" in shown
    assert "net benefit, everybody" not in shown
    assert "83 events after the horizon of 730 do not count" in shown
    assert ">nan" not in shown


@pytest.mark.parametrize(
    ("day", "horizon", "words"),
    [
        (lambda day: day.where(day.index != 3), 100.0, r"time \(column 'day'\) is missing in 1 row"),
        (lambda day: day.where(day.index != 3, -1), 100.0, "is negative in 1 row"),
        (lambda day: day.where(day.index != 3, np.inf), 100.0, "is infinite in 1 row"),
        (lambda day: day.astype(str) + " d", 100.0, "must hold numbers"),
        (
            lambda day: day,
            500.0,
            "nobody in arm 'Placebo' was followed up to the horizon of 500: the last time .* is 19",
        ),
    ],
)
def test_times_that_cannot_be_used_are_refused(day, horizon: float, words: str) -> None:
    frame = with_times()
    with pytest.raises(DataError, match=words):
        own_trial(frame.assign(day=day(frame["day"])), own_question(time="day", horizon=horizon))


def test_times_with_a_comma_are_said_or_refused() -> None:
    frame, asked = with_times(), own_question(time="day", horizon=100)
    trial = own_trial(frame.assign(day=frame["day"].astype(str) + ",5"), asked)
    assert any("'day' were read with a decimal comma" in each for each in trial.notes)
    with pytest.raises(DataError, match="'day'"):
        own_trial(frame.assign(day="1,234"), asked)


def test_a_time_of_zero_is_said_and_a_late_event_does_not_count() -> None:
    frame = with_times()
    frame.loc[frame.index[frame["event"] == "yes"][0], "day"] = 0
    trial = own_trial(frame, own_question(time="day", horizon=50))
    assert any("1 patients with time 0" in each for each in trial.notes)
    assert any("after the horizon of 50 do not count" in each for each in trial.notes)
    assert trial.outcome.sum() == ((frame["event"] == "yes") & (frame["day"] <= 50)).sum()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"time": "day"}, "go together"),
        ({"horizon": 10.0}, "go together"),
        ({"time": "day", "horizon": -1.0}, "positive number"),
        ({"time": "day", "horizon": float("nan")}, "positive number"),
        ({"time": "age", "horizon": 10.0}, "'age' is named as time and as covariate"),
    ],
)
def test_a_question_about_times_is_whole(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        own_question(**more)


def test_a_fifth_that_nobody_of_an_arm_finished_is_not_compared() -> None:
    trial = own_trial(with_times(), own_question(time="day", horizon=100))
    inside = trial.covariates[0].numbers > 60
    left = replace(trial, time=np.where(inside & (trial.treatment == 1.0), np.minimum(trial.time, 99.5), trial.time))
    found = crude_effects(left, pd.DataFrame({"older": inside, "younger": ~inside}))["estimate"]
    assert found["older"].isna().all()
    assert found["younger"].notna().all()


def test_the_command_takes_times(tmp_path, capfd) -> None:
    with_times().to_csv(tmp_path / "trial.csv", index=False)
    options = ["--outcome", "event", "--event", "yes", "--treatment", "arm", "--control", "Placebo", "--covariates"]
    files = ["-o", str(tmp_path / "report.html"), "--json", str(tmp_path / "report.json")]
    files += ["--tables", str(tmp_path / "report.xlsx"), "--quiet", "--simulations", "20"]
    command = [str(tmp_path / "trial.csv"), *options, "age,sex,severity", *files, "--time", "day"]
    assert main(command) == 2
    assert "--horizon" in capfd.readouterr().err
    assert main([*command, "--horizon", "100"]) == 0
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert numbers["censored_before_horizon"] == {"control": 0, "treated": 0}
    assert set(numbers["average"]["risk_difference"]) == {"estimate", "lower", "upper"}
    assert "Times" in pd.read_excel(tmp_path / "report.xlsx", sheet_name=None)


def test_a_plan_fixes_time_and_horizon(tmp_path) -> None:
    file = tmp_path / "plan.toml"
    text = 'outcome = "event"\ntreatment = "arm"\ncovariates = ["age"]\ntime = "day"\nhorizon = 100\n'
    file.write_text(text)
    asked = Question.from_plan(file)
    assert (asked.horizon, asked.status("horizon"), "day" in asked.columns) == (100, "prespecified", True)
    file.write_text(text.replace("100", "true"))
    with pytest.raises(ValueError, match="'horizon' in the plan must be a number"):
        Question.from_plan(file)
