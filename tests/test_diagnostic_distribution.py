"""Where a value lies among simulated ones: small cases by hand, laws, errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from hte_utils.diagnostic_distribution import joint_distance, locate, normal_exceedance, tail_probability

TEN = pd.DataFrame({"a": np.arange(1.0, 11.0), "b": np.arange(10.0, 110.0, 10.0)})


def test_locate_counts_by_hand() -> None:
    table = locate(pd.Series({"b": 35.0, "a": 10.0}), TEN)
    assert list(table.index) == ["b", "a"]
    assert table.loc["b", "percentile"] == 30
    assert table.loc["b", "two_sided"] == pytest.approx(2 * 4 / 11)
    assert table.loc["a", "percentile"] == 95  # nine below, one tie by half
    assert table.loc["a", "two_sided"] == pytest.approx(2 * 2 / 11)
    assert table.loc["b", "median"] == 55
    assert table.loc["b", "mcse"] == pytest.approx(2 * np.sqrt(4 / 11 * 7 / 11 / 10))


def test_locate_sees_ties_of_printed_values() -> None:
    simulated = pd.DataFrame({"se": [0.0021, 0.0019, 0.0024, 0.0031]})
    observed = pd.Series({"se": 0.002})
    assert locate(observed, simulated)["percentile"].item() == 25
    assert locate(observed, simulated, decimals=3)["percentile"].item() == pytest.approx(37.5)  # three ties
    assert locate(observed, simulated, decimals=3)["two_sided"].item() == 1


def test_locate_is_uniform_for_a_run_of_the_same_law() -> None:
    generator = np.random.default_rng(4)
    simulated = pd.DataFrame(generator.normal(size=(999, 400)))
    observed = pd.Series(generator.normal(size=400))
    share = (locate(observed, simulated)["two_sided"] <= 0.1).mean()
    assert share == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 400))


def test_dependent_runs_count_for_fewer() -> None:
    table = locate(pd.Series({"a": 2.0, "b": 1000.0}), TEN, independent_runs=5)
    assert table["percentile"].to_list() == [15, 100]
    # Two of ten runs at or below, as one of five; none of five; and the observed run itself.
    assert table["two_sided"].to_list() == pytest.approx([2 * 2 / 6, 2 * 1 / 6])
    assert table["mcse"].to_list() == pytest.approx([2 * np.sqrt(2 / 6 * 4 / 6 / 5), 2 * np.sqrt(1 / 6 * 5 / 6 / 5)])
    assert table.loc["b", "deviation"] == pytest.approx((1000 - 55) / TEN["b"].std())


def test_joint_distance_tells_a_run_of_another_law() -> None:
    generator = np.random.default_rng(6)
    simulated = pd.DataFrame(generator.normal(size=(999, 12)))
    same = joint_distance(pd.Series(generator.normal(size=12)), simulated, decimals=3)
    other = joint_distance(pd.Series(2 + generator.normal(size=12)), simulated, decimals=3)
    assert same.typical == pytest.approx(11.34, rel=0.1)  # the median of chi-squared with 12 degrees of freedom
    assert same.probability > 0.01
    assert other.probability == pytest.approx(1 / 1000)
    assert other.statistic > simulated.pow(2).sum(axis=1).max()


def test_joint_distance_bears_a_quantity_that_never_varies_in_print() -> None:
    simulated = pd.DataFrame({"a": np.arange(20.0), "b": 0.002})
    assert joint_distance(pd.Series({"a": 9.0, "b": 0.002}), simulated, decimals=3).probability > 0.5
    # Four thousandths instead of two: 2 units, of which rounding has the standard deviation 1 / sqrt(12).
    table = locate(pd.Series({"b": 0.004}), simulated, decimals=3)
    assert table.loc["b", "deviation"] == pytest.approx(2 * np.sqrt(12))
    assert joint_distance(pd.Series({"a": 9.0, "b": 0.004}), simulated, decimals=3).probability == pytest.approx(1 / 21)


def test_tail_probability_counts_by_hand() -> None:
    place = tail_probability(9, TEN["a"])
    assert place.probability == pytest.approx(3 / 11)
    assert place.typical == 5.5
    assert place.mcse == pytest.approx(np.sqrt(3 / 11 * 8 / 11 / 10))


def test_normal_exceedance_in_closed_form() -> None:
    largest = normal_exceedance(36, 3.168)
    assert largest.probability == pytest.approx(1 - (1 - 2 * norm.sf(3.168)) ** 36, rel=1e-12)
    assert largest.expected == pytest.approx(36 * 2 * norm.sf(3.168), rel=1e-12)
    assert normal_exceedance(36, 0).probability == 1
    assert normal_exceedance(5, 1.959963984540054, at_least=5).probability == pytest.approx(0.05**5, rel=1e-9)


def test_normal_exceedance_by_simulation() -> None:
    beyond = (np.abs(np.random.default_rng(1).normal(size=(20_000, 36))) > 2).sum(axis=1)
    law = normal_exceedance(36, 2, at_least=3)
    assert law.expected == pytest.approx(beyond.mean(), rel=0.03)
    assert law.probability == pytest.approx((beyond >= 3).mean(), abs=4 * np.sqrt(0.25 / 20_000))


@pytest.mark.parametrize(
    ("observed", "simulated", "options", "message"),
    [
        ({"c": 1.0}, TEN, {}, r"no simulated values of \['c'\]"),
        ({"a": np.nan}, TEN, {}, "not finite"),
        ({"a": 1.0}, TEN.replace(3.0, np.nan), {}, "not finite"),
        ({"a": 1.0}, TEN.head(1), {}, "at least two"),
        ({"a": 1.0}, TEN, {"independent_runs": 11}, "cannot be more"),
        ({"a": 1.0}, TEN, {"independent_runs": 0}, "independent_runs=0"),
    ],
)
def test_bad_distributions_are_refused(
    observed: dict[str, float], simulated: pd.DataFrame, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        locate(pd.Series(observed), simulated, **options)


@pytest.mark.parametrize("arguments", [(0, 2.0), (36, -1.0), (36, float("nan")), (36, 2.0, 0), (2.5, 2.0)])
def test_bad_scores_are_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="="):
        normal_exceedance(*arguments)
