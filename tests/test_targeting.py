"""TOC and RATE against closed forms, against econml, and against what they must do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.corrected.policies import (
    GRID,
    autoc,
    autoc_difference,
    autoc_error,
    qini,
    qini_error,
    toc,
    toc_on_grid,
)

BENEFITS = st.lists(st.floats(-1, 1), min_size=2, max_size=30)


def test_closed_form_of_a_linear_effect() -> None:
    """Benefit uniform on [-1, 1], ranked perfectly: TOC(q) = 1 - q, AUTOC 1/2, QINI 1/6."""
    n = 20_000
    benefit = (2 * np.arange(n) + 1) / n - 1
    curve = toc(benefit, benefit)
    share = np.arange(1, n + 1) / n
    np.testing.assert_allclose(curve, 1 - share, atol=1e-9)
    assert autoc(curve) == pytest.approx(1 / 2, abs=1e-4)
    assert qini(curve) == pytest.approx(1 / 6, abs=1e-4)


@given(benefit=BENEFITS)
def test_no_ranking_beats_that_by_the_effects_themselves(benefit) -> None:
    values = np.array(benefit)
    best, worst = toc(values, values), toc(-values, values)
    other = toc(np.sin(1000 * values), values)
    assert (best >= other - 1e-12).all()
    assert (worst <= other + 1e-12).all()
    assert best[-1] == pytest.approx(0.0, abs=1e-12)


@given(benefit=BENEFITS)
def test_a_ranking_that_says_nothing_has_no_area(benefit) -> None:
    curve = toc(np.zeros(len(benefit)), np.array(benefit))
    np.testing.assert_allclose(curve, 0.0, atol=1e-12)


def test_ties_do_not_depend_on_the_order_of_the_table() -> None:
    rng = np.random.default_rng(1)
    priority, benefit = rng.integers(0, 4, 200).astype(float), rng.normal(size=200)
    shuffled = rng.permutation(200)
    np.testing.assert_allclose(toc(priority, benefit), toc(priority[shuffled], benefit[shuffled]), atol=1e-12)


@pytest.mark.parametrize(("metric", "area", "error"), [("toc", autoc, autoc_error), ("qini", qini, qini_error)])
def test_the_same_as_econml(metric, area, error) -> None:
    """econml sums over percentiles and bootstraps; on a fine grid it must come to the same curve, area and error."""
    from econml.validate.utils import calc_uplift

    rng = np.random.default_rng(3)
    predicted = rng.normal(size=4000)
    benefit = 0.5 * predicted + rng.normal(size=4000)
    percentiles = np.linspace(1, 99.5, 198)
    np.random.seed(1)  # noqa: NPY002 - econml draws from the global generator
    theirs, se, curve = calc_uplift(
        predicted[:, None], predicted[:, None], benefit[:, None], percentiles, metric, n_bootstrap=200
    )
    here = toc(predicted, benefit)
    shares = curve["Percentage treated"].to_numpy() / 100
    on_grid = np.interp(shares, np.arange(1, 4001) / 4000, here)
    on_grid = shares * on_grid if metric == "qini" else on_grid
    np.testing.assert_allclose(on_grid, curve["value"], atol=0.02)
    assert area(here) == pytest.approx(theirs, rel=0.03)
    assert error(predicted, benefit) == pytest.approx(se, rel=0.15)


@pytest.mark.parametrize("levels", [None, 5])
def test_errors_are_the_spread_over_trials(levels) -> None:
    """Of the areas and of the curve, without ties and with many."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(400):
        priority = rng.normal(size=300) if levels is None else rng.integers(0, levels, 300).astype(float)
        benefit = 0.2 * priority + rng.normal(size=300)
        curve, errors = toc_on_grid(priority, benefit)
        known = toc(priority, benefit)
        found.append(
            [
                autoc(known),
                qini(known),
                curve[29],
                autoc_error(priority, benefit),
                qini_error(priority, benefit),
                errors[29],
            ]
        )
    spread, mean = np.std(found, axis=0), np.mean(found, axis=0)
    np.testing.assert_allclose(mean[3:], spread[:3], rtol=0.12)


def test_the_curve_on_the_grid_is_the_curve() -> None:
    rng = np.random.default_rng(8)
    priority, benefit = rng.normal(size=(2, 200))
    np.testing.assert_allclose(toc_on_grid(priority, benefit)[0], toc(priority, benefit)[1::2], atol=1e-12)
    assert GRID[-1] == 1.0
    assert toc_on_grid(priority, benefit)[1][-1] == pytest.approx(0.0, abs=1e-12)


def test_difference_of_two_rankings() -> None:
    rng = np.random.default_rng(6)
    good, noise = rng.normal(size=(2, 1000))
    benefit = good + rng.normal(size=1000)
    value, error = autoc_difference(good, noise, benefit)
    assert value == pytest.approx(autoc(toc(good, benefit)) - autoc(toc(noise, benefit)))
    assert value > 4 * error
    assert autoc_difference(good, good, benefit) == pytest.approx((0.0, 0.0), abs=1e-12)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="one value for each patient"):
        toc([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="benefit is not finite"):
        toc([1.0, 2.0], [1.0, np.nan])
