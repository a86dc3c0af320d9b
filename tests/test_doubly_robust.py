"""Doubly robust scores are unbiased whatever the model says: exactly, over all outcomes and arms of a patient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_predictions import made_trial, predictions

from hte_utils.corrected.policies import doubly_robust_scores

PROBABILITY = st.floats(0.01, 0.99)


@given(guess=st.tuples(PROBABILITY, PROBABILITY), true=st.tuples(PROBABILITY, PROBABILITY), p=st.floats(0.05, 0.95))
def test_unbiased_whatever_is_predicted(guess, true, p) -> None:
    """One patient, all four (arm, outcome), weighted with their probabilities: the score is the true probability."""
    arm, outcome = np.array([0, 0, 1, 1]), np.array([0.0, 1.0, 0.0, 1.0])
    risk = np.where(arm == 1, true[1], true[0])
    weight = np.where(arm == 1, p, 1 - p) * np.where(outcome == 1, risk, 1 - risk)
    same = predictions(np.full(4, guess[0]), np.full(4, guess[1]))
    scores = doubly_robust_scores(same, outcome, arm, p_treated=p)
    assert weight @ scores.untreated == pytest.approx(true[0], abs=1e-9)
    assert weight @ scores.treated == pytest.approx(true[1], abs=1e-9)


def test_the_same_as_econml() -> None:
    from econml.validate.utils import calculate_dr_outcomes

    made = made_trial(500)
    both = np.column_stack([made.truth.baseline_risk, made.truth.treated_risk])
    theirs = calculate_dr_outcomes(made.treatment, made.outcome, both, np.full((500, 2), 0.5))
    ours = doubly_robust_scores(made.truth, made.outcome, made.treatment, p_treated=0.5)
    np.testing.assert_allclose(ours.risk_difference, theirs[:, 0], atol=1e-12)


def test_good_predictions_make_the_scores_more_precise() -> None:
    made = made_trial()
    nothing = predictions(np.full(4000, 1e-6), np.full(4000, 1e-6))
    good, poor = (
        doubly_robust_scores(each, made.outcome, made.treatment, p_treated=0.5).risk_difference.var()
        for each in (made.truth, nothing)
    )
    assert good < 0.8 * poor


def test_one_to_three_allocation() -> None:
    """Truth -0.10 with a quarter of the patients treated: the design's probability finds it, 0.5 finds harm."""
    rng = np.random.default_rng(4)
    n = 200_000
    arm = (rng.random(n) < 0.25).astype(int)
    outcome = (rng.random(n) < np.where(arm == 1, 0.20, 0.30)).astype(float)
    guess = predictions(np.full(n, 0.10), np.full(n, 0.10))
    right = doubly_robust_scores(guess, outcome, arm, p_treated=0.25).risk_difference
    assert right.mean() == pytest.approx(-0.10, abs=4 * right.std() / np.sqrt(n))
    wrong = doubly_robust_scores(guess, outcome, arm, p_treated=0.5).risk_difference
    assert abs(wrong.mean() + 0.10) > 10 * wrong.std() / np.sqrt(n)


def test_the_allocation_is_never_assumed() -> None:
    made = made_trial(100)
    with pytest.raises(TypeError, match="p_treated"):
        doubly_robust_scores(made.truth, made.outcome, made.treatment)  # type: ignore[call-arg]


def test_bad_input_is_named() -> None:
    made = made_trial(100)
    for p_treated in (1.0, 50.0):
        with pytest.raises(ValueError, match="p_treated must be a probability"):
            doubly_robust_scores(made.truth, made.outcome, made.treatment, p_treated=p_treated)
    for outcome, treatment in ((made.outcome + 1, made.treatment), (made.outcome, made.treatment + 1)):
        with pytest.raises(ValueError, match="must be 0 or 1 for every patient"):
            doubly_robust_scores(made.truth, outcome, treatment, p_treated=0.5)
    with pytest.raises(ValueError, match="beside 100 patients"):
        doubly_robust_scores(made.truth, made.outcome[:5], made.treatment, p_treated=0.5)
