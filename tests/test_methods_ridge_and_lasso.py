"""Ridge and lasso: the estimates solve the problem they claim to solve, and the penalty is chosen as stated."""

from __future__ import annotations

import numpy as np
import pytest
from comparator_trials import LINEAR, numbers_of, rng, trial_of, truth_of, with_events
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from hte_utils.methods import METHODS
from hte_utils.methods.ridge_and_lasso import FOLDS, RIDGE_PENALTIES, PenalisedFit, fit_penalised


@pytest.fixture(scope="module", params=["ridge", "lasso"])
def fitted(request: pytest.FixtureRequest) -> tuple[str, PenalisedFit]:
    return request.param, fit_penalised(request.param, numbers_of(), 1)


def gradient(fit: PenalisedFit) -> np.ndarray:
    """Of the log likelihood in the coefficients: 1, T, X, T x X."""
    numbers = numbers_of()
    terms = fit.terms(numbers.covariates, numbers.treatment)
    return terms.T @ (numbers.outcome - expit(terms @ fit.coefficients))


def test_first_order_conditions(fitted: tuple[str, PenalisedFit]) -> None:
    penalty, fit = fitted
    score, slopes = gradient(fit)[2:] * fit.inverse_penalty, fit.coefficients[2:]
    if penalty == "ridge":
        np.testing.assert_allclose(score, slopes, atol=2e-4)
        return
    zero = slopes == 0.0
    assert zero.any()
    assert (~zero).any()
    assert np.abs(score[zero]).max() <= 1.0 + 1e-3
    np.testing.assert_allclose(score[~zero], np.sign(slopes[~zero]), atol=2e-2)


def test_intercept_and_treatment_are_not_penalised(fitted: tuple[str, PenalisedFit]) -> None:
    # Unpenalised coefficients have score zero: mean predicted risk = observed rate, in each arm.
    numbers, (_, fit) = numbers_of(), fitted
    risk = expit(fit.terms(numbers.covariates, numbers.treatment) @ fit.coefficients)
    for arm in (0.0, 1.0):
        mine = numbers.treatment == arm
        assert risk[mine].mean() == pytest.approx(numbers.outcome[mine].mean(), abs=2e-4)


def test_ridge_by_a_general_optimiser() -> None:
    numbers, fit = numbers_of(500), fit_penalised("ridge", numbers_of(500), 1)
    terms = fit.terms(numbers.covariates, numbers.treatment)

    def objective(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        linear = terms @ coefficients
        penalised = coefficients
        loss = np.logaddexp(0, linear).sum() - numbers.outcome @ linear
        slope = terms.T @ (expit(linear) - numbers.outcome)
        return (
            fit.inverse_penalty * loss + 0.5 * penalised @ penalised,
            fit.inverse_penalty * slope + penalised,
        )

    best = minimize(objective, np.zeros(terms.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-8})
    np.testing.assert_allclose(fit.coefficients, best.x, atol=2e-3)


def test_ridge_penalty_has_the_best_cross_validated_log_loss() -> None:
    numbers, seed = numbers_of(1000), 1
    fit = fit_penalised("ridge", numbers, seed)
    terms = fit.terms(numbers.covariates, numbers.treatment)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(terms, numbers.outcome))
    losses = []
    for penalty in RIDGE_PENALTIES:
        model = LogisticRegression(C=penalty, solver="newton-cholesky", fit_intercept=False)
        losses.append(
            np.mean(
                [
                    log_loss(
                        numbers.outcome[test],
                        model.fit(terms[train], numbers.outcome[train]).predict_proba(terms[test])[:, 1],
                    )
                    for train, test in folds
                ]
            )
        )
    assert fit.inverse_penalty == RIDGE_PENALTIES[int(np.argmin(losses))]


@pytest.mark.parametrize("name", ["interactions_ridge", "interactions_lasso"])
def test_recovers_the_truth_in_a_large_trial(name: str) -> None:
    trial, truth = trial_of(20_000, 1, LINEAR), truth_of(20_000, 1, LINEAR)
    ours = METHODS[name](trial, [trial], rng()).estimates[0]
    assert np.sqrt(np.mean(np.square(ours.risk_difference.value - truth.risk_difference))) < 0.015
    assert np.corrcoef(ours.log_odds_ratio.value, truth.treatment_effect)[0, 1] > 0.95


def test_fewer_events_than_folds() -> None:
    trial = with_events(trial_of(200, 3), [5, 60, 120, 180])
    with pytest.raises(ValueError, match="5 patients with the event"):
        METHODS["interactions_lasso"](trial, [trial], rng())


@pytest.mark.parametrize("name", ["interactions_ridge", "interactions_lasso"])
def test_five_events_are_enough_to_run(name: str) -> None:
    trial = with_events(trial_of(200, 3), [5, 60, 120, 150, 180])
    result = METHODS[name](trial, [trial], rng())
    assert np.isfinite(result.estimates[0].log_odds_ratio.value).all()
