"""The fast logistic function is scipy's; all replicates at once give what statsmodels gives one at a time."""

from __future__ import annotations

import numpy as np
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from hte_utils.effects.logistic import expit_in_place, fit_replicates


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-700.0, 700.0)))
def test_it_is_scipys_function_up_to_rounding(log_odds):
    np.testing.assert_allclose(expit_in_place(log_odds.copy()), expit(log_odds), rtol=1e-14)


def test_the_array_itself_is_used():
    given_array = np.array([[0.0, 1.0], [-2.0, 3.0]])
    assert expit_in_place(given_array) is given_array
    assert given_array[0, 0] == 0.5


def _data(seed: int, n: int = 300):
    rng = np.random.default_rng(seed)
    columns = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    outcome = (rng.random(n) < 1 / (1 + np.exp(1 - columns[:, 1]))).astype(float)
    return rng, columns, outcome


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15)
def test_weighted_fits_equal_statsmodels(seed) -> None:
    rng, columns, outcome = _data(seed)
    weights = rng.multinomial(300, np.full(300, 1 / 300), size=4).astype(float)
    offset = rng.normal(size=300)
    found = fit_replicates(columns, outcome, offset=offset, weights=weights)
    for row, weight in zip(found, weights, strict=True):
        theirs = sm.GLM(outcome, columns, family=sm.families.Binomial(), offset=offset, freq_weights=weight).fit()
        np.testing.assert_allclose(row, theirs.params, atol=1e-6)


def test_each_replicate_may_have_its_own_outcomes() -> None:
    _, columns, first = _data(1)
    _, _, second = _data(2)
    both = fit_replicates(columns, np.stack([first, second]))
    np.testing.assert_allclose(both[0], fit_replicates(columns, first)[0], atol=1e-8)
    np.testing.assert_allclose(both[1], fit_replicates(columns, second)[0], atol=1e-8)


def test_probabilities_in_place_of_outcomes_give_back_the_model() -> None:
    _, columns, _ = _data(3)
    truth = np.array([-2.0, 1.0, 0.5])
    probability = 1 / (1 + np.exp(-columns @ truth))
    np.testing.assert_allclose(fit_replicates(columns, probability)[0], truth, atol=1e-7)


def test_separation_and_collinearity_are_nan() -> None:
    x = np.linspace(-1, 1, 50)
    columns = np.column_stack([np.ones(50), x])
    assert np.isnan(fit_replicates(columns, (x > 0).astype(float))).all()
    doubled = np.column_stack([columns, x])
    outcome = np.tile([0.0, 1.0], 25)
    assert np.isnan(fit_replicates(doubled, outcome)).all()
    assert np.isfinite(fit_replicates(columns, outcome)).all()
