"""Newton's method against scikit-learn's penalised logistic regression, also where likelihood alone has no maximum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special
from sklearn.linear_model import LogisticRegression

from hte_utils.coefficient_mode import expand_at_mode


def data(separated: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(150, 4))
    outcome = rows[:, 0] > 1.0 if separated else rng.random(150) < special.expit(rows[:, 0] - 1.0)
    return rows, outcome.astype(float)


@pytest.mark.parametrize("separated", [False, True])
@pytest.mark.parametrize("start", [0.0, 6.0])
def test_mode_equals_ridge_regression(separated: bool, start: float) -> None:
    rows, outcome = data(separated)
    signed = rows * (1.0 - 2.0 * outcome)[:, None]
    found = expand_at_mode(signed, np.eye(4) / 2.0**2, np.zeros(4), np.full(4, start))
    by_sklearn = LogisticRegression(C=2.0**2, fit_intercept=False, tol=1e-10, max_iter=1000).fit(rows, outcome)
    np.testing.assert_allclose(found.mode, by_sklearn.coef_[0], atol=1e-4)


def test_expansion_is_that_of_the_likelihood() -> None:
    rows, outcome = data(separated=False)
    signed = rows * (1.0 - 2.0 * outcome)[:, None]
    found = expand_at_mode(signed, np.eye(4), np.full(4, 0.5), np.zeros(4))

    def both(at: np.ndarray) -> tuple[float, float]:
        exact = -np.logaddexp(0.0, signed @ at).sum()
        return exact, float(-0.5 * at @ found.information @ at + found.linear @ at)

    centre = both(found.mode)
    for move in 0.02 * np.eye(4):
        exact, quadratic = both(found.mode + move)
        assert exact - centre[0] == pytest.approx(quadratic - centre[1], abs=2e-4)


def test_a_search_without_end_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, outcome = data(separated=False)
    monkeypatch.setattr("hte_utils.coefficient_mode._MOST_STEPS", 1)
    with pytest.raises(RuntimeError, match="Standardise it in the TrialSpec"):
        expand_at_mode(rows * (1.0 - 2.0 * outcome)[:, None], np.eye(4), np.zeros(4), np.full(4, 3.0))
