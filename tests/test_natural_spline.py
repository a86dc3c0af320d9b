"""The spline basis: linear beyond the outer knots, smooth at all knots, and it holds every straight line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.calibration import QUANTILES, spline_columns

VALUES = np.random.default_rng(1).normal(size=500)


@given(intercept=st.floats(-5, 5), slope=st.floats(-5, 5))
def test_straight_lines_are_in_its_span(intercept, slope) -> None:
    columns = spline_columns(VALUES)
    line = intercept + slope * VALUES
    fitted = columns @ np.linalg.lstsq(columns, line)[0]
    np.testing.assert_allclose(fitted, line, atol=1e-9)


@pytest.mark.parametrize("n_knots", [4, 6])
def test_linear_beyond_the_outer_knots_and_curved_between(n_knots) -> None:
    knots = np.quantile(VALUES, QUANTILES[n_knots])
    at = np.linspace(-6, 6, 1201)
    curvature = np.abs(np.diff(spline_columns(VALUES, n_knots, at=at), 2, axis=0)).max(axis=1)
    outside = (at[1:-1] < knots[0] - 0.02) | (at[1:-1] > knots[-1] + 0.02)
    assert curvature[outside].max() < 1e-10
    assert curvature[~outside].max() > 1e-4
    assert n_knots == spline_columns(VALUES, n_knots, at=at).shape[1]


@pytest.mark.parametrize(
    ("n_knots", "quantiles"), [(4, [0.05, 0.35, 0.65, 0.95]), (6, [0.05, 0.23, 0.41, 0.59, 0.77, 0.95])]
)
def test_knots_are_at_harrells_quantiles(n_knots, quantiles) -> None:
    """Harrell (2015), Regression Modeling Strategies, Table 2.3: at its own knot each column is 1, the others are 0."""
    at_knots = spline_columns(VALUES, n_knots, at=np.quantile(VALUES, quantiles))
    np.testing.assert_allclose(at_knots, np.eye(n_knots), atol=1e-9)


def test_too_few_distinct_values_are_refused() -> None:
    with pytest.raises(ValueError, match="quantiles coincide"):
        spline_columns(np.repeat([0.0, 1.0], 50))
