"""The tables and figures of the chapter on calibration and decisions, from predictions of known quality."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from made_predictions import made_trial, stretched

from hte_utils.corrected import figures_calibration as calibration
from hte_utils.corrected import figures_calibration as decisions
from hte_utils.corrected import validation
from hte_utils.corrected.cross_fitting import NextFold, arm_balanced_folds
from hte_utils.corrected.effect_calibration import calibrate_against_truth, effects_by_predicted_group
from hte_utils.corrected.for_benefit import Cohort, sequential_curve, sequential_inference
from hte_utils.corrected.policies import (
    NOBODY,
    differences_from,
    doubly_robust_scores,
    policies_of,
    threshold_curve,
    toc,
    true_value,
)
from hte_utils.corrected.predictions import BatchedPredictions, EffectPredictions
from hte_utils.corrected.validation import Candidate
from hte_utils.effects.strata import quantile_groups
from hte_utils.trial import simulate_truth

mpl.use("agg")
MADE, NEW = made_trial(1500, 1), made_trial(3000, 2)


def _cohort(made) -> Cohort:
    truth = made.truth
    return Cohort(
        made.outcome.astype(int), made.treatment, truth.baseline_risk, truth.risk_difference, truth.log_odds_ratio, 0.5
    )


HERE, THERE = _cohort(MADE), _cohort(NEW)


@pytest.fixture(scope="module")
def candidates() -> dict[str, Candidate]:
    def candidate(factor: float) -> Candidate:
        own, new = (BatchedPredictions(stretched(made.truth, factor)) for made in (MADE, NEW))
        return Candidate(own, own, new)

    return {"right": candidate(1.0), "too far": candidate(2.0)}


def _folds(predictions: EffectPredictions) -> list[list[NextFold]]:
    fold = arm_balanced_folds(HERE.treatment, 4, 1)
    rows = [np.flatnonzero(fold == number) for number in range(1, 4)]
    names = ("baseline_risk", "risk_difference", "log_odds_ratio", "p_harm")
    return [[NextFold(EffectPredictions(*(getattr(predictions, name)[here] for name in names)), here) for here in rows]]


def test_cohort_knows_what_listing_1_knows() -> None:
    truth = simulate_truth(300, 123)
    cohort = Cohort.of(truth)
    np.testing.assert_allclose(cohort.factual_risk, truth.event_probability, atol=1e-12)
    np.testing.assert_allclose(cohort.log_odds_ratio, truth.treatment_effect, atol=1e-9)


def test_tables_say_what_is_true(candidates) -> None:
    risk = {label: validation.risk_calibrations(each, HERE, seed=1) for label, each in candidates.items()}
    true = {label: validation.true_risk_calibration(each, THERE) for label, each in candidates.items()}
    table = validation.risk_calibration_table(risk, true)
    assert table.loc[("right", validation.TRUE), "slope"] == "1.00"
    assert float(table.loc[("right", validation.TRUE), "ICI (points)"]) == 0.0
    assert float(table.loc[("too far", validation.TRUE), "slope"]) < 1
    effects = validation.effect_truth_table(candidates, THERE)
    assert effects.loc[("right", "risk difference"), "RMSE"] == pytest.approx(0.0, abs=1e-9)
    assert effects.loc[("too far", "log odds ratio"), "slope"] == pytest.approx(0.5)
    inference = {label: sequential_inference(_folds(each.apparent.whole), HERE) for label, each in candidates.items()}
    benefit = validation.benefit_table(candidates, inference, HERE, THERE)
    assert float(benefit.loc[("too far", validation.TRUE), "slope (log odds)"]) == pytest.approx(0.5, abs=0.02)
    assert benefit.loc[("right", validation.TRUE), "slope (log odds)"] == "1.00"
    assert (
        benefit.loc[("the true effects", validation.TRUE), "AUTOC"] == benefit.loc[("right", validation.TRUE), "AUTOC"]
    )
    row = inference["right"].loc["slope (log odds)"]
    assert benefit.loc[("right", validation.SEQUENTIAL), "slope (log odds)"] == (
        f"{row['value']:.2f} ({row['lower']:.2f} to {row['upper']:.2f})"
    )
    distance = validation.e_for_benefit_table(candidates, HERE, THERE, seed=1)
    assert distance.loc[("right", validation.TRUE), "E-for-benefit (points)"] == "0.00"


def test_figures_of_calibration(candidates) -> None:
    found = {
        label: validation.risk_calibrations(each, HERE, seed=1)[validation.CROSS_FITTED]
        for label, each in candidates.items()
    }
    true = {label: validation.true_risk_calibration(each, THERE) for label, each in candidates.items()}
    assert [axis.get_title() for axis in calibration.risk_curves(found, true).axes] == list(candidates)
    groups = {
        label: effects_by_predicted_group(
            each.cross_fitted.whole,
            HERE.outcome,
            HERE.treatment,
            quantile_groups(each.cross_fitted.whole.risk_difference, 5),
        )
        for label, each in candidates.items()
    }
    figure = calibration.effects_by_group(groups, dict.fromkeys(candidates, np.zeros(5)))
    drawn = figure.axes[0].containers[0].lines[0].get_xydata()
    np.testing.assert_allclose(drawn, 100 * groups["right"][["predicted", "observed"]])
    predicted = {label: each.fresh.whole.risk_difference for label, each in candidates.items()}
    against = {label: calibrate_against_truth(each, THERE.risk_difference) for label, each in predicted.items()}
    assert len(calibration.effects_against_truth(predicted, THERE.risk_difference, against).axes) == 2


def test_figures_of_decisions(candidates) -> None:
    predicted = candidates["right"].cross_fitted.whole
    scores = doubly_robust_scores(predicted, HERE.outcome, HERE.treatment, p_treated=HERE.p_treated)
    own = toc(-predicted.risk_difference, -HERE.risk_difference)
    figure = decisions.targeting_curves(sequential_curve(_folds(predicted), HERE), {"right": own}, own)
    assert figure.axes[0].get_lines()[0].get_xdata()[-1] == pytest.approx(100)
    table = differences_from(NOBODY, policies_of({"right": predicted}, HERE), HERE, scores)
    labels = [text.get_text() for text in decisions.policy_differences(table).axes[0].get_yticklabels()]
    assert labels == list(table.index)
    curves = {"right": threshold_curve(predicted, [0, 0.5, 1], HERE.untreated_risk, HERE.risk_difference)}
    value = true_value(HERE.risk_difference < 0, HERE.untreated_risk, HERE.risk_difference)
    drawn = decisions.threshold_rules(curves, value, value, value).axes[0].get_lines()[0].get_ydata()
    np.testing.assert_allclose(drawn, 1000 * curves["right"]["event_rate"])
