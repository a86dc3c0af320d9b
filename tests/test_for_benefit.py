"""Sequential inference: sums of t-values, right targets, and intervals that hold where pooled ones do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial, predictions, stretched
from scipy.special import expit

from hte_utils.corrected.calibration import Estimate
from hte_utils.corrected.cross_fitting import combine_deals, combine_folds, combine_truth, predict_sequentially
from hte_utils.corrected.for_benefit import (
    NOTHING,
    Cohort,
    estimates,
    sequential_curve,
    sequential_inference,
    true_values,
)
from hte_utils.corrected.predictions import EffectPredictions
from hte_utils.effects.logistic import fit_replicates

FOLDS = st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=1, max_size=6)


def cohort_of(n: int, seed: int = 1) -> tuple[Cohort, EffectPredictions]:
    made = made_trial(n, seed)
    truth = made.truth
    arrays = (made.treatment, truth.baseline_risk, truth.risk_difference, truth.log_odds_ratio)
    return Cohort(made.outcome.astype(int), *arrays, 0.5), truth


@given(folds=FOLDS)
def test_the_ratio_is_wagers_sum(folds) -> None:
    found = combine_folds([Estimate.normal(value, se) for value, se in folds])
    t = [value / se for value, se in folds]
    assert found.value / found.se == pytest.approx(sum(t) / np.sqrt(len(t)), abs=1e-9)
    assert min(value for value, _ in folds) - 1e-9 <= found.value <= max(value for value, _ in folds) + 1e-9


def test_folds_without_an_estimate_are_left_out_and_deals_are_averaged() -> None:
    one, none = Estimate.normal(1.0, 0.5), Estimate.normal(np.nan, np.nan)
    assert combine_folds([one, none]) == one
    assert np.isnan(combine_folds([none]).value)
    found = combine_deals([Estimate.normal(1.0, 0.2), Estimate.normal(2.0, 0.4)])
    assert (found.value, found.se) == pytest.approx((1.5, 0.3))
    assert combine_truth([Estimate.normal(0.0, 1.0), Estimate.normal(0.0, 2.0)], np.array([3.0, 6.0])) == pytest.approx(
        4.0
    )


def test_estimates_tend_to_the_true_values() -> None:
    cohort, truth = cohort_of(60_000)
    guess = stretched(truth, 1.5)
    found, true = estimates(guess, cohort), true_values(guess, cohort)
    assert list(found) == list(true) == list(NOTHING)
    for name, value in true.items():
        assert abs(found[name].value - value) < 4 * found[name].se, name
    assert true["slope (log odds)"] == pytest.approx(1 / 1.5, abs=0.01)


def _learned(earlier: pd.DataFrame, following: pd.DataFrame, _: object) -> dict[str, EffectPredictions]:
    """A logistic regression with four useless modifiers."""

    def terms(table: pd.DataFrame, arm: np.ndarray) -> np.ndarray:
        x = table[["a", "b", "c", "d"]].to_numpy()
        return np.column_stack([np.ones(len(table)), x, arm, x * arm[:, None]])

    coefficients = fit_replicates(terms(earlier, earlier["arm"].to_numpy()), earlier["event"].to_numpy(dtype=float))[0]
    risks = (expit(terms(following, np.full(len(following), arm)) @ coefficients) for arm in (0.0, 1.0))
    return {"learned": predictions(*risks)}


@pytest.mark.slow
def test_intervals_hold_where_there_is_nothing_to_find() -> None:
    """Six hundred trials without any effect: every sequential interval excludes "nothing" in some 5 % of them."""
    rejected = []
    for seed in range(600):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame(rng.normal(size=(800, 4)), columns=["a", "b", "c", "d"])
        risk = expit(-1.5 + 0.5 * table["a"].to_numpy())
        table["arm"] = rng.permutation(np.repeat([0, 1], 400))
        table["event"] = (rng.random(800) < risk).astype(int)
        arm = table["arm"].to_numpy()
        cohort = Cohort(table["event"].to_numpy(), arm, risk, np.zeros(800), np.zeros(800), 0.5)
        deals = predict_sequentially(table, arm, _learned, n_deals=1, seed=seed)["learned"]
        found = sequential_inference(deals, cohort)
        rejected.append((found["value"] - pd.Series(NOTHING)).abs() > 1.96 * found["se"])
    rates = pd.DataFrame(rejected).drop(columns="intercept (log odds)").mean()
    assert (rates < 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 600)).all(), rates


def test_nobody_is_predicted_from_their_own_or_a_later_fold() -> None:
    rng = np.random.default_rng(1)
    table, arm = pd.DataFrame({"row": np.arange(100)}), rng.permutation(np.repeat([0, 1], 50))
    seen = []

    def predictor(earlier, following, _):
        seen.append((set(earlier["row"]), set(following["row"])))
        return {"none": predictions(np.full(len(following), 0.1), np.full(len(following), 0.2))}

    found = predict_sequentially(table, arm, predictor, n_folds=5, n_deals=2, seed=3)["none"]
    assert [len(deal) for deal in found] == [4, 4]
    for deal in (seen[:4], seen[4:]):
        before = deal[0][0]
        for earlier, following in deal:
            assert earlier == before
            assert not earlier & following
            before = earlier | following
        assert len(before) == 100
    assert seen[0] != seen[4]  # another deal


def test_the_curve_is_the_mean_of_the_folds() -> None:
    cohort, truth = cohort_of(1200)

    def predictor(_earlier, following, _):
        rows = following["row"].to_numpy()
        names = ("baseline_risk", "risk_difference", "log_odds_ratio", "p_harm")
        return {"truth": EffectPredictions(*(getattr(truth, name)[rows] for name in names))}

    deals = predict_sequentially(pd.DataFrame({"row": np.arange(1200)}), cohort.treatment, predictor)["truth"]
    curve = sequential_curve(deals, cohort)
    assert curve["toc"].iloc[-1] == pytest.approx(0.0, abs=1e-12)
    assert (curve["true"].iloc[:-1] > 0).all()
    inside = (curve["lower"] <= curve["true"]) & (curve["true"] <= curve["upper"])
    assert inside.mean() > 0.5
    assert sequential_inference(deals, cohort).loc["AUTOC", "true"] > 0
