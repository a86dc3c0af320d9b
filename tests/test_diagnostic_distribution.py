"""Where a run lies among simulated ones: small cases by hand, laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from hte_utils.reproduction.tables_5_6 import joint_distance, normal_exceedance

TEN = pd.DataFrame({"a": np.arange(1.0, 11.0)})


def test_joint_distance_counts_by_hand() -> None:
    place = joint_distance(pd.Series({"a": 9.0}), TEN, decimals=0)  # 1, 2, 9 and 10 are as far from 5.5 as 9 or farther
    assert place.probability == pytest.approx((4 + 1) / 11)
    assert place.mcse == pytest.approx(np.sqrt(5 / 11 * 6 / 11 / 10))
    assert place.statistic == pytest.approx(3.5**2 / (TEN["a"].var() + 1 / 12))
    shared = joint_distance(pd.Series({"a": 9.0}), TEN, decimals=0, independent_runs=5)
    assert shared.probability == pytest.approx((2 + 1) / 6)


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
    far = joint_distance(pd.Series({"a": 9.5, "b": 0.004}), simulated, decimals=3)
    assert far.statistic == pytest.approx(4 * 12)
    assert far.probability == pytest.approx(1 / 21)


def test_normal_exceedance_in_closed_form() -> None:
    expected, probability = normal_exceedance(36, 3.168)
    assert probability == pytest.approx(1 - (1 - 2 * norm.sf(3.168)) ** 36, rel=1e-12)
    assert expected == pytest.approx(36 * 2 * norm.sf(3.168), rel=1e-12)
    assert normal_exceedance(36, 0)[1] == 1
    assert normal_exceedance(5, 1.959963984540054, at_least=5)[1] == pytest.approx(0.05**5, rel=1e-9)
