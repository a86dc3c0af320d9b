"""The spectral density at zero and what follows from it: closed forms, laws, errors; for coda see test_diagnostics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hte_utils.coda_spectrum import (
    MINIMUM_DRAWS,
    effective_size,
    is_constant,
    naive_se,
    require_series,
    spectrum_at_zero,
    time_series_se,
)


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
    density = spectrum_at_zero(autoregressive(phi, (200, 4000))).density
    assert density.mean() == pytest.approx(1 / (1 - phi) ** 2, rel=0.05)


def test_ar1_effective_size_is_near_its_closed_form() -> None:
    size = effective_size(autoregressive(0.8, (100, 3, 4000)))
    assert size.mean() == pytest.approx(3 * 4000 * (1 - 0.8) / (1 + 0.8), rel=0.05)


def test_time_series_se_is_the_spread_of_the_mean() -> None:
    runs = autoregressive(0.7, (2000, 3, 500))
    spread = runs.mean(axis=(-2, -1)).std(ddof=1)  # its own relative standard error is 1.6 %
    assert np.sqrt(np.square(time_series_se(runs)).mean()) == pytest.approx(spread, rel=0.07)


def test_naive_se_of_a_small_example() -> None:
    draws = np.array([[0.0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]).repeat(2, axis=1)
    assert naive_se(draws) == pytest.approx(np.std(draws, ddof=1) / np.sqrt(20))


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    draws=st.integers(MINIMUM_DRAWS + 5, 300),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
)
def test_units_only_scale_the_density(seed: int, draws: int, shift: float, scale: float) -> None:
    series = np.random.default_rng(seed).normal(size=draws)
    plain, changed = spectrum_at_zero(series), spectrum_at_zero(shift + scale * series)
    assert changed.order == plain.order
    assert changed.density == pytest.approx(scale**2 * plain.density, rel=1e-6)


def test_a_batch_equals_its_series_one_by_one() -> None:
    batch = autoregressive(0.6, (3, 4, 120))
    together = spectrum_at_zero(batch)
    for place in np.ndindex(3, 4):
        alone = spectrum_at_zero(batch[place])
        assert together.density[place] == pytest.approx(alone.density, rel=1e-12)
        assert together.order[place] == alone.order


@pytest.mark.parametrize("series", [np.full(50, 0.1), np.arange(50) * 0.3 + 7, np.full(50, -3e9)])
def test_constants_and_straight_lines_have_density_zero_as_in_coda(series: np.ndarray) -> None:
    spectrum = spectrum_at_zero(series)
    assert spectrum.density == 0
    assert spectrum.order == 0
    assert effective_size(series[np.newaxis]) == 0


def test_a_small_spread_about_a_large_value_is_no_constant() -> None:
    noise = np.random.default_rng(1).normal(size=200)
    series = 1e6 + 1e-3 * noise
    assert not is_constant(series)
    assert spectrum_at_zero(series).density == pytest.approx(1e-6 * spectrum_at_zero(noise).density, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (3.0, "no series"),
        (np.empty((0, 20)), "no series"),
        (np.arange(MINIMUM_DRAWS - 1.0), "too short"),
        (np.append(np.arange(20.0), np.nan), r"index \(20,\) is nan"),
        (np.stack([np.arange(20.0), np.append(np.arange(19.0), np.inf)]), r"index \(1, 19\) is inf"),
    ],
)
def test_bad_series_are_refused(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_series(values)
    with pytest.raises(ValueError, match=message):
        spectrum_at_zero(values)


def test_a_lone_series_is_no_set_of_chains() -> None:
    with pytest.raises(ValueError, match="no axis of chains"):
        time_series_se(np.arange(20.0))
