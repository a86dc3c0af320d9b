"""The bootstrap resamples within arms, and its standard error of a mean is the textbook's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.calibration import Estimate, bootstrap_counts


@given(
    strata=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    seed=st.integers(0, 2**32),
    replicates=st.integers(20, 40),
)
def test_counts_keep_the_size_of_each_stratum(strata, seed, replicates) -> None:
    labels = np.array(strata)
    counts = bootstrap_counts(labels, replicates, np.random.default_rng(seed))
    assert counts.shape == (replicates, labels.size)
    for label in set(strata):
        assert (counts[:, labels == label].sum(axis=1) == (labels == label).sum()).all()


def test_standard_error_of_a_mean_is_the_textbooks() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=400)
    counts = bootstrap_counts(np.zeros(400), 4000, rng)
    found = Estimate.bootstrapped(values.mean(), counts @ values / 400)
    expected = values.std() / 20
    assert found.se == pytest.approx(expected, rel=0.05)
    assert found.lower == pytest.approx(values.mean() - 1.96 * expected, abs=0.2 * expected)


def test_estimates_that_cannot_be_computed_are_not_passed_over_in_silence() -> None:
    with pytest.raises(ValueError, match="only 10 of 100 bootstrap replicates"):
        Estimate.bootstrapped(1.0, np.r_[np.ones(10), np.full(90, np.nan)])


def test_estimates_as_text() -> None:
    found = Estimate.normal(5.0, 1.0)
    assert f"{found:.1f}" == "5.0 (3.0 to 7.0)"
