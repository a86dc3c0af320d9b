"""Performance measures, by hand on small examples and by their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hte_utils.methods.estimates import EffectEstimates, IntervalEstimate
from hte_utils.methods.measures import MEASURES, PatientTruth, measure
from hte_utils.study.generate import population
from hte_utils.study.scenarios import PAPER_DESIGN, SCENARIOS

TRUTH = population(SCENARIOS[PAPER_DESIGN]).truth


def estimates(
    rd: np.ndarray, lor: np.ndarray | None = None, risk: np.ndarray | None = None, half_width: float | None = None
) -> EffectEstimates:
    def interval(value: np.ndarray) -> IntervalEstimate:
        if half_width is None:
            return IntervalEstimate(value)
        return IntervalEstimate(value, value - half_width, value + half_width)

    return EffectEstimates(
        baseline_risk=risk,
        log_odds_ratio=None if lor is None else interval(lor),
        risk_difference=interval(rd),
        average_risk_difference=interval(np.asarray(rd.mean())),
    )


def test_the_truth_itself_is_perfect() -> None:
    found = measure(estimates(TRUTH.risk_difference, TRUTH.log_odds_ratio, TRUTH.baseline_risk, 0.01), TRUTH)
    assert list(found) == list(MEASURES)
    perfect = {"bias": 0.0, "rmse": 0.0, "mae": 0.0, "correlation": 1.0, "slope": 1.0, "coverage": 1.0, "width": 0.02}
    for scale in ("lor", "rd"):
        for name, value in perfect.items():
            assert found[f"{scale}_{name}"] == pytest.approx(value, abs=1e-12), name
    assert found["regret"] == found["risk_bias"] == found["risk_rmse"] == 0.0
    assert found["treated_share"] == pytest.approx((TRUTH.risk_difference < 0).mean())
    assert found["ate_estimate"] == pytest.approx(found["ate_truth"])
    assert found["ate_upper"] - found["ate_lower"] == pytest.approx(0.02)


def test_against_scipy() -> None:
    rng = np.random.default_rng(1)
    lor = 0.5 * TRUTH.log_odds_ratio + 0.3 + 0.2 * rng.standard_normal(TRUTH.log_odds_ratio.size)
    rd = TRUTH.risk_difference + 0.01 * rng.standard_normal(lor.size)
    found = measure(estimates(rd, lor, half_width=0.3), TRUTH)
    line = stats.linregress(lor, TRUTH.log_odds_ratio)
    assert found["lor_slope"] == pytest.approx(line.slope)
    assert found["lor_correlation"] == pytest.approx(line.rvalue)
    assert found["lor_bias"] == pytest.approx(np.mean(lor - TRUTH.log_odds_ratio))
    assert found["lor_mae"] == pytest.approx(np.abs(lor - TRUTH.log_odds_ratio).mean())
    assert found["lor_coverage"] == np.mean(np.abs(lor - TRUTH.log_odds_ratio) <= 0.3)
    assert found["rd_rmse"] == pytest.approx(np.sqrt(np.mean((rd - TRUTH.risk_difference) ** 2)))


def test_policy_regret_by_hand() -> None:
    truth = PatientTruth(np.array([-1.0, -0.5, 0.5, 1.0]), np.full(4, 0.1), np.array([-0.04, -0.02, 0.02, 0.08]))
    # Treats the second and the third: misses 0.04 of benefit, does 0.02 of harm; four patients.
    found = measure(estimates(np.array([0.0, -0.01, -0.01, 0.01])), truth)
    assert found["treated_share"] == 0.5
    assert found["regret"] == pytest.approx((0.04 + 0.02) / 4)


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0))
def test_regret_is_never_negative_and_0_for_the_right_signs(seed: int, scale: float) -> None:
    noise = scale * np.random.default_rng(seed).uniform(0.01, 1.0, TRUTH.risk_difference.size)
    anything = np.clip(TRUTH.risk_difference + noise - scale / 2, -1, 1)
    assert measure(estimates(anything), TRUTH)["regret"] >= 0.0
    right_sign = np.clip(TRUTH.risk_difference * (1.0 + noise), -1.0, 1.0)
    assert measure(estimates(right_sign), TRUTH)["regret"] == 0.0


def test_what_does_not_apply_is_nan() -> None:
    found = measure(estimates(np.zeros(TRUTH.risk_difference.size)), TRUTH)
    missing = {name for name, value in found.items() if math.isnan(value)}
    expected = {name for name in MEASURES if name.startswith(("lor_", "risk_"))}
    expected |= {"rd_coverage", "rd_width", "rd_correlation", "rd_slope", "ate_lower", "ate_upper", "interaction_p"}
    assert missing == expected


def test_a_single_patient_has_error_and_coverage() -> None:
    truth = PatientTruth(np.array([0.5]), np.array([0.1]), np.array([0.05]))
    found = measure(estimates(np.array([0.02]), np.array([0.4]), np.array([0.12]), 0.05), truth)
    assert found["rd_bias"] == pytest.approx(-0.03)
    assert found["rd_coverage"] == 1.0
    assert found["lor_coverage"] == 0.0
    assert found["risk_bias"] == pytest.approx(0.02)
    assert math.isnan(found["rd_correlation"])
    assert math.isnan(found["rd_rmse"])


def test_infinite_intervals_are_said_to_be_infinite() -> None:
    n = TRUTH.risk_difference.size
    endless = IntervalEstimate(np.zeros(n), np.full(n, -np.inf), np.full(n, np.inf))
    rd = IntervalEstimate(np.zeros(n))
    found = measure(EffectEstimates(None, endless, rd, IntervalEstimate(np.asarray(0.0))), TRUTH)
    assert found["lor_coverage"] == 1.0
    assert found["lor_width"] == math.inf


def test_estimates_of_other_patients_are_refused() -> None:
    with pytest.raises(ValueError, match="estimates of 3 patients where there are 2000"):
        measure(estimates(np.zeros(3)), TRUTH)
