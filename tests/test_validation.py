"""Inference fold by fold holds where pooled does not; tables and figures show predictions of known quality as such."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from made_predictions import made_trial, predictions, some, stretched
from scipy.special import expit

from hte_utils.corrected import figures_effects as figures
from hte_utils.corrected import validation
from hte_utils.corrected.cross_fitting import (
    Cohort,
    EffectPredictions,
    NextFold,
    arm_balanced_folds,
    predict_sequentially,
)
from hte_utils.corrected.decisions import (
    NOBODY,
    differences_from,
    doubly_robust_scores,
    policies_of,
    policy_values,
    threshold_curve,
    toc,
)
from hte_utils.corrected.effect_calibration import calibrate_against_truth, effects_by_predicted_group
from hte_utils.corrected.validation import (
    NOTHING,
    TRUE,
    Candidate,
    benefit_estimates,
    sequential_curve,
    sequential_inference,
    true_benefit_values,
)
from hte_utils.effects.logistic import fit_replicates
from hte_utils.effects.strata import quantile_groups

mpl.use("agg")
MADE, RIGHT = made_trial(1500, 1)
NEW, RIGHT_NEW = made_trial(3000, 2)


@pytest.fixture(scope="module")
def candidates() -> dict[str, Candidate]:
    def candidate(factor: float) -> Candidate:
        own, new = (stretched(truth, factor) for truth in (RIGHT, RIGHT_NEW))
        return Candidate(own, own, new)

    return {"right": candidate(1.0), "too far": candidate(2.0)}


def _folds(whole: EffectPredictions, seed: int = 1) -> list[NextFold]:
    fold = arm_balanced_folds(MADE.treatment, 4, seed)
    rows = [np.flatnonzero(fold == number) for number in range(1, 4)]
    return [NextFold(some(whole, here), here) for here in rows]


def test_estimates_tend_to_the_true_values() -> None:
    cohort, truth = made_trial(60_000)
    guess = stretched(truth, 1.5)
    found, true = benefit_estimates(guess, cohort), true_benefit_values(guess, cohort)
    assert list(found) == list(true) == list(NOTHING)
    for name, value in true.items():
        assert abs(found[name].value - value) < 4 * found[name].se, name
    assert true["slope (log odds)"] == pytest.approx(1 / 1.5, abs=0.01)


def test_deals_are_averaged() -> None:
    deals = [_folds(RIGHT, seed) for seed in (1, 2)]
    single = [sequential_inference([deal], MADE) for deal in deals]
    both = sequential_inference(deals, MADE)
    for name in ("value", "se", "lower", "true"):
        np.testing.assert_allclose(both[name], (single[0][name] + single[1][name]) / 2)


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


def test_the_curve_is_the_mean_of_the_folds() -> None:
    deals = [_folds(RIGHT, seed) for seed in (1, 2, 3)]
    curve = sequential_curve(deals, MADE)
    folds = [
        toc(-fold.predictions.risk_difference, -MADE.risk_difference[fold.rows])[0] for deal in deals for fold in deal
    ]
    np.testing.assert_allclose(curve["true"], np.mean(folds, axis=0))
    assert curve["toc"].iloc[-1] == pytest.approx(0.0, abs=1e-12)
    assert (curve["true"].iloc[:-1] > 0).all()
    inside = (curve["lower"] <= curve["true"]) & (curve["true"] <= curve["upper"])
    assert inside.mean() > 0.5
    assert sequential_inference(deals, MADE).loc["AUTOC", "true"] > 0


def test_tables_say_what_is_true(candidates) -> None:
    risk = {label: validation.risk_calibrations(each, MADE, NEW, seed=1) for label, each in candidates.items()}
    table = validation.risk_calibration_table(risk)
    assert table.loc[("right", TRUE), "slope"] == "1.00"
    assert float(table.loc[("right", TRUE), "ICI (points)"]) == 0.0
    assert float(table.loc[("too far", TRUE), "slope"]) < 1
    effects = validation.effect_truth_table(candidates, NEW)
    assert effects.loc[("right", "risk difference"), "RMSE"] == pytest.approx(0.0, abs=1e-9)
    assert effects.loc[("too far", "log odds ratio"), "slope"] == pytest.approx(0.5)
    inference = {label: sequential_inference([_folds(each.apparent)], MADE) for label, each in candidates.items()}
    null_rates = pd.Series({(label, name): f"{label}, {name}" for label in candidates for name in reversed(NOTHING)})
    benefit = validation.benefit_table(candidates, inference, null_rates, MADE, NEW)
    assert benefit.loc[("too far", validation.NULL_RATE), "QINI"] == "too far, QINI"
    assert float(benefit.loc[("too far", TRUE), "slope (log odds)"]) == pytest.approx(0.5, abs=0.02)
    assert benefit.loc[("right", TRUE), "slope (log odds)"] == "1.00"
    assert benefit.loc[("the true effects", TRUE), "AUTOC"] == benefit.loc[("right", TRUE), "AUTOC"]
    row = inference["right"].loc["slope (log odds)"]
    assert benefit.loc[("right", validation.SEQUENTIAL), "slope (log odds)"] == (
        f"{row['value']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"
    )
    distance = validation.e_for_benefit_table(candidates, MADE, NEW, seed=1)
    assert distance.loc[("right", TRUE), "E-for-benefit (points)"] == "0.00"


def test_figures_of_calibration(candidates) -> None:
    risk = {label: validation.risk_calibrations(each, MADE, NEW, seed=1) for label, each in candidates.items()}
    assert [axis.get_title() for axis in figures.risk_curves(risk).axes] == list(candidates)
    groups = {
        label: effects_by_predicted_group(
            each.cross_fitted, MADE, quantile_groups(each.cross_fitted.risk_difference, 5)
        )
        for label, each in candidates.items()
    }
    figure = figures.effects_by_group(groups)
    drawn = figure.axes[0].containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(drawn, 100 * groups["right"][["predicted", "observed"]])
    predicted = {label: each.new.risk_difference for label, each in candidates.items()}
    against = {label: calibrate_against_truth(each, NEW.risk_difference) for label, each in predicted.items()}
    assert len(figures.effects_against_truth(predicted, NEW.risk_difference, against).axes) == 2


def test_figures_of_decisions(candidates) -> None:
    predicted = candidates["right"].cross_fitted
    scores = doubly_robust_scores(predicted, MADE.outcome, MADE.treatment, p_treated=MADE.p_treated)
    own, _ = toc(-predicted.risk_difference, -MADE.risk_difference)
    figure = figures.targeting_curves(sequential_curve([_folds(predicted)], MADE), {"right": own}, own)
    assert figure.axes[0].get_lines()[0].get_xdata()[-1] == pytest.approx(100)
    policies = policies_of({"right": predicted}, MADE)
    table = differences_from(NOBODY, policies, MADE, scores)
    labels = [text.get_text() for text in figures.policy_differences(table).axes[0].get_yticklabels()]
    assert labels == list(table.index)
    curves = {"right": threshold_curve(predicted, [0, 0.5, 1], MADE)}
    drawn = figures.threshold_rules(curves, policy_values(policies, MADE)).axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, curves["right"]["bleeds"])
