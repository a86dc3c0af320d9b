from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hte_utils.effects.monte_carlo import batch_edges, jackknife_mean, jackknife_quantile, standard_multipliers


@given(n_chains=st.integers(1, 60), n_draws=st.integers(4, 3000))
def test_batches_cover_every_draw_and_never_cross_chains(n_chains: int, n_draws: int) -> None:
    edges = batch_edges(n_chains, n_draws)
    assert edges[0] == 0
    assert edges[-1] == n_chains * n_draws
    assert set(range(0, n_chains * n_draws + 1, n_draws)) <= set(edges.tolist())
    assert np.diff(edges).min() >= int(np.sqrt(n_draws))
    assert np.ptp(np.diff(edges)) <= 1


def test_forty_batches_of_an_ordinary_run() -> None:
    np.testing.assert_array_equal(batch_edges(4, 1000), np.arange(0, 4001, 100))


@pytest.mark.parametrize(("n_chains", "n_draws"), [(1, 0), (1, 1), (1, 3)])
def test_too_few_draws_are_refused(n_chains: int, n_draws: int) -> None:
    with pytest.raises(ValueError, match="at least 4 draws"):
        batch_edges(n_chains, n_draws)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    n_draws=st.integers(16, 130),
    probability=st.sampled_from([0.001, 0.025, 0.1, 0.25, 0.5, 0.75, 0.975, 1.0]),
    decimals=st.sampled_from([0, 1, 8]),
)
def test_quantile_without_each_batch_is_numpys(seed: int, n_draws: int, probability: float, decimals: int) -> None:
    draws = np.random.default_rng(seed).normal(size=(2 * n_draws, 3)).round(decimals)
    edges = batch_edges(2, n_draws)
    found = jackknife_quantile(draws, probability, edges)

    batch = np.repeat(np.arange(edges.size - 1), np.diff(edges))
    without = np.array([np.quantile(draws[batch != b], probability, axis=0) for b in range(edges.size - 1)])
    n_batches = edges.size - 1
    np.testing.assert_allclose(found.estimate, np.quantile(draws, probability, axis=0), atol=1e-12)
    expected = (without - without.mean(axis=0)) * np.sqrt((n_batches - 1) / n_batches)
    np.testing.assert_allclose(found.influence, expected, atol=1e-12)


def test_mcse_of_a_mean_is_that_of_batch_means() -> None:
    draws = np.random.default_rng(1).normal(size=(4000, 5))
    found = jackknife_mean(draws, batch_edges(4, 1000))
    batch_means = draws.reshape(40, 100, 5).mean(axis=1)
    np.testing.assert_allclose(found.estimate, draws.mean(axis=0))
    np.testing.assert_allclose(found.mcse(), batch_means.std(axis=0, ddof=1) / np.sqrt(40))


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_mcse_of_mean_and_quantile_is_the_known_one(correlation: float) -> None:
    # Columns are independent chains of a stationary AR(1) process with variance 1.
    rng = np.random.default_rng(7)
    n_draws, n_columns = 4000, 400
    chain = np.empty((n_draws, n_columns))
    chain[0] = rng.standard_normal(n_columns)
    for draw in range(1, n_draws):
        chain[draw] = correlation * chain[draw - 1]
        chain[draw] += np.sqrt(1 - correlation**2) * rng.standard_normal(n_columns)
    edges = batch_edges(1, n_draws)
    mean, tail = jackknife_mean(chain, edges), jackknife_quantile(chain, 0.025, edges)

    known = np.sqrt((1 + correlation) / (1 - correlation) / n_draws)
    assert np.sqrt(np.mean(mean.mcse() ** 2)) == pytest.approx(known, rel=0.06)
    # For the quantile only independent draws have a textbook formula; the runs themselves are the other witness.
    # The grouped jackknife is known to err on the safe side here (a batch holds two or three draws of the tail).
    found = np.sqrt(np.mean(tail.mcse() ** 2))
    assert 0.9 < found / tail.estimate.std(ddof=1) < 1.25
    if correlation == 0.0:
        textbook = np.sqrt(0.025 * 0.975 / n_draws) / stats.norm.pdf(stats.norm.ppf(0.025))
        assert 1.0 < found / textbook < 1.2


def test_replicates_have_the_jackknifes_covariance() -> None:
    draws = np.random.default_rng(3).normal(size=(4000, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    edges = batch_edges(4, 1000)
    mean = jackknife_mean(draws, edges)
    replicates = mean.replicates(standard_multipliers(edges, 20_000, seed=1))
    np.testing.assert_array_equal(replicates[0], mean.estimate)
    np.testing.assert_allclose(np.cov(replicates[1:].T), mean.influence.T @ mean.influence, rtol=0.05)
