"""Tables of effects say the right numbers, with signs, scales and intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design

from hte_utils.corrected.effects_report import (
    average_effects_table,
    group_effects_table,
    guarded_effects,
    signed,
    true_table,
)
from hte_utils.corrected.subgroups import ByCategory, memberships, unadjusted_effects
from hte_utils.effects.averages import EVERYBODY, Measure, standardised_risks, summarise_effects, true_risks
from hte_utils.trial import simulate_trial, simulate_truth


@pytest.fixture(scope="module")
def members() -> pd.DataFrame:
    return memberships(simulate_trial(n_subjects=300, seed=123), [ByCategory("gender", "gender")])


@pytest.fixture(scope="module")
def posterior(members: pd.DataFrame) -> pd.DataFrame:
    return summarise_effects(standardised_risks(random_posterior(1), small_design(), members))


@pytest.fixture(scope="module")
def true(members: pd.DataFrame) -> pd.DataFrame:
    return true_table(true_risks(simulate_truth(300, 123), members))


@pytest.fixture(scope="module")
def observed(members: pd.DataFrame) -> pd.DataFrame:
    return unadjusted_effects(small_design(), members)


def test_signs_are_typographic_and_zero_has_none() -> None:
    assert [signed(value) for value in (-1.25, 0.04, -0.04, 2.0)] == ["−1.2", "0.0", "0.0", "+2.0"]


def test_the_truth_is_that_of_the_patients(true: pd.DataFrame, members: pd.DataFrame) -> None:
    truth = simulate_truth(300, 123)
    women = members["gender: Female"].to_numpy()
    found = true.loc[("gender: Female", "RISK_DIFFERENCE"), "estimate"]
    assert found == pytest.approx(truth.risk_difference[women].mean())


def test_averages_on_every_scale(posterior: pd.DataFrame, true: pd.DataFrame, observed: pd.DataFrame) -> None:
    table = average_effects_table({"crude": observed, "model": posterior, "truth": true})
    row = posterior.loc[(EVERYBODY, "RISK_DIFFERENCE")]
    shown = [signed(100 * row[column]) for column in ("mean", "lower", "upper")]
    assert table.loc["model", "risk difference (points)"] == f"{shown[0]} ({shown[1]} to {shown[2]})"
    ratio = posterior.loc[(EVERYBODY, "RISK_RATIO"), "mean"]
    assert table.loc["model", "risk ratio"].startswith(f"{ratio:.2f} (")
    assert table.loc["crude", "log odds ratio, mean of patients"] == "–"
    assert table.loc["truth", "log odds ratio, marginal"] == signed(
        true.loc[(EVERYBODY, "MARGINAL_LOG_ODDS_RATIO"), "estimate"], "+.2f"
    )
    assert "∞" in table.loc["crude", "number needed"]
    assert table.loc["truth", "number needed"].split()[0] in {"NNH", "NNB"}


def test_groups_show_events_beside_effects(
    posterior: pd.DataFrame, true: pd.DataFrame, observed: pd.DataFrame, members: pd.DataFrame
) -> None:
    table = group_effects_table(posterior, observed, true, list(members.columns))
    assert list(table.index) == list(members.columns)
    design, women = small_design(), members["gender: Female"].to_numpy()
    treated = women & (design.treatment == 1)
    events, n = int(design.outcome[treated].sum()), int(treated.sum())
    assert table.loc["gender: Female", "treated"] == f"{events}/{n} ({100 * events / n:.1f} %)"
    p_harm = posterior.loc[("gender: Female", "RISK_DIFFERENCE"), "p_harm"]
    assert table.loc["gender: Female", "P(harm)"] == f"{p_harm:.2f}"
    with pytest.raises(KeyError):
        group_effects_table(posterior, observed, true, ["children"])


def test_a_ratio_that_does_not_exist_is_a_dash(posterior: pd.DataFrame) -> None:
    broken = posterior[["mean", "lower", "upper"]].copy()
    broken.loc[(EVERYBODY, "RISK_RATIO"), :] = np.nan
    assert average_effects_table({"model": broken}).loc["model", "risk ratio"] == "–"


def test_guarded_numbers_have_their_monte_carlo_errors(posterior: pd.DataFrame, true: pd.DataFrame) -> None:
    numbers = guarded_effects("x", posterior, true)
    assert len(numbers) == 3 * len(Measure) * 4
    found = numbers["x.gender_Male.risk_difference.lower"]
    row = posterior.loc[("gender: Male", "RISK_DIFFERENCE")]
    assert (found.value, found.mcse) == (row["lower"], row["mcse_lower"])
    assert numbers["x.all_patients.risk_ratio.true"].mcse == 0
