"""Tables of effects say the right numbers, with signs, scales and intervals; numbers needed are Altman's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.effects_report import (
    average_effects_table,
    group_effects_table,
    guarded_effects,
    number_needed,
    rate_with_error,
    signed,
    true_effects,
)
from hte_utils.corrected.subgroups import memberships, unadjusted_effects
from hte_utils.effects.averages import EVERYBODY, Measure, standardised_risks, summarise_effects
from hte_utils.trial import simulate_trial, simulate_truth


@pytest.fixture(scope="module")
def members() -> pd.DataFrame:
    return memberships(simulate_trial(n_subjects=300, seed=123), {"gender": ()})


@pytest.fixture(scope="module")
def posterior(members: pd.DataFrame) -> pd.DataFrame:
    return summarise_effects(standardised_risks(random_posterior(1), small_design(), members))


@pytest.fixture(scope="module")
def true(members: pd.DataFrame) -> pd.DataFrame:
    return true_effects(simulate_truth(300, 123), members)


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


DIFFERENCES = st.floats(-1.0, 1.0).filter(lambda value: abs(value) > 1e-6)


def test_altmans_example_of_an_interval_through_infinity() -> None:
    # Altman (1998): absolute risk reduction 10 % (-5 % to 25 %) is NNTB 10 (NNTH 20 to infinity to NNTB 4).
    assert number_needed(-0.10, -0.25, 0.05) == "NNB 10 (NNB 4 to ∞ to NNH 20)"


def test_an_interval_on_one_side_is_written_from_the_smaller_number() -> None:
    assert number_needed(0.05, 0.02, 0.10) == "NNH 20 (NNH 10 to NNH 50)"
    assert number_needed(-0.05, -0.10, -0.02) == "NNB 20 (NNB 10 to NNB 50)"


def test_no_difference_is_infinity() -> None:
    assert number_needed(0.0) == "∞"
    assert number_needed(0.0, 0.0, 0.1) == "∞ (∞ to NNH 10)"
    assert number_needed(0.0, -0.1, 0.0) == "∞ (NNB 10 to ∞)"


def test_patients_are_whole_and_rounded_up() -> None:
    assert number_needed(0.02) == "NNH 50"  # and not 51 by the noise of the division
    assert number_needed(0.03) == "NNH 34"
    assert number_needed(-1 / 3) == "NNB 3"


@given(DIFFERENCES)
def test_the_number_is_the_reciprocal_and_its_name_the_sign(difference: float) -> None:
    name, count = number_needed(difference).split()
    assert name == ("NNH" if difference > 0 else "NNB")
    assert 1 / abs(difference) <= int(count) + 1e-6
    assert int(count) - 1 < 1 / abs(difference)


@given(st.tuples(DIFFERENCES, DIFFERENCES, DIFFERENCES).map(sorted))
def test_infinity_is_named_whenever_both_signs_are_possible(ends: list[float]) -> None:
    lower, estimate, upper = ends
    assert ("∞" in number_needed(estimate, lower, upper)) == (lower < 0 < upper)


@pytest.mark.parametrize(
    ("rate", "mcse", "trials", "text"),
    [
        (0.05, 0.01, 475, "5.0 ± 1.0 %"),
        (0.0, 0.0, 60, "0.0 % (at most 5.0)"),  # 1 - 0.05 ** (1 / 60) is 4.9 %
        (1.0, 0.0, 60, "100.0 % (at least 95.0)"),
        (0.0, 0.0, 2, "0.0 % (at most 100.0)"),
        (np.nan, np.nan, 60, "–"),
    ],
)
def test_a_rate_never_claims_to_be_certain(rate: float, mcse: float, trials: int, text: str) -> None:
    assert rate_with_error(rate, mcse, trials) == text
