"""Binomial numbers from uniforms: inversion and BTPE against the binomial distribution.

That the draws equal R's is held by test_r_random.py; here the parts are held against SciPy.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from hte_utils.r_binomial import BTPE_FROM_MEAN, Btpe, bernoulli, invert_binomial, stirling_correction
from hte_utils.r_random import RRandom

UNIFORMS = st.integers(1, 2**32 - 1).map(lambda word: word / 2**32)


@given(UNIFORMS, st.floats(1e-12, 1 - 1e-12))
def test_size_one_is_the_general_inversion(uniform, prob):
    u, p = np.array([uniform]), np.array([prob])
    assert bernoulli(u, p)[0] == invert_binomial(u, np.array([1]), p)[0]


@given(UNIFORMS, st.integers(1, 10_000), st.floats(1e-6, 1 - 1e-6))
def test_inversion_is_the_quantile_function(uniform, size, prob):
    assume(size * min(prob, 1 - prob) < BTPE_FROM_MEAN)
    # R mirrors above 1/2, so there the uniform counts successes from the other end.
    mirrored = prob > 0.5
    p = min(prob, 1 - prob)
    expected = stats.binom.ppf(uniform, size, p)
    # Where the uniform meets the distribution function up to rounding, both neighbours are right.
    assume(np.abs(stats.binom.cdf([expected - 1, expected], size, p) - uniform).min() > 1e-11)
    drawn = invert_binomial(np.array([uniform]), np.array([size]), np.array([prob]))[0]
    assert drawn == (size - expected if mirrored else expected)


def test_the_largest_uniform_stays_within_the_size():
    sizes = np.array([1, 2, 10, 59, 1000, 2_000_000_000])
    probs = np.array([0.5, 0.5, 0.5, 0.5, 0.02, 1e-9])
    drawn = invert_binomial(np.full(6, 1 - 2.0**-32), sizes, probs)
    assert (drawn <= sizes).all()
    assert (drawn < 110).all(), "R would begin again after 110 steps"


@pytest.mark.parametrize(("size", "prob"), [(60, 0.5), (100, 0.31), (1000, 0.6), (10_000, 0.01), (3_000_000, 0.97)])
def test_both_evaluations_of_the_ratio_are_the_binomial_s(size, prob):
    btpe = Btpe.set_up(size, prob)
    spread = int(6 * np.sqrt(btpe.variance))
    for candidate in range(max(0, btpe.mode - spread), min(size, btpe.mode + spread) + 1, max(1, spread // 20)):
        expected = stats.binom.logpmf(candidate, size, btpe.p) - stats.binom.logpmf(btpe.mode, size, btpe.p)
        assert np.log(btpe.ratio_to_mode(candidate)) == pytest.approx(expected, abs=1e-7)
        # The article's slip, which R shares: two of the four corrections have the wrong sign.
        slip = 2 * (stirling_correction(candidate + 1) + stirling_correction(size - candidate + 1))
        assert btpe.log_ratio_to_mode(candidate) - slip == pytest.approx(expected, abs=1e-7)


def test_stirling_correction():
    x = 25
    formula = 0.5 * math.log(2 * math.pi) + (x - 0.5) * math.log(x) - x
    assert stirling_correction(x) == pytest.approx(math.lgamma(x) - formula, rel=1e-9)


@pytest.mark.parametrize(("size", "prob"), [(100, 0.4), (400, 0.9)])
def test_btpe_follows_the_binomial(size, prob):
    draws = RRandom(5).rbinom(40_000, size, prob)
    values, counts = np.unique(draws, return_counts=True)
    expected = stats.binom.pmf(values, size, prob) * draws.size
    enough = expected >= 10
    rest = draws.size - np.array([counts[enough].sum(), expected[enough].sum()])
    test = stats.chisquare(np.append(counts[enough], rest[0]), np.append(expected[enough], rest[1]))
    assert test.pvalue > 1e-4  # one fixed stream: the test is deterministic


def test_extreme_acceptances_stay_in_range():
    uniforms = iter(np.random.default_rng(3).random(200_000).tolist())
    btpe = Btpe.set_up(60, 0.5)
    drawn = [btpe.draw(lambda: next(uniforms)) for _ in range(20_000)]
    assert min(drawn) >= 0
    assert max(drawn) <= 60
