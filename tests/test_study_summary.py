"""Summaries over replicates, against formulas written out, the jackknife, and repeated simulation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from study_results import results as made_up

from hte_utils.methods.measures import MEASURES
from hte_utils.study.performance import (
    average_effect_performance,
    failures,
    mean_measures,
    paired_differences,
    share_error,
)


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
    found = average_effect_performance(frame).loc[("s", "fair", "trial")]
    theta, n = frame.loc[frame["method"] == "fair", "ate_estimate"].to_numpy(), 200
    empirical = math.sqrt(((theta - theta.mean()) ** 2).sum() / (n - 1))
    mse = ((theta - 0.01) ** 2).sum() / n
    expected = {
        "bias": (theta.mean() - 0.01, math.sqrt(((theta - theta.mean()) ** 2).sum() / (n * (n - 1)))),
        "empirical_se": (empirical, empirical / math.sqrt(2 * (n - 1))),
        "mse": (mse, math.sqrt((((theta - 0.01) ** 2 - mse) ** 2).sum() / (n * (n - 1)))),
        "model_se": (0.0196 / 1.959963984540054, 0.0),
        "relative_error_of_model_se": (
            100 * (0.0196 / 1.959963984540054 / empirical - 1),
            100 * 0.0196 / 1.959963984540054 / empirical * math.sqrt(1 / (2 * (n - 1))),
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
    assert (found["n"] == n).all()


def test_bias_lowers_coverage_but_not_bias_eliminated_coverage() -> None:
    found = average_effect_performance(results(n=5000))["value"]
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
    found = mean_measures(frame, ["rd_bias"])
    values = frame.loc[frame["method"] == "high", "rd_bias"].to_numpy()
    left_out = np.array([np.delete(values, k).mean() for k in range(values.size)])
    jackknife = math.sqrt((values.size - 1) / values.size * ((left_out - left_out.mean()) ** 2).sum())
    row = found.loc[("s", "high", "trial", "rd_bias")]
    assert row["mean"] == pytest.approx(values.mean())
    assert row["mcse"] == pytest.approx(jackknife)
    assert row["sd"] == pytest.approx(values.std(ddof=1))
    assert row["n"] == 50


def test_missing_and_infinite_values() -> None:
    frame = results(n=10)
    frame.loc[:3, "rd_bias"] = np.nan
    frame["lor_width"] = np.where(frame["replicate"] == 0, np.inf, 1.0)
    found = mean_measures(frame)
    assert found.loc[("s", "fair", "trial", "rd_bias"), "n"] == 6
    assert found.loc[("s", "fair", "trial", "lor_width"), "mean"] == math.inf
    assert math.isnan(found.loc[("s", "fair", "trial", "lor_width"), "mcse"])
    assert "rd_rmse" not in found.index.get_level_values("measure")  # nobody has it


def test_pairs_take_the_common_noise_away() -> None:
    frame = results()
    found = paired_differences(frame, "fair", ["rd_bias"]).loc[("s", "high", "trial", "rd_bias")]
    high, fair = (frame.loc[frame["method"] == name, "rd_bias"].to_numpy() for name in ("high", "fair"))
    assert found["difference"] == pytest.approx((high - fair).mean())
    assert found["mcse"] == pytest.approx((high - fair).std(ddof=1) / math.sqrt(200))
    assert found["mcse"] < 0.25 * mean_measures(frame, ["rd_bias"])["mcse"].iloc[0]


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
        mean_measures(results(5), ["nope"])
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
        row = average_effect_performance(table).loc[("as-printed", "a", "trial", "relative_error_of_model_se")]
        found.append(row["value"])
        stated.append(row["mcse"])
    assert np.mean(found) == pytest.approx(-10.0, abs=1.0)
    assert np.mean(stated) == pytest.approx(np.std(found, ddof=1), rel=0.1)
