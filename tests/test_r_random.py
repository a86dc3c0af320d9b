"""R's streams: every draw against the value that R printed, to the last bit, and how the streams hang together."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_values import REFERENCE, assert_same_values, numbers, rows, run_again

from hte_utils.r_random import RRandom

VALUES = REFERENCE / "r_streams.csv.gz"
SEEDS = st.integers(-(2**31) + 1, 2**31 - 1)


def draw_again(random: RRandom, row: dict[str, str]) -> np.ndarray:
    n, first, second = int(row["n"]), numbers(row["first"]), numbers(row["second"])
    if row["sampler"] == "mvrnorm":
        return random.mvrnorm(n, first, second.reshape(first.size, -1)).ravel(order="F")
    return getattr(random, row["sampler"])(n, first, second)


STREAMS = {seed: list(stream) for seed, stream in groupby(rows(VALUES), key=lambda row: row["seed"])}


@pytest.mark.parametrize("seed", STREAMS)
def test_stream_equals_r_to_the_last_bit(seed):
    random = RRandom(int(seed))
    for row in STREAMS[seed]:
        drawn, expected = draw_again(random, row), numbers(row["draws"])
        assert np.array_equal(drawn, expected), (row["place"], row["sampler"], row["first"][:60], row["second"][:60])


def test_recorded_streams_cover_what_matters():
    recorded = rows(VALUES)
    assert {"-1", "0", "123", "-2147483647", "2147483647"} <= STREAMS.keys()
    assert {row["sampler"] for row in recorded} == {"runif", "rnorm", "rbinom", "mvrnorm"}
    normals = np.concatenate(
        [numbers(row["draws"]) for row in recorded if row["sampler"] == "rnorm" and row["n"] == "4000"]
    )
    assert (np.abs(normals) > 1.44).sum() > 500, "the tails of the quantile, where the logarithm enters"


@given(SEEDS, st.integers(0, 700), st.integers(0, 700))
def test_uniforms_split_anywhere(seed, first, second):
    whole, parts = RRandom(seed), RRandom(seed)
    assert np.array_equal(whole.runif(first + second), np.concatenate([parts.runif(first), parts.runif(second)]))


def test_split_inside_and_across_blocks():
    n = 40_000  # two and a half blocks of the vectorised loops
    for draw in (
        lambda random, k: random.rnorm(k, 1.0, 2.0),
        lambda random, k: random.rbinom(k, 1, 0.7),
        lambda random, k: random.rbinom(k, 5, 0.3),
        lambda random, k: random.runif(k, -1.0, 1.0),
    ):
        whole, parts = RRandom(99), RRandom(99)
        pieces = [draw(parts, k) for k in (1, 16_383, 16_384, 7_231, 1)]
        assert np.array_equal(draw(whole, n), np.concatenate(pieces))


@given(SEEDS, st.integers(0, 40), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_parameters_are_recycled(seed, n, means):
    recycled = RRandom(seed).rnorm(n, means, 2.0)
    written_out = RRandom(seed).rnorm(n, np.resize(means, n) if n else 0.0, 2.0)
    one_by_one = RRandom(seed)
    assert np.array_equal(recycled, written_out)
    assert recycled.tolist() == [one_by_one.rnorm(1, means[i % len(means)], 2.0)[0] for i in range(n)]


SIZES, PROBABILITIES = st.sampled_from([0, 1, 2, 40, 400]), st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])


@given(SEEDS, st.lists(st.tuples(SIZES, PROBABILITIES), min_size=1))
def test_binomials_in_a_vector_or_one_by_one(seed, parameters):
    size, prob = zip(*parameters, strict=True)
    whole, single = RRandom(seed), RRandom(seed)
    assert whole.rbinom(len(size), size, prob).tolist() == [single.rbinom(1, *pair)[0] for pair in parameters]
    assert whole.runif(1) == single.runif(1), "both took the same from the stream"


@pytest.mark.parametrize(
    "take",
    [
        lambda random: random.rbinom(5, 0, 0.5),
        lambda random: random.rbinom(5, 7, 0.0),
        lambda random: random.rbinom(5, 7, [0.0, 1.0]),
        lambda random: random.rnorm(5, 3.0, 0.0),
        lambda random: random.runif(5, 2.0, 2.0),
        lambda random: random.runif(0),
        lambda random: random.rnorm(0),
        lambda random: random.rbinom(0, 1, 0.5),
        lambda random: random.mvrnorm(0, [0.0, 0.0], np.eye(2)),
    ],
)
def test_certain_draws_take_nothing_from_the_stream(take):
    random = RRandom(4)
    take(random)
    assert random.runif(1) == RRandom(4).runif(1)


def test_shapes_and_types():
    random = RRandom(np.int64(1))
    assert random.rnorm(np.int32(3)).dtype == np.float64
    assert random.rbinom(3, 1, 0.5).dtype == np.int64
    assert random.mvrnorm(1, [0.0, 1.0], np.eye(2)).shape == (1, 2)
    assert random.mvrnorm(0, [0.0, 1.0], np.eye(2)).shape == (0, 2)
    assert random.mvrnorm(3, 5.0, 4.0).shape == (3, 1)


def test_a_singular_covariance_is_drawn_as_in_mass():
    pairs = RRandom(2).mvrnorm(100, [0.0, 0.0], [[1.0, 1.0], [1.0, 1.0]])
    assert pairs[:, 0] == pytest.approx(pairs[:, 1])


@pytest.mark.parametrize("seed", [None, 1.0, True, np.True_, "1", [1]])
def test_refuses_a_seed_that_is_no_integer(seed):
    with pytest.raises(TypeError, match=r"seed must be an integer; got .* Give a whole number"):
        RRandom(seed)


@pytest.mark.parametrize("seed", [2**31, -(2**31), 10**20])
def test_refuses_a_seed_out_of_r_s_range(seed):
    with pytest.raises(ValueError, match=f"seed must be from -2147483647 to 2147483647.* got {seed}"):
        RRandom(seed)


def test_says_that_r_s_missing_value_is_no_seed():
    with pytest.raises(ValueError, match="missing value"):
        RRandom(-(2**31))


BAD_CALLS = {
    "n negative": (lambda random: random.runif(-1), ValueError, "n must be from 0 to 1,000,000,000; got -1"),
    "n huge": (lambda random: random.rnorm(10**12), ValueError, "n must be from 0 to 1,000,000,000; got 1000000000000"),
    "n fraction": (lambda random: random.rnorm(2.0), TypeError, "n must be an integer; got 2.0"),
    "n bool": (lambda random: random.rbinom(True, 1, 0.5), TypeError, "n must be an integer; got True"),
    "min above max": (
        lambda random: random.runif(1, 2, 1),
        ValueError,
        "max must not be below min; got min = 2.0 and max = 1.0",
    ),
    "min infinite": (lambda random: random.runif(1, -np.inf, 1), ValueError, "min must be finite; got -inf"),
    "sd negative": (lambda random: random.rnorm(3, 0, [1, -2]), ValueError, "sd must be 0 or more; got -2.0"),
    "mean NaN": (lambda random: random.rnorm(3, np.nan), ValueError, "mean must be finite; got nan"),
    "mean text": (lambda random: random.rnorm(3, "a"), TypeError, "mean must hold numbers only; got 'a'"),
    "mean empty": (lambda random: random.rnorm(3, []), ValueError, "mean must be a number or a non-empty vector"),
    "mean matrix": (lambda random: random.rnorm(3, np.eye(2)), ValueError, r"mean must be .* got shape \(2, 2\)"),
    "prob above 1": (lambda random: random.rbinom(3, 1, [0.5, 1.5]), ValueError, "prob must be from 0 to 1; got 1.5"),
    "prob below 0": (lambda random: random.rbinom(3, 1, -0.1), ValueError, "prob must be from 0 to 1; got -0.1"),
    "prob NaN": (lambda random: random.rbinom(3, 1, np.nan), ValueError, "prob must be finite; got nan"),
    "size fraction": (lambda random: random.rbinom(3, 1.5, 0.5), ValueError, "size must be a whole number .* got 1.5"),
    "size negative": (lambda random: random.rbinom(3, -1, 0.5), ValueError, "size must be a whole number .* got -1"),
    "size huge": (
        lambda random: random.rbinom(3, 2**31, 0.5),
        ValueError,
        "size must be a whole number .* got 2147483648",
    ),
    "sigma indefinite": (
        lambda random: random.mvrnorm(2, [0, 0], [[1, 2], [2, 1]]),
        ValueError,
        "sigma must be positive definite; .* eigenvalue -1",
    ),
    "sigma negative": (lambda random: random.mvrnorm(2, 0, -1), ValueError, "sigma must be positive definite"),
    "sigma lopsided": (
        lambda random: random.mvrnorm(2, [0, 0], [[1, 0], [0.5, 1]]),
        ValueError,
        "sigma must be symmetric",
    ),
    "sigma of another shape": (
        lambda random: random.mvrnorm(2, [0, 0], np.eye(3)),
        ValueError,
        r"mu of length p needs a sigma of shape \(p, p\); got shapes \(2,\) and \(3, 3\)",
    ),
    "sigma NaN": (
        lambda random: random.mvrnorm(2, [0, 0], np.full((2, 2), np.nan)),
        ValueError,
        "sigma must be finite",
    ),
    "mu infinite": (lambda random: random.mvrnorm(2, [0, np.inf], np.eye(2)), ValueError, "mu must be finite; got inf"),
    "mu empty": (lambda random: random.mvrnorm(2, [], np.eye(2)), ValueError, "mu of length p"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_arguments_take_nothing_and_say_what_is_wrong(case):
    attempt, kind, message = BAD_CALLS[case]
    random = RRandom(6)
    with pytest.raises(kind, match=message):
        attempt(random)
    assert random.runif(1) == RRandom(6).runif(1)


@pytest.mark.r("MASS")
def test_r_still_prints_the_recorded_values(tmp_path):
    run_again("r_streams.R", tmp_path / "again.csv.gz")
    # Seeds 8 and 9 are covariances of 3 and more dimensions; elsewhere R's BLAS plays no part or is asked for little.
    assert_same_values(tmp_path / "again.csv.gz", VALUES, {("sampler", "mvrnorm")})
