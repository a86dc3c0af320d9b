"""The scale reduction factors: closed forms, invariances, errors; coda's values are in test_diagnostics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hte_utils.coda_gelman_rubin import (
    multivariate_scale_reduction,
    potential_scale_reduction,
    potential_scale_reduction_limit,
    second_half,
)


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(
    ("draws", "first_iteration", "thin", "start"),
    # The first draw that coda 0.19.4 kept, found with chains that count their own draws.
    [
        (1000, 1, 1, 501),
        (101, 1, 1, 52),
        (999, 1, 1, 501),
        (1000, 1001, 1, 1),
        (1000, 501, 1, 251),
        (1000, 1005, 5, 401),
        (1000, 2005, 5, 301),
        (1000, 1010, 10, 451),
        (1000, 10, 10, 501),
        (1001, 4, 10, 501),
    ],
)
def test_second_half_is_codas(draws: int, first_iteration: int, thin: int, start: int) -> None:
    assert second_half(draws, first_iteration, thin) == slice(start - 1, draws)


def test_chains_of_one_law_have_a_factor_near_one() -> None:
    chains = noise(200, 4, 1000)
    assert potential_scale_reduction(chains).mean() == pytest.approx(1, abs=0.002)
    # Under one law the F quantile is what B/W exceeds in 2.5 % of the runs, so the limit lies above the point
    # mostly.
    assert (potential_scale_reduction_limit(chains) > potential_scale_reduction(chains)).mean() > 0.95


def test_chains_apart_have_the_factor_of_their_means() -> None:
    # Two long chains of unit variance with means 0 and 10: B/n = 50, V = 1 + 1.5 * 50, and all of V's own
    # variance is that of B, 2 (1.5 * 50)^2 at one degree of freedom. So d = 2 V^2 / (2 (1.5 * 50)^2).
    chains = noise(2, 20_000) + np.array([[0.0], [10.0]])
    total = 1 + 1.5 * 50
    freedom = total**2 / (1.5 * 50) ** 2
    expected = np.sqrt((freedom + 3) / (freedom + 1) * total)
    assert potential_scale_reduction(chains) == pytest.approx(expected, rel=0.01)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_factors_know_no_units(seed: int, shift: float, scale: float) -> None:
    chains = noise(3, 3, 50, seed=seed)
    changed = shift + scale * chains
    for statistic in (potential_scale_reduction, potential_scale_reduction_limit, multivariate_scale_reduction):
        assert statistic(changed) == pytest.approx(statistic(chains), rel=1e-7)


def test_multivariate_factor_is_the_same_in_any_basis_and_batch() -> None:
    runs = noise(5, 4, 3, 100)
    mixed = np.einsum("pq,rqcd->rpcd", noise(4, 4, seed=9), runs)
    together = multivariate_scale_reduction(runs)
    assert multivariate_scale_reduction(mixed) == pytest.approx(together, rel=1e-9)
    assert [float(multivariate_scale_reduction(run)) for run in runs] == pytest.approx(together, rel=1e-12)


def test_multivariate_factor_bounds_the_uncorrected_ones() -> None:
    # Brooks & Gelman (1998), lemma 3: the published factor is the largest scale reduction of any linear
    # combination.
    chains = noise(4, 3, 100)
    n, m = 100, 3
    within = chains.var(axis=-1, ddof=1).mean(axis=-1)
    single = np.sqrt((n - 1) / n + (1 + 1 / m) * chains.mean(axis=-1).var(axis=-1, ddof=1) / within)
    published = multivariate_scale_reduction(chains, as_published=True)
    assert published >= single.max()
    # Four parameters, three chains: coda's factor weighs the same eigenvalue by 1 + 1/4 instead of 1 + 1/3.
    coda = multivariate_scale_reduction(chains)
    assert (coda**2 - 0.99) * (4 / 3) == pytest.approx((published**2 - 0.99) * (5 / 4), rel=1e-9)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        (noise(1, 50), "not two chains"),
        (noise(50), "not two chains"),
        (np.ones((2, 50)), "all constant"),
        (np.tile(noise(50), (3, 1)), "are they copies"),
        (np.full((2, 50), np.nan), "nan"),
    ],
)
def test_chains_that_cannot_be_compared_are_refused(chains: np.ndarray, message: str) -> None:
    for statistic in (potential_scale_reduction, potential_scale_reduction_limit):
        with pytest.raises(ValueError, match=message):
            statistic(chains)


def test_parameters_that_depend_on_each_other_are_refused() -> None:
    chains = noise(3, 3, 100)
    chains[2] = 2 * chains[0] - 0.1 * chains[1]
    with pytest.raises(ValueError, match="linear function of others"):
        multivariate_scale_reduction(chains)
    with pytest.raises(ValueError, match="two parameters"):
        multivariate_scale_reduction(chains[0])


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.1, float("nan")])
def test_bad_confidence_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="confidence="):
        potential_scale_reduction_limit(noise(3, 50), confidence)


@pytest.mark.parametrize("arguments", [(0,), (100, 0), (100, 1, 0), (100, 1, 1.5), (True,)])
def test_bad_iteration_numbers_are_refused(arguments: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="whole number"):
        second_half(*arguments)
