"""TOC and RATE against closed forms, against econml, and against what they must do."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.decisions.targeting import autoc, compare_targeting, evaluate_targeting, qini, toc

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


@pytest.mark.parametrize(("metric", "area"), [("toc", autoc), ("qini", qini)])
def test_the_same_as_econml(metric, area) -> None:
    """econml sums over percentiles; on a fine grid it must come to the same curve, area and standard error."""
    from econml.validate.utils import calc_uplift

    rng = np.random.default_rng(3)
    predicted = rng.normal(size=4000)
    benefit = 0.5 * predicted + rng.normal(size=4000)
    percentiles = np.linspace(1, 99.5, 198)
    np.random.seed(1)  # noqa: NPY002 - econml draws from the global generator
    theirs, se, curve = calc_uplift(
        predicted[:, None], predicted[:, None], benefit[:, None], percentiles, metric, n_bootstrap=50
    )
    ours = evaluate_targeting(predicted, benefit, n_bootstrap=400, seed=1)
    here = toc(predicted, benefit)
    shares = curve["Percentage treated"].to_numpy() / 100
    on_grid = np.interp(shares, np.arange(1, 4001) / 4000, here)
    on_grid = shares * on_grid if metric == "qini" else on_grid
    np.testing.assert_allclose(on_grid, curve["value"], atol=0.02)
    estimate = getattr(ours, area.__name__)
    assert estimate.value == pytest.approx(area(here))
    assert estimate.value == pytest.approx(theirs, rel=0.03)
    assert estimate.se == pytest.approx(se, rel=0.15)


def test_half_sample_error_is_the_spread_over_trials() -> None:
    rng = np.random.default_rng(5)
    areas, errors = [], []
    for _ in range(150):
        priority = rng.normal(size=400)
        found = evaluate_targeting(priority, 0.3 * priority + rng.normal(size=400), n_bootstrap=60, seed=1)
        areas.append(found.autoc.value)
        errors.append(found.autoc.se)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.2)


def test_difference_of_a_ranking_and_itself_is_zero_and_of_a_better_one_positive() -> None:
    rng = np.random.default_rng(6)
    good, noise = rng.normal(size=(2, 1000))
    benefit = good + rng.normal(size=1000)
    assert compare_targeting(good, good, benefit, seed=1).autoc.se == pytest.approx(0.0, abs=1e-12)
    assert compare_targeting(good, noise, benefit, seed=1).qini.lower > 0


def test_curve_is_a_table() -> None:
    found = evaluate_targeting(np.arange(50.0), np.arange(50.0), seed=1)
    assert isinstance(found.curve, pd.DataFrame)
    assert list(found.curve.columns) == ["share", "toc", "lower", "upper"]
    assert found.curve["toc"].iloc[-1] == pytest.approx(0.0, abs=1e-12)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="shapes"):
        toc([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="benefit has values that are not finite"):
        toc([1.0, 2.0], [1.0, np.nan])
