"""Geweke's z: its windows, its law, its errors; coda's values are in test_diagnostics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hte_utils.coda_geweke import geweke_windows, geweke_z


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


@settings(max_examples=100)
@given(
    draws=st.integers(300, 5000),
    thin=st.integers(1, 50),
    first=st.floats(0.05, 0.45),
    last=st.floats(0.05, 0.5),
)
def test_windows_hold_their_share_of_the_draws(draws: int, thin: int, first: float, last: float) -> None:
    early, late = geweke_windows(draws, first, last, thin)
    assert early.stop == pytest.approx(first * draws, abs=2)
    assert draws - late.start == pytest.approx(last * draws, abs=2)
    assert early.stop <= late.start + 1


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": 0.0}, "first=0.0"),
        ({"last": 1.5}, "last=1.5"),
        ({"first": 0.6, "last": 0.6}, "must not exceed 1"),
        ({"thin": 0}, "thin=0"),
        ({"thin": 2.5}, "thin=2.5"),
        ({"first": 0.01}, "holds 4"),
    ],
)
def test_bad_windows_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        geweke_z(np.random.default_rng(1).normal(size=300), **arguments)


def test_a_series_that_does_not_vary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"index \(1,\) does not vary"):
        geweke_z(np.stack([np.random.default_rng(1).normal(size=300), np.full(300, 2.0)]))
