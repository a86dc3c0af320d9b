from __future__ import annotations

import pickle

import numpy as np
import pytest

from hte_utils.comparators import EffectEstimates, IntervalEstimate, MethodResult


def effects(n: int = 3, **changes: object) -> EffectEstimates:
    whole = {
        "baseline_risk": np.full(n, 0.1),
        "log_odds_ratio": IntervalEstimate(np.zeros(n), np.full(n, -np.inf), np.full(n, np.inf)),
        "risk_difference": IntervalEstimate(np.zeros(n)),
        "average_risk_difference": IntervalEstimate(np.asarray(0.0)),
    }
    return EffectEstimates(**{**whole, **changes})


class TestIntervalEstimate:
    def test_keeps_its_own_read_only_copy(self) -> None:
        values = np.array([0.1, 0.2])
        estimate = IntervalEstimate(values, values - 1, values + 1)
        values[0] = 9.0
        assert estimate.value[0] == 0.1
        assert estimate.has_interval
        with pytest.raises(ValueError, match="read-only"):
            estimate.value[0] = 1.0

    @pytest.mark.parametrize(
        ("value", "lower", "upper", "message"),
        [
            ([0.0, np.nan], None, None, "1 of 2 estimates are not finite"),
            ([0.0], [0.0], None, "give both"),
            ([0.0], [0.0, 1.0], [1.0, 2.0], r"shapes \(2,\) and \(2,\)"),
            ([0.0], [1.0], [-1.0], "1 of 1 intervals are reversed"),
            ([0.0], [np.nan], [1.0], "reversed or NaN"),
        ],
    )
    def test_refuses(self, value: list, lower: list | None, upper: list | None, message: str) -> None:
        ends = [None if end is None else np.array(end) for end in (lower, upper)]
        with pytest.raises(ValueError, match=message):
            IntervalEstimate(np.array(value), *ends)


class TestEffectEstimates:
    def test_counts_patients(self) -> None:
        assert effects(4).n_patients == 4

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"baseline_risk": np.full(2, 0.1)}, r"baseline risks have shape \(2,\)"),
            ({"baseline_risk": np.array([0.1, 0.2, 1.5])}, r"baseline risk must lie in \[0, 1\]"),
            ({"log_odds_ratio": IntervalEstimate(np.zeros(2))}, "log odds ratios have shape"),
            ({"risk_difference": IntervalEstimate(np.zeros((3, 1)))}, r"shape \(patients,\)"),
            ({"risk_difference": IntervalEstimate(np.array([0.0, 0.0, -2.0]))}, "risk difference must lie"),
            ({"average_risk_difference": IntervalEstimate(np.zeros(1))}, r"shape \(\)"),
        ],
    )
    def test_refuses(self, changes: dict, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            effects(**changes)


class TestMethodResult:
    def test_survives_the_way_to_another_process(self) -> None:
        result = MethodResult((effects(2), effects(3)), {"separation": 1})
        again = pickle.loads(pickle.dumps(result))
        assert dict(again.notes) == {"separation": 1.0}
        assert [each.n_patients for each in again.estimates] == [2, 3]

    def test_notes_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            MethodResult((effects(),), {}).notes["new"] = 1.0

    def test_needs_a_population(self) -> None:
        with pytest.raises(ValueError, match="at least one population"):
            MethodResult((), {})
