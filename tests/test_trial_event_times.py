"""Times to event: the binary trial is the special case, and the laws are those that are said."""

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from hte_utils.trial import simulate_trial, simulate_truth
from hte_utils.trial.event_times import FollowUp, trial_with_times


@pytest.fixture(scope="module")
def truth():
    return simulate_truth(30_000, 7)


def times(truth, seed=1, **how):
    return trial_with_times(truth, np.random.default_rng(seed), FollowUp(**how))


def test_without_dropout_the_binary_trial_is_what_happened_by_the_end():
    table = times(simulate_truth(), shape=1.7)
    binary = simulate_trial()
    pd.testing.assert_frame_equal(table.drop(columns="time"), binary)
    assert (table["event"] == (table["time"] < 365.0)).all()
    assert table["time"].min() > 0.0
    assert table.loc[table["event"] == 0, "time"].eq(365.0).all()


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_times_have_the_law_that_is_said(truth, shape):
    follow_up = FollowUp(shape=shape)
    table = times(truth, shape=shape)
    # Each patient's risk by the time of the event, given that there is one, is uniform.
    bled = truth.event == 1
    by = table["time"].to_numpy()[bled]
    risk = truth.event_probability[bled]
    place = np.array([follow_up.risk(p, t) for p, t in zip(risk, by, strict=True)]) / risk
    assert stats.kstest(place, "uniform").pvalue > 1e-3
    for day in (50.0, 200.0, 365.0):
        expected = follow_up.risk(truth.event_probability, day).mean()
        seen = ((table["time"] <= day) & (table["event"] == 1)).mean()
        assert seen == pytest.approx(expected, abs=4 * np.sqrt(expected / len(table)))


def test_the_risk_by_the_end_is_the_listings(truth):
    np.testing.assert_allclose(FollowUp(shape=1.4).risk(truth.event_probability, 365.0), truth.event_probability)


@pytest.mark.parametrize("shape", [0.7, 1.0, 2.0])
def test_event_free_time_is_the_integral_of_survival(shape):
    follow_up = FollowUp(max_followup=100.0, shape=shape)
    for p in (0.02, 0.3, 0.9):
        area, _ = integrate.quad(lambda t, p=p: 1.0 - follow_up.risk(p, t), 0.0, 60.0)
        assert follow_up.event_free_time(p, 60.0) == pytest.approx(area, rel=1e-7)
    assert follow_up.event_free_time(0.0, 60.0) == pytest.approx(60.0)


def test_dropout_censors_the_share_that_is_said_whatever_the_risk(truth):
    table = times(truth, dropout=0.2)
    quiet = truth.event == 0
    left = (table["time"] < 365.0) & (table["event"] == 0)
    assert left[quiet].mean() == pytest.approx(0.2, abs=0.01)
    hidden = truth.event.sum() - table["event"].sum()
    assert 0.07 < hidden / truth.event.sum() < 0.14  # half of them, about: those who would have left before the event


def test_random_numbers_belong_to_patients(truth):
    first, again, other = times(truth, 3), times(truth, 3), times(truth, 4)
    pd.testing.assert_frame_equal(first, again)
    assert not first["time"].equals(other["time"])


def test_doors(truth):
    for wrong in ({"max_followup": 0.0}, {"shape": -1.0}, {"dropout": 1.0}, {"dropout": 20}, {"shape": np.nan}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            FollowUp(**wrong)
    with pytest.raises(TypeError, match="numpy Generator"):
        trial_with_times(truth, None)
