"""C-for-benefit against SciPy's Somers' D and brute force; matched pairs find what they can find."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial, stretched
from scipy.stats import somersd

from hte_utils.calibration.matched_pairs import c_for_benefit, c_for_benefit_of_truth, evaluate_for_benefit

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 1)), min_size=2, max_size=25)


@given(pairs=PAIRS)
def test_concordance_by_brute_force(pairs) -> None:
    predicted, observed = np.array(pairs, dtype=float).T
    score = count = 0.0
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if observed[i] > observed[j]:
                count += 1
                score += 1.0 if predicted[i] > predicted[j] else 0.5 if predicted[i] == predicted[j] else 0.0
    found = c_for_benefit(predicted[None], observed[None])[0]
    assert np.isnan(found) if count == 0 else found == pytest.approx(score / count)


def test_concordance_by_somers_d() -> None:
    rng = np.random.default_rng(1)
    predicted, observed = rng.integers(0, 30, (3, 200)).astype(float), rng.integers(-1, 2, (3, 200)).astype(float)
    found = c_for_benefit(predicted, observed)
    for row in range(3):
        assert found[row] == pytest.approx((somersd(observed[row], predicted[row]).statistic + 1) / 2)


def test_true_predictions_discriminate_and_are_calibrated_and_stretched_ones_are_not() -> None:
    made = made_trial(8000)
    right = evaluate_for_benefit(made.truth, made.outcome, made.treatment, n_bootstrap=60, seed=1)
    assert right.c_for_benefit.lower > 0.5
    assert right.n_pairs == min(np.bincount(made.treatment))
    too_far = evaluate_for_benefit(stretched(made.truth, 3.0), made.outcome, made.treatment, n_bootstrap=60, seed=1)
    assert too_far.e_average.lower > right.e_average.upper
    assert too_far.e50.value <= too_far.e90.value


def test_c_of_truth_is_the_mean_over_trials() -> None:
    """Trials with the same patients and arms: their C-for-benefit has the mean and spread that are announced."""
    made = made_trial(1000)
    announced = c_for_benefit_of_truth(
        made.truth.risk_difference,
        made.truth.baseline_risk,
        made.truth.treated_risk,
        made.treatment,
        n_simulated=400,
        seed=1,
    )
    rng = np.random.default_rng(7)
    risk = made.truth.risk_under(made.treatment)
    seen = [
        evaluate_for_benefit(
            made.truth, (rng.random(1000) < risk).astype(float), made.treatment, n_bootstrap=20, seed=1
        ).c_for_benefit.value
        for _ in range(60)
    ]
    assert np.mean(seen) == pytest.approx(announced.value, abs=4 * announced.se / np.sqrt(60))
    assert np.std(seen) == pytest.approx(announced.se, rel=0.35)


def test_predictions_that_know_nothing_are_at_one_half() -> None:
    made = made_trial(4000)
    noise = np.random.default_rng(3).normal(size=4000)
    found = c_for_benefit_of_truth(
        noise, made.truth.baseline_risk, made.truth.treated_risk, made.treatment, n_simulated=100, seed=1
    )
    assert found.value == pytest.approx(0.5, abs=0.02)


def test_bad_input_is_named() -> None:
    made = made_trial(100)
    with pytest.raises(ValueError, match="at least 20"):
        evaluate_for_benefit(made.truth, made.outcome, made.treatment, n_bootstrap=2, seed=1)
    with pytest.raises(ValueError, match="same patients"):
        c_for_benefit_of_truth(np.zeros(5), np.zeros(100), np.zeros(100), made.treatment, seed=1)
