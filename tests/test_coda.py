"""coda's statistics: closed forms, laws, invariances, errors; coda's own values are in test_diagnostics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hte_utils.model.coda import (
    effective_size,
    geweke_windows,
    geweke_z,
    is_constant,
    multivariate_scale_reduction,
    scale_reduction,
    second_half,
    spectrum_at_zero,
    time_series_se,
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
    point, limit = scale_reduction(chains)
    assert point.mean() == pytest.approx(1, abs=0.002)
    # Under one law the F quantile is what B/W exceeds in 2.5 % of the runs, so the limit lies above the point
    # mostly.
    assert (limit > point).mean() > 0.95


def test_chains_apart_have_the_factor_of_their_means() -> None:
    # Two long chains of unit variance with means 0 and 10: B/n = 50, V = 1 + 1.5 * 50, and all of V's own
    # variance is that of B, 2 (1.5 * 50)^2 at one degree of freedom. So d = 2 V^2 / (2 (1.5 * 50)^2).
    chains = noise(2, 20_000) + np.array([[0.0], [10.0]])
    total = 1 + 1.5 * 50
    freedom = total**2 / (1.5 * 50) ** 2
    expected = np.sqrt((freedom + 3) / (freedom + 1) * total)
    assert scale_reduction(chains)[0] == pytest.approx(expected, rel=0.01)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_factors_know_no_units(seed: int, shift: float, scale: float) -> None:
    chains = noise(3, 3, 50, seed=seed)
    changed = shift + scale * chains
    for statistic in (lambda x: scale_reduction(x)[0], lambda x: scale_reduction(x)[1], multivariate_scale_reduction):
        assert statistic(changed) == pytest.approx(statistic(chains), rel=1e-7)


def test_multivariate_factor_is_the_same_in_any_basis_and_batch() -> None:
    runs = noise(5, 4, 3, 100)
    mixed = np.einsum("pq,rqcd->rpcd", noise(4, 4, seed=9), runs)
    together = multivariate_scale_reduction(runs)
    assert multivariate_scale_reduction(mixed) == pytest.approx(together, rel=1e-9)
    assert [float(multivariate_scale_reduction(run)) for run in runs] == pytest.approx(together, rel=1e-12)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        (noise(1, 50), "not two chains"),
        (noise(50), "not two chains"),
        (np.ones((2, 50)), "all constant"),
        (np.tile(noise(50), (3, 1)), "are they copies"),
    ],
)
def test_chains_that_cannot_be_compared_are_refused(chains: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scale_reduction(chains)


def test_parameters_that_depend_on_each_other_are_refused() -> None:
    chains = noise(3, 3, 100)
    chains[2] = 2 * chains[0] - 0.1 * chains[1]
    with pytest.raises(ValueError, match="linear function of others"):
        multivariate_scale_reduction(chains)
    with pytest.raises(ValueError, match="two parameters"):
        multivariate_scale_reduction(chains[0])


@pytest.mark.parametrize(
    ("draws", "thin", "early", "late"),
    # Found with coda 0.19.4 by trying which windows give the z that geweke.diag returned.
    [
        (400, 1, 41, 200),
        (401, 1, 41, 201),
        (399, 1, 41, 200),
        (1000, 1, 101, 500),
        (101, 1, 11, 51),
        (117, 3, 12, 59),
        (400, 10, 40, 201),
        (250, 5, 26, 126),
    ],
)
def test_windows_are_codas(draws: int, thin: int, early: int, late: int) -> None:
    assert geweke_windows(draws, thin=thin) == (slice(0, early), slice(late - 1, draws))


def test_z_is_nearly_standard_normal_for_independent_draws() -> None:
    z = geweke_z(np.random.default_rng(8).normal(size=(4000, 1000)))
    assert z.mean() == pytest.approx(0, abs=4 / np.sqrt(4000))
    assert z.std() == pytest.approx(1, abs=0.1)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(-100, 100),
    scale=st.floats(1e-3, 1e3),
    sign=st.sampled_from([-1, 1]),
)
def test_z_knows_no_units(seed: int, shift: float, scale: float, sign: int) -> None:
    series = np.random.default_rng(seed).normal(size=300)
    assert geweke_z(shift + sign * scale * series) == pytest.approx(sign * geweke_z(series), rel=1e-6, abs=1e-8)


def test_a_shift_between_the_windows_shows() -> None:
    series = np.random.default_rng(2).normal(size=1000)
    series[:100] += 1
    assert geweke_z(series) > 5


def test_a_series_that_does_not_vary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"index \(1,\) does not vary"):
        geweke_z(np.stack([np.random.default_rng(1).normal(size=300), np.full(300, 2.0)]))


def autoregressive(phi: float, shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    series = np.empty(shape)
    series[..., 0] = noise[..., 0] / np.sqrt(1 - phi**2)
    for draw in range(1, shape[-1]):
        series[..., draw] = phi * series[..., draw - 1] + noise[..., draw]
    return series


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9])
def test_ar1_density_is_near_its_closed_form(phi: float) -> None:
    # 200 series of 4000 draws: the mean estimate has a standard error below 1 %, and a bias of order 1/n.
    density = spectrum_at_zero(autoregressive(phi, (200, 4000)))[0]
    assert density.mean() == pytest.approx(1 / (1 - phi) ** 2, rel=0.05)


def test_ar1_effective_size_is_near_its_closed_form() -> None:
    size = effective_size(autoregressive(0.8, (100, 3, 4000)))
    assert size.mean() == pytest.approx(3 * 4000 * (1 - 0.8) / (1 + 0.8), rel=0.05)


def test_time_series_se_is_the_spread_of_the_mean() -> None:
    runs = autoregressive(0.7, (2000, 3, 500))
    spread = runs.mean(axis=(-2, -1)).std(ddof=1)  # its own relative standard error is 1.6 %
    assert np.sqrt(np.square(time_series_se(runs)).mean()) == pytest.approx(spread, rel=0.07)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    draws=st.integers(15, 300),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
)
def test_units_only_scale_the_density(seed: int, draws: int, shift: float, scale: float) -> None:
    series = np.random.default_rng(seed).normal(size=draws)
    plain, changed = spectrum_at_zero(series), spectrum_at_zero(shift + scale * series)
    assert changed[1] == plain[1]
    assert changed[0] == pytest.approx(scale**2 * plain[0], rel=1e-6)


def test_a_batch_equals_its_series_one_by_one() -> None:
    batch = autoregressive(0.6, (3, 4, 120))
    density, order = spectrum_at_zero(batch)
    for place in np.ndindex(3, 4):
        alone = spectrum_at_zero(batch[place])
        assert density[place] == pytest.approx(alone[0], rel=1e-12)
        assert order[place] == alone[1]


@pytest.mark.parametrize("series", [np.full(50, 0.1), np.arange(50) * 0.3 + 7, np.full(50, -3e9)])
def test_constants_and_straight_lines_have_density_zero_as_in_coda(series: np.ndarray) -> None:
    density, order = spectrum_at_zero(series)
    assert (density, order) == (0, 0)
    assert effective_size(series[np.newaxis]) == 0


def test_a_small_spread_about_a_large_value_is_no_constant() -> None:
    noise = np.random.default_rng(1).normal(size=200)
    series = 1e6 + 1e-3 * noise
    assert not is_constant(series)
    assert spectrum_at_zero(series)[0] == pytest.approx(1e-6 * spectrum_at_zero(noise)[0], rel=1e-4)
