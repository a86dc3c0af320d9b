"""C-for-benefit against SciPy's Somers' D, brute force, simulation; pairs do not depend on the table's order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial, stretched
from scipy.stats import somersd

from hte_utils.corrected.for_benefit import (
    MatchedPairs,
    c_for_benefit,
    c_for_benefit_of_truth,
    concordance,
    e_for_benefit,
)

PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(-1, 1)), min_size=2, max_size=25)


def _observed(effects: np.ndarray) -> np.ndarray:
    return np.stack([effects == level for level in (-1, 0, 1)]).astype(float)


@given(pairs=PAIRS)
def test_concordance_by_brute_force(pairs) -> None:
    predicted, observed = np.array(pairs, dtype=float).T
    score = count = 0.0
    for i in range(len(pairs)):
        for j in range(len(pairs)):
            if observed[i] > observed[j]:
                count += 1
                score += 1.0 if predicted[i] > predicted[j] else 0.5 if predicted[i] == predicted[j] else 0.0
    found = concordance(predicted, _observed(observed)).value
    assert np.isnan(found) if count == 0 else found == pytest.approx(score / count)


def test_concordance_by_somers_d() -> None:
    rng = np.random.default_rng(1)
    predicted, observed = rng.integers(0, 30, 200).astype(float), rng.integers(-1, 2, 200).astype(float)
    found = concordance(predicted, _observed(observed)).value
    assert found == pytest.approx((somersd(observed, predicted).statistic + 1) / 2)


def test_standard_error_is_the_jackknifes() -> None:
    rng = np.random.default_rng(2)
    predicted = rng.normal(size=150)
    observed = np.clip(np.rint(0.5 * predicted + rng.normal(size=150)), -1, 1)
    left_out = [
        concordance(np.delete(predicted, k), _observed(np.delete(observed, k))).value for k in range(observed.size)
    ]
    jackknife = np.sqrt(149 / 150 * np.square(left_out - np.mean(left_out)).sum())
    assert concordance(predicted, _observed(observed)).se == pytest.approx(jackknife, rel=0.03)


def test_c_of_truth_is_the_mean_and_the_spread_over_trials() -> None:
    """Simulated trials with the same patients and arms: their C-for-benefit is what is announced."""
    made = made_trial(1000)
    announced = c_for_benefit_of_truth(
        made.truth.risk_difference, made.truth.baseline_risk, made.truth.treated_risk, made.treatment
    )
    rng = np.random.default_rng(7)
    risk = made.truth.risk_under(made.treatment)
    seen = [
        c_for_benefit(made.truth, (rng.random(1000) < risk).astype(float), made.treatment).value for _ in range(400)
    ]
    assert np.mean(seen) == pytest.approx(announced.value, abs=4 * np.std(seen) / 20)
    assert np.std(seen) == pytest.approx(announced.se, rel=0.15)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_table_does_not_matter(seed) -> None:
    """Nearly everybody is tied, in a table sorted by arm and outcome, and shuffled."""
    rng = np.random.default_rng(seed)
    effect, arm, outcome = rng.integers(0, 3, 60).astype(float), rng.integers(0, 2, 60), rng.integers(0, 2, 60)
    outcome = outcome.astype(float)
    found = []
    for order in (np.lexsort((outcome, arm)), rng.permutation(60)):
        pairs = MatchedPairs.of(effect[order], arm[order], outcome[order])
        found.append(concordance(pairs.mean_of(effect[order]), _observed(pairs.effects(outcome[order]))).value)
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


def test_unequal_arms_leave_out_evenly() -> None:
    """300 treated, 100 controls: every third of the treated is matched, from the lowest rank to the highest."""
    effect = np.r_[np.arange(300.0), np.arange(0.0, 300.0, 3.0)]
    arm = np.repeat([1, 0], [300, 100])
    pairs = MatchedPairs.of(effect, arm, np.zeros(400))
    assert pairs.control.tolist() == list(range(300, 400))
    np.testing.assert_allclose(effect[pairs.treated], 1.0 + 3.0 * np.arange(100))
    assert np.abs(effect[pairs.treated] - effect[pairs.control]).max() <= 1.0


def test_predictions_that_know_nothing_are_at_one_half() -> None:
    made = made_trial(4000)
    noise = np.random.default_rng(3).normal(size=4000)
    found = c_for_benefit_of_truth(noise, made.truth.baseline_risk, made.truth.treated_risk, made.treatment)
    assert found.value == pytest.approx(0.5, abs=0.02)


def test_right_predictions_have_the_distance_they_are_said_to_have() -> None:
    """E-for-benefit over trials in which the predictions are right; stretched ones lie beyond it."""
    made = made_trial(1500)
    rng, risk = np.random.default_rng(3), made.truth.risk_under(made.treatment)
    found = [
        e_for_benefit(made.truth, (rng.random(1500) < risk).astype(float), made.treatment, seed=trial)
        for trial in range(30)
    ]
    values = np.array([each.value for each in found])
    assert (values > 0).all()
    assert values.mean() == pytest.approx(
        np.mean([each.if_right for each in found]), abs=3.5 * values.std() / np.sqrt(30)
    )
    too_far = e_for_benefit(stretched(made.truth, 4.0), made.outcome, made.treatment, seed=1)
    assert too_far.value > too_far.if_right + 10 * too_far.if_right_mcse
