from __future__ import annotations

import pickle

import numpy as np
import pytest

from hte_utils.methods import EffectEstimates, IntervalEstimate, MethodResult


@pytest.mark.parametrize(
    ("value", "lower", "upper", "message"),
    [
        ([0.0, np.nan], None, None, "1 of 2 are not finite"),
        ([0.0], [1.0], [-1.0], "1 intervals are reversed"),
        ([0.0], [np.nan], [1.0], "reversed or NaN"),
    ],
)
def test_estimates_that_say_nothing_are_refused(
    value: list, lower: list | None, upper: list | None, message: str
) -> None:
    ends = [None if end is None else np.array(end) for end in (lower, upper)]
    with pytest.raises(ValueError, match=message):
        IntervalEstimate(np.array(value), *ends)


def test_results_survive_the_way_to_another_process() -> None:
    endless = IntervalEstimate(np.zeros(3), np.full(3, -np.inf), np.full(3, np.inf))
    effects = EffectEstimates(np.full(3, 0.1), endless, IntervalEstimate(np.zeros(3)), IntervalEstimate(np.zeros(())))
    again = pickle.loads(pickle.dumps(MethodResult((effects,), {"separation": 1.0})))
    assert again.notes == {"separation": 1.0}
    assert again.estimates[0].n_patients == 3
    assert again.estimates[0].log_odds_ratio.lower is not None
    assert again.estimates[0].risk_difference.lower is None
