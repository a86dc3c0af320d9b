"""The fast logistic function is the logistic function, and works in place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit

from hte_utils.effects.cate import expit_in_place


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-700.0, 700.0)))
def test_it_is_scipys_function_up_to_rounding(log_odds):
    np.testing.assert_allclose(expit_in_place(log_odds.copy()), expit(log_odds), rtol=1e-14)


def test_the_array_itself_is_used():
    given_array = np.array([[0.0, 1.0], [-2.0, 3.0]])
    assert expit_in_place(given_array) is given_array
    assert given_array[0, 0] == 0.5
