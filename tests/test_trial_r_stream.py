"""R's stream: every draw that the book can make against the value that R printed, to the last bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_values import REFERENCE, assert_same_values, numbers, rows, run_again
from scipy.special import ndtri

from hte_utils.trial.r_stream import RRandom, normal_quantile, round_to_tenths

STREAMS, FUNCTIONS = REFERENCE / "r_streams.csv.gz", REFERENCE / "r_functions.csv.gz"
SEEDS = st.integers(-(2**31) + 1, 2**31 - 1)


def recorded_function(name):
    (row,) = [row for row in rows(FUNCTIONS) if row["name"] == name]
    return numbers(row["argument"]), numbers(row["value"])


def recorded_streams():
    streams = {}
    for row in rows(STREAMS):
        streams.setdefault(row["seed"], []).append(row)
    return streams


@pytest.mark.parametrize(("seed", "calls"), recorded_streams().items())
def test_stream_equals_r(seed, calls):
    random = RRandom(int(seed))
    for row in calls:
        n, first, second = int(row["n"]), numbers(row["first"]), numbers(row["second"])
        expected = numbers(row["draws"])
        if row["sampler"] == "rnorm":
            drawn = np.array([random.rnorm(1, first[i % first.size], second[i % second.size])[0] for i in range(n)])
            assert np.array_equal(drawn, expected), row["place"]
        elif row["sampler"] == "rbinom":
            assert np.array_equal(random.rbinom(n, int(first[0]), second), expected), row["place"]
        else:
            # Eigenvectors come from the LAPACK at hand, and may differ from R's in the last digits.
            drawn = random.mvrnorm(n, first, second.reshape(2, 2)).ravel(order="F")
            np.testing.assert_allclose(drawn, expected, rtol=1e-12, atol=1e-12 * np.sqrt(np.abs(second).max()))


def test_recorded_streams_cover_what_matters():
    streams = recorded_streams()
    assert {"-1", "0", "123", "-2147483647", "2147483647"} <= streams.keys()
    recorded = [row for calls in streams.values() for row in calls]
    normals = np.concatenate([numbers(row["draws"]) for row in recorded if row["sampler"] == "rnorm"])
    assert (np.abs(normals) > 1.44).sum() > 500, "the tails of the quantile, where the logarithm enters"
    probabilities = np.concatenate([numbers(row["second"]) for row in recorded if row["sampler"] == "rbinom"])
    assert {0.0, 1.0} <= set(probabilities), "certain draws, which take nothing from the stream"
    assert probabilities[probabilities < 1.0].max() > 0.5, "the side of 1/2 where R mirrors its draws"


@given(SEEDS, st.integers(0, 700), st.integers(0, 700))
def test_draws_split_anywhere(seed, first, second):
    whole, parts = RRandom(seed), RRandom(seed)
    pieces = [parts.rnorm(first), parts.rnorm(second), parts.rbinom(first, 1, 0.3), parts.rbinom(second, 1, 0.3)]
    assert np.array_equal(whole.rnorm(first + second), np.concatenate(pieces[:2]))
    assert np.array_equal(whole.rbinom(first + second, 1, 0.3), np.concatenate(pieces[2:]))


def test_split_inside_and_across_blocks():
    whole, parts = RRandom(99), RRandom(99)
    pieces = [parts.rnorm(k, 1.0, 2.0) for k in (1, 16_383, 16_384, 7_231, 1)]  # two and a half blocks
    assert np.array_equal(whole.rnorm(40_000, 1.0, 2.0), np.concatenate(pieces))


def test_the_normal_quantile_equals_r():
    p, expected = recorded_function("qnorm")
    inside = (p > 0.0) & (p < 1.0)
    assert inside.sum() > 1000
    assert np.array_equal(normal_quantile(p[inside]), expected[inside])


@given(st.floats(min_value=1e-300, max_value=1.0, exclude_max=True))
def test_the_normal_quantile_agrees_with_another_algorithm(p):
    # AS 241 promises 1 part in 1e16; around p = 1/2 the quantile is near 0, so the error is absolute there.
    assert normal_quantile(np.array([p]))[0] == pytest.approx(ndtri(p), rel=2e-14, abs=1e-15)


def test_rounding_equals_r():
    x, expected = recorded_function("round1")
    assert np.array_equal(round_to_tenths(x), expected)
    assert not np.array_equal(np.round(x, 1), expected), "the recorded values no longer tell the algorithms apart"


@given(st.floats(min_value=-1e6, max_value=1e6))
def test_rounding_gives_a_nearest_tenth(x):
    rounded = float(round_to_tenths(np.array([x]))[0])
    assert rounded == float(f"{rounded:.1f}")
    # 1/20 exactly, plus the rounding of the two neighbouring tenths to doubles.
    assert abs(Fraction(rounded) - Fraction(x)) <= Fraction(1, 20) + Fraction(abs(x)) / 2**52


@pytest.mark.parametrize("seed", [None, 1.0, "1", [1]])
def test_refuses_a_seed_that_is_no_integer(seed):
    with pytest.raises(TypeError, match="integer"):
        RRandom(seed)


@pytest.mark.parametrize("seed", [2**31, -(2**31), 10**20])
def test_refuses_a_seed_out_of_r_s_range(seed):
    with pytest.raises(ValueError, match=f"seed must be from -2147483647 to 2147483647.* got {seed}"):
        RRandom(seed)


@pytest.mark.parametrize(("size", "prob"), [(2, 0.5), (1, -0.1), (1, 1.1), (1, np.nan)])
def test_refuses_binomials_that_are_no_coins(size, prob):
    with pytest.raises(ValueError, match="size 1 and probabilities from 0 to 1"):
        RRandom(1).rbinom(3, size, prob)


@pytest.mark.parametrize("sigma", [[[1.0, 0.5], [0.5, 2.0]], [[2.0, -0.5], [-0.5, 1.0]], [[2.0, 0.5], [0.4, 1.0]]])
def test_refuses_covariances_whose_signs_are_others(sigma):
    with pytest.raises(ValueError, match="positive covariance and the larger variance first"):
        RRandom(1).mvrnorm(3, (0.0, 0.0), sigma)


@pytest.mark.r("MASS")
def test_r_still_prints_the_recorded_values(tmp_path):
    run_again("r_functions.R", tmp_path / "functions.csv.gz")
    run_again("r_streams.R", tmp_path / "streams.csv.gz")
    assert_same_values(tmp_path / "functions.csv.gz", FUNCTIONS)
    assert_same_values(tmp_path / "streams.csv.gz", STREAMS)
