"""Performance against formulas written out, the jackknife and repeated simulation; comparisons and their words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_results import results as made_up

from hte_utils.methods.measures import MEASURES
from hte_utils.study.generate import population
from hte_utils.study.performance import (
    average_effect_performance,
    common_trials,
    compare,
    compare_with_fixed_rule,
    failures,
    fixed_rules,
    in_words,
    paired_differences,
    performance,
    share_error,
    share_of_gain,
)
from hte_utils.study.scenarios import SCENARIOS


def results(n: int = 200, seed: int = 1, half_width: float = 0.0196, truth: float = 0.01) -> pd.DataFrame:
    """Two methods on the same `n` trials: an unbiased estimator with SD 0.01, and one that is 0.005 too high."""
    rng = np.random.default_rng(seed)
    common = rng.normal(0.0, 0.01, n)
    rows = []
    for method, shift in (("fair", 0.0), ("high", 0.005)):
        estimate = truth + common + shift + rng.normal(0.0, 0.001, n)
        columns = dict.fromkeys(MEASURES, np.full(n, np.nan)) | {
            "ate_estimate": estimate,
            "ate_lower": estimate - half_width,
            "ate_upper": estimate + half_width,
            "ate_truth": np.full(n, truth),
            "rd_bias": estimate - truth,
        }
        keys = {"scenario": "s", "method": method, "population": "trial", "replicate": range(n), "error": ""}
        rows.append(pd.DataFrame(keys | columns))
    return pd.concat(rows, ignore_index=True).astype({"method": "category"})


def test_the_average_effect_by_the_formulas_of_table_6() -> None:
    frame = results()
    found = average_effect_performance(frame).loc[("s", "fair", "trial")] / 100
    theta, n = frame.loc[frame["method"] == "fair", "ate_estimate"].to_numpy(), 200
    empirical = math.sqrt(((theta - theta.mean()) ** 2).sum() / (n - 1))
    expected = {
        "bias": (theta.mean() - 0.01, math.sqrt(((theta - theta.mean()) ** 2).sum() / (n * (n - 1)))),
        "empirical_se": (empirical, empirical / math.sqrt(2 * (n - 1))),
        "relative_se_error": (
            0.0196 / 1.959963984540054 / empirical - 1,
            0.0196 / 1.959963984540054 / empirical * math.sqrt(1 / (2 * (n - 1))),
        ),
    }
    for name, (value, mcse) in expected.items():
        assert found.loc[name, "value"] == pytest.approx(value, rel=2e-5), name
        assert found.loc[name, "mcse"] == pytest.approx(mcse, rel=2e-5, abs=1e-12), name
    covered = (np.abs(theta - 0.01) <= 0.0196).mean()
    eliminated = (np.abs(theta - theta.mean()) <= 0.0196).mean()
    assert found.loc["coverage", "value"] == pytest.approx(covered)
    assert found.loc["coverage", "mcse"] == pytest.approx(math.sqrt(covered * (1 - covered) / n))
    assert found.loc["bias_eliminated_coverage", "value"] == pytest.approx(eliminated)


def test_bias_lowers_coverage_but_not_bias_eliminated_coverage() -> None:
    found = average_effect_performance(results(n=5000))["value"] / 100
    fair, high = (found.loc[("s", name, "trial")] for name in ("fair", "high"))
    assert fair["coverage"] == pytest.approx(0.95, abs=0.012)
    assert high["coverage"] < 0.93
    assert high["bias_eliminated_coverage"] == pytest.approx(0.95, abs=0.012)
    assert high["bias"] == pytest.approx(0.005, abs=0.0005)


def test_monte_carlo_errors_are_the_spread_of_repeated_studies() -> None:
    """The definition of a Monte Carlo standard error, tried out."""
    rng = np.random.default_rng(5)
    studies = []
    for seed in range(150):
        frame = results(n=100, seed=seed)
        half = 0.0196 * rng.uniform(0.5, 1.5, len(frame))  # widths that vary, so that every error is at work
        centre = frame["ate_estimate"]
        frame = frame.assign(ate_lower=centre - half, ate_upper=centre + half)
        studies.append(average_effect_performance(frame).loc[("s", "high", "trial")])
    values = pd.concat([study["value"] for study in studies], axis=1)
    errors = pd.concat([study["mcse"] for study in studies], axis=1)
    ratio = values.std(axis=1) / np.sqrt((errors**2).mean(axis=1))
    # An SD of 150 studies is known to 6 %. That of bias-eliminated coverage leaves out that the mean itself moves.
    assert ratio.drop("bias_eliminated_coverage").between(0.8, 1.2).all(), ratio


def test_means_have_the_jackknifes_error() -> None:
    frame = results(n=50)
    found = performance(frame, ["rd_bias"])
    values = 100 * frame.loc[frame["method"] == "high", "rd_bias"].to_numpy()
    left_out = np.array([np.delete(values, k).mean() for k in range(values.size)])
    jackknife = math.sqrt((values.size - 1) / values.size * ((left_out - left_out.mean()) ** 2).sum())
    row = found.loc[("s", "high", "trial", "rd_bias")]
    assert row["mean"] == pytest.approx(values.mean())
    assert row["mcse"] == pytest.approx(jackknife)
    assert row["n"] == 50


def test_missing_and_infinite_values() -> None:
    frame = results(n=10)
    frame.loc[:3, "rd_bias"] = np.nan
    frame["lor_width"] = np.where(frame["replicate"] == 0, np.inf, 1.0)
    found = performance(frame, ["rd_bias", "lor_width", "rd_rmse"])
    assert found.loc[("s", "fair", "trial", "rd_bias"), "n"] == 6
    assert found.loc[("s", "fair", "trial", "lor_width"), "mean"] == math.inf
    assert math.isnan(found.loc[("s", "fair", "trial", "lor_width"), "mcse"])
    assert "rd_rmse" not in found.index.get_level_values("measure")  # nobody has it


def test_pairs_take_the_common_noise_away() -> None:
    frame = results()
    found = paired_differences(frame, "fair", ["rd_bias"]).loc[("s", "high", "trial", "rd_bias")]
    high, fair = (100 * frame.loc[frame["method"] == name, "rd_bias"].to_numpy() for name in ("high", "fair"))
    assert found["difference"] == pytest.approx((high - fair).mean())
    assert found["mcse"] == pytest.approx((high - fair).std(ddof=1) / math.sqrt(200))
    assert found["mcse"] < 0.25 * performance(frame, ["rd_bias"])["mcse"].iloc[0]


def test_pairs_need_both_and_find_each_other_in_any_order() -> None:
    frame = results(n=20)
    shuffled = frame.sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(
        paired_differences(shuffled, "fair", ["rd_bias"]), paired_differences(frame, "fair", ["rd_bias"])
    )
    frame.loc[(frame["method"] == "fair") & (frame["replicate"] < 5), "rd_bias"] = np.nan
    frame = frame[(frame["method"] == "fair") | (frame["replicate"] != 19)]
    assert paired_differences(frame, "fair", ["rd_bias"])["n"].tolist() == [14]


def test_failures_are_counted() -> None:
    frame = results(n=10)
    frame.loc[frame["replicate"].isin([2, 3]) & (frame["method"] == "high"), "error"] = "ValueError"
    frame.loc[(frame["replicate"] == 4) & (frame["method"] == "high"), "error"] = "WorkerDiedError"
    found = failures(pd.concat([frame, frame.assign(population="population")]))
    assert found.loc[("s", "high")].tolist() == [10, 3, "ValueError 2, WorkerDiedError 1"]
    assert found.loc[("s", "fair")].tolist() == [10, 0, ""]


def test_how_many_replicates_a_coverage_needs() -> None:
    """The published example: coverage of 95 % to half a percentage point needs 1900 replicates."""
    assert share_error(0.95, 1900) == pytest.approx(0.005, rel=1e-12)


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match=r"no measure \['nope'\] in these results; choose from"):
        performance(results(5), ["nope"])
    with pytest.raises(ValueError, match=r"no results of 'nope'; there are \['fair', 'high'\]"):
        paired_differences(results(5), "nope")
    with pytest.raises(ValueError, match="every replicate failed"):
        average_effect_performance(results(5).assign(ate_estimate=np.nan))


def test_the_error_of_the_relative_se_error_is_its_spread_over_studies():
    """Intervals whose standard errors vary and are 10 % too small: the stated error against that of 400 studies."""
    rng = np.random.default_rng(5)
    found, stated = [], []
    for _ in range(400):
        estimate = rng.normal(0.0, 1.0, 150)
        half = 1.959964 * 0.9 * np.sqrt(rng.chisquare(20, 150) / 20)
        table = made_up(150, ate_estimate=estimate, ate_lower=estimate - half, ate_upper=estimate + half, ate_truth=0.0)
        row = average_effect_performance(table).loc[("as-printed", "a", "trial", "relative_se_error")]
        found.append(row["value"])
        stated.append(row["mcse"])
    assert np.mean(found) == pytest.approx(-10.0, abs=1.0)
    assert np.mean(stated) == pytest.approx(np.std(found, ddof=1), rel=0.1)


def test_performance_is_in_the_units_of_the_figures():
    table = performance(made_up(rd_rmse=[0.01, 0.03, 0.01, 0.03], regret=0.002, rd_coverage=0.95))
    here = table.loc[("as-printed", "a", "trial")]
    assert here.loc["rd_rmse", "mean"] == pytest.approx(2.0)
    assert here.loc["rd_rmse", "mcse"] == pytest.approx(np.std([1, 3, 1, 3], ddof=1) / 2.0)
    assert here.loc["regret", "mean"] == pytest.approx(2.0)
    assert here.loc["rd_coverage", "mean"] == pytest.approx(95.0)


def test_differences_are_paired():
    easy_and_hard = np.array([0.01, 0.05, 0.09, 0.20])
    table = pd.concat(
        [made_up(rd_rmse=easy_and_hard), made_up(rd_rmse=easy_and_hard + 0.01).assign(method="b")], ignore_index=True
    )
    row = paired_differences(table, "a").loc[("as-printed", "b", "trial", "rd_rmse")]
    assert row["difference"] == pytest.approx(1.0)
    assert row["mcse"] == pytest.approx(0.0, abs=1e-9)


def test_fixed_rules_by_definition():
    effect = population(SCENARIOS["as-printed"]).truth.risk_difference
    rules = fixed_rules(["as-printed", "no-effect", "constant-odds-ratio"])
    assert rules.loc["as-printed", "treat all"] == pytest.approx(1000.0 * effect[effect > 0].sum() / effect.size)
    assert rules.loc["as-printed", "treat none"] == pytest.approx(-1000.0 * effect[effect < 0].sum() / effect.size)
    assert rules.loc["no-effect"].tolist() == [0.0, 0.0]
    assert rules.loc["constant-odds-ratio", "treat all"] == pytest.approx(0.0, abs=1e-12)


def met(**methods: object) -> pd.DataFrame:
    """RMSE and regret of some methods in new patients, as probabilities."""
    parts = [
        made_up(len(np.atleast_1d(values)), rd_rmse=values, regret=values, population="population", method=name)
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
    assert in_words(difference, 0.1) == said


@given(st.floats(-10, 10), st.floats(0.001, 10))
def test_the_two_directions_agree(difference, error):
    forth, back = (in_words(sign * difference, error).split()[0] for sign in (1, -1))
    assert back == {"larger": "smaller", "smaller": "larger", "not": "not"}[forth]


def test_one_trial_decides_nothing():
    with pytest.raises(ValueError, match="at least two common trials"):
        compare(met(a=[0.01], b=[0.02]), "a", "b", "rd_rmse")


def test_only_common_trials_are_compared():
    """The second method has met two trials more, hard ones; unpaired, it would look worse than it is."""
    table = met(a=[0.03, 0.05], b=[0.02, 0.04, 0.90, 0.90])
    assert compare(table, "b", "a", "rd_rmse") == "smaller by 1.00 ± 0.00"
    common = common_trials(table, ["a", "b"])
    assert sorted(common["replicate"]) == [0, 0, 1, 1]


def test_a_failed_trial_is_not_common():
    table = met(a=[0.03, 0.05, 0.04], b=[0.02, 0.04, 0.03])
    table.loc[(table["method"] == "b") & (table["replicate"] == 1), "error"] = "ValueError"
    assert sorted(set(common_trials(table, ["a", "b"])["replicate"])) == [0, 2]


def test_a_rule_is_compared_with_the_best_rule_for_all():
    best = float(fixed_rules(["as-printed"]).min(axis="columns").item())
    regret = (best + np.array([-3.0, -1.0])) / 1000.0
    said = compare_with_fixed_rule(met(a=regret), "a", "as-printed")
    assert said == "not told apart (-2.00 ± 1.00)"


def test_the_share_of_a_gain():
    first = np.array([0.05, 0.06, 0.04, 0.07])
    table = met(ml=first, knows=first - [0.015, 0.016, 0.014, 0.015], end=first - 0.02)
    share, error = share_of_gain(table, "ml", "knows", "end")
    assert share == pytest.approx(0.75)
    assert error == pytest.approx(np.std([1.5, 1.6, 1.4, 1.5], ddof=1) / 2.0 / 2.0)


def test_the_error_of_the_share_is_its_spread_over_studies():
    rng = np.random.default_rng(1)
    shares, errors = [], []
    for _ in range(300):
        first = rng.normal(0.05, 0.01, 200)
        part = rng.normal(0.007, 0.01, 200)
        table = met(ml=first, knows=first - part, end=first - part - rng.normal(0.003, 0.005, 200))
        share, error = share_of_gain(table, "ml", "knows", "end")
        shares.append(share)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(shares, ddof=1), rel=0.15)


def test_no_gain_cannot_be_shared():
    with pytest.raises(ValueError, match="no gain to share"):
        share_of_gain(met(ml=[0.01, 0.02], knows=[0.02, 0.01], end=[0.02, 0.01]), "ml", "knows", "end")
