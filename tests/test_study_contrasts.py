"""Comparisons on the same trials, and the words that their numbers decide, against hand computation and simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_results import results

from hte_utils.study import contrasts, findings


def study(**methods: object) -> pd.DataFrame:
    """RMSE and regret of some methods in new patients, as probabilities."""
    parts = [
        results(len(np.atleast_1d(values)), rd_rmse=values, regret=values, population="population", method=name)
        for name, values in methods.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    return table.astype(dict.fromkeys(["scenario", "method", "population"], "category"))


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        (0.21, "larger by 0.21 ± 0.10"),
        (-0.21, "smaller by 0.21 ± 0.10"),
        (0.19, "not told apart (+0.19 ± 0.10)"),
        (-0.19, "not told apart (-0.19 ± 0.10)"),
    ],
)
def test_the_word_needs_twice_the_error(difference, said):
    assert contrasts.in_words(difference, 0.1) == said


@given(st.floats(-10, 10), st.floats(0.001, 10))
def test_the_two_directions_agree(difference, error):
    forth, back = (contrasts.in_words(sign * difference, error).split()[0] for sign in (1, -1))
    assert back == {"larger": "smaller", "smaller": "larger", "not": "not"}[forth]


def test_one_trial_decides_nothing():
    with pytest.raises(ValueError, match="at least two common trials"):
        contrasts.compare(study(a=[0.01], b=[0.02]), "a", "b", "rd_rmse")


def test_only_common_trials_are_compared():
    """The second method has met two trials more, hard ones; unpaired, it would look worse than it is."""
    table = study(a=[0.03, 0.05], b=[0.02, 0.04, 0.90, 0.90])
    assert contrasts.compare(table, "b", "a", "rd_rmse") == "smaller by 1.00 ± 0.00"
    common = contrasts.common_trials(table, ["a", "b"])
    assert sorted(common["replicate"]) == [0, 0, 1, 1]


def test_a_failed_trial_is_not_common():
    table = study(a=[0.03, 0.05, 0.04], b=[0.02, 0.04, 0.03])
    table.loc[(table["method"] == "b") & (table["replicate"] == 1), "error"] = "ValueError"
    assert sorted(set(contrasts.common_trials(table, ["a", "b"])["replicate"])) == [0, 2]


def test_a_rule_is_compared_with_the_best_rule_for_all():
    best = float(findings.fixed_rules(["as-printed"]).min(axis="columns").item())
    regret = (best + np.array([-3.0, -1.0])) / 1000.0
    said = contrasts.compare_with_fixed_rule(study(a=regret), "a", "as-printed")
    assert said == "not told apart (-2.00 ± 1.00)"


def test_the_share_of_a_gain():
    first = np.array([0.05, 0.06, 0.04, 0.07])
    table = study(ml=first, knows=first - [0.015, 0.016, 0.014, 0.015], end=first - 0.02)
    share, error = contrasts.share_of_gain(table, "ml", "knows", "end")
    assert share == pytest.approx(0.75)
    assert error == pytest.approx(np.std([1.5, 1.6, 1.4, 1.5], ddof=1) / 2.0 / 2.0)


def test_the_error_of_the_share_is_its_spread_over_studies():
    rng = np.random.default_rng(1)
    shares, errors = [], []
    for _ in range(300):
        first = rng.normal(0.05, 0.01, 200)
        part = rng.normal(0.007, 0.01, 200)
        table = study(ml=first, knows=first - part, end=first - part - rng.normal(0.003, 0.005, 200))
        share, error = contrasts.share_of_gain(table, "ml", "knows", "end")
        shares.append(share)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(shares, ddof=1), rel=0.15)


def test_no_gain_cannot_be_shared():
    with pytest.raises(ValueError, match="no gain to share"):
        contrasts.share_of_gain(study(ml=[0.01, 0.02], knows=[0.02, 0.01], end=[0.02, 0.01]), "ml", "knows", "end")
