"""Null rates of intervals: against closed forms, and on trials whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_trials import own_question, own_report, own_trial_frame
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.model.fit import FitWarning
from hte_utils.report import analyse
from hte_utils.report.columns import own_trial
from hte_utils.report.heterogeneity import ANY, MEAN, NullModel, null_rates
from hte_utils.report.intervals import ALONE, FIFTHS, PATIENTS, SHRUNKEN, refits, subgroup_null_rates
from hte_utils.report.page import page
from hte_utils.report.shrinkage import missed_by_model, shrunken_effects, subgroup_members
from hte_utils.report.times import missed_effects


def test_rates_count_intervals_and_trials() -> None:
    missed = np.array([[1, 0], [0, 0], [1, 1], [0, np.nan]])
    found = null_rates(missed, ["a", "b"])
    np.testing.assert_allclose(found["null_rate"], [1 / 2, 1 / 3, 3 / 8, 1 / 2])
    np.testing.assert_array_equal(found["simulated"], [4, 3, 4, 4])
    np.testing.assert_allclose(found["null_rate_mcse"][["a", ANY]], np.sqrt(0.25 / 4))
    # The intervals of one trial are not independent: the error of their mean is that of the trials' means.
    assert found.loc[MEAN, "null_rate_mcse"] == pytest.approx(np.std([0.5, 0.0, 1.0, 0.0]) / 2)


def test_an_interval_misses_what_lies_outside() -> None:
    frame = own_trial_frame()
    trial = own_trial(frame, own_question())
    members = subgroup_members(trial)
    inside = (frame["sex"] == "F").to_numpy()
    events = [frame["event"][inside & (frame["arm"] == arm)].eq("yes") for arm in ("Active", "Placebo")]
    ends = confint_proportions_2indep(
        *(value for each in events for value in (each.sum(), each.size)), method="newcomb", compare="diff"
    )
    place = list(members).index("sex: F")
    for truth, expected in ((ends[0] - 0.001, 1), (ends[0] + 0.001, 0), (ends[1] - 0.001, 0), (ends[1] + 0.001, 1)):
        assert missed_effects(trial, members, np.full(trial.n, truth))[place] == expected


@pytest.mark.parametrize("times", [False, True])
def test_intervals_err_about_as_often_as_they_say(times: bool) -> None:
    frame, more = own_trial_frame(400), {}
    if times:
        day = np.random.default_rng(4).integers(1, 100, len(frame))
        frame, more = frame.assign(day=np.where(frame["event"] == "yes", day, 100 + day)), {"time": "day"}
        more["horizon"] = 90.0  # type: ignore[assignment]
    trial = own_trial(frame, own_question(simulations=60, **more))
    members = subgroup_members(trial)
    found = subgroup_null_rates(trial, members, shrunken_effects(trial, members), lambda _: None)
    for kind in (ALONE, SHRUNKEN):
        assert list(found[kind].index) == [*members, MEAN, ANY]
        assert (found[kind]["simulated"] == 60).all()
        assert found[PATIENTS].loc[MEAN, "null_rate"] < 0.2
        # 60 trials: 5 % would be 3 of them, and 12 or more have a probability below 1 in 10 000.
        assert (found[kind]["null_rate"].drop(ANY) < 0.2).all()
        assert 0.0 < found[kind].loc[ANY, "null_rate"] < 0.7
        assert found[kind].loc[ANY, "null_rate"] >= found[kind]["null_rate"].drop([ANY, "all patients"]).max()


def test_a_wrong_truth_is_missed_by_the_model_too() -> None:
    trial = own_trial(own_trial_frame(), own_question())
    members = subgroup_members(trial)
    null = NullModel.of(trial, np.empty((trial.n, 0)))
    simulated = next(null.trials(trial))
    of_groups, of_patients = missed_by_model(simulated, members, null.effects() + 0.9)
    assert of_groups.all()
    assert of_patients == 1.0
    of_groups, of_patients = missed_by_model(simulated, members, null.effects())
    assert of_groups.mean() < 0.5
    assert of_patients < 0.5
    assert simulated.outcome.sum() != trial.outcome.sum()


def test_what_cannot_be_fitted_quickly_has_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = own_trial(own_trial_frame(), own_question())
    members = subgroup_members(trial)
    shrunken = shrunken_effects(trial, members)
    slow = shrunken._replace(fits=tuple(replace(record, sampler="nuts") for record in shrunken.fits))
    assert (refits(trial, shrunken), refits(trial, slow)) == (20, 0)
    found = subgroup_null_rates(trial, members, slow, lambda _: None)
    assert list(found) == [ALONE]

    def fails(*_: object, **__: object) -> None:
        raise FitWarning("no")

    monkeypatch.setattr("hte_utils.report.shrinkage._posteriors", fails)
    of_groups, of_patients = missed_by_model(trial, members, np.zeros(trial.n))
    assert np.isnan([*of_groups, of_patients]).all()


def test_page_and_json_show_the_rate_of_every_interval() -> None:
    report = own_report()
    numbers = json.loads(json.dumps(report.numbers(), allow_nan=False))
    for row in numbers["quintiles"]:
        assert row["risk_difference"]["null_rate"] == report.tests.fifths.loc[row["group"], "null_rate"]
    for row in numbers["subgroups"]:
        for found, kind in ((row["risk_difference"], ALONE), (row["shrunken"], SHRUNKEN)):
            assert found["null_rate"] == report.intervals.loc[(kind, row["population"]), "null_rate"]
            assert found["null_rate_mcse"] >= 0.0
    assert {row["kind"] for row in numbers["heterogeneity"]["intervals"]} == {FIFTHS, ALONE, SHRUNKEN, PATIENTS}
    shown = page(report)
    assert report.shrunken is not None
    assert shown.count("Null rates of these intervals ± MCSE") == 2
    for _, row in report.intervals.iterrows():
        cell = f"{100 * row['null_rate']:.1f} ± {100 * row['null_rate_mcse']:.1f} %"
        if row["null_rate"] == 0.0:  # which is no certainty
            cell = f"0.0 % (at most {300 / row['simulated']:.1f})"
        assert cell in shown
    for name in [*report.shrunken.subgroups.index, MEAN, ANY]:
        assert f"<td>{name}</td><td>" in shown
    assert "missed the true effect of" in shown
    assert shown.count("an interval missed the true difference in") == 3


def test_the_same_seed_gives_the_same_rates() -> None:
    question = own_question(covariates=("age",))
    first, again = (analyse(own_trial_frame(200), question).intervals for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
