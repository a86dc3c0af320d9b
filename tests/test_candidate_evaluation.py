"""Errors of candidate models: against the evaluation of Table 7, and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hand_made_posteriors import random_posterior, small_design

from hte_utils.corrected.stored_checks import (
    SCALES,
    EffectErrors,
    effect_errors,
    evaluate_candidates,
    mean_over_trials,
    paired_differences,
)
from hte_utils.effects.cate import GroupEffects, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.truth import true_cate
from hte_utils.model.candidates import CONSTANT_MODEL, PAPER_MODEL
from hte_utils.model.fit import IndependenceSettings
from hte_utils.trial import simulate_truth


@pytest.mark.parametrize("scale", list(SCALES))
def test_same_as_the_evaluation_of_table_7(scale: str) -> None:
    posterior, design, truth = random_posterior(1), small_design(), simulate_truth(300, 123)
    found = effect_errors(posterior, design, truth, scale)
    kind, factor = SCALES[scale]
    draws = factor * cate_draws(posterior, design, scale=kind, group_effects=GroupEffects.INCLUDED)
    expected = evaluate_cate(draws, factor * true_cate(truth, kind)).metrics()
    for name in ("correlation", "rmse", "mae", "bias", "calibration_slope", "coverage"):
        assert getattr(found, name) == pytest.approx(expected[name].value)
    average = draws.mean("patient").to_numpy().ravel()
    lower, upper = np.quantile(average, (0.025, 0.975))
    assert found.average_covered == float(lower <= factor * true_cate(truth, kind).mean() <= upper)


def hand_made() -> pd.DataFrame:
    rows = []
    for seed, (first, second) in {1: (1.0, 2.0), 2: (3.0, 5.0), 3: (5.0, 5.0)}.items():
        for model, value in {"a": first, "b": second}.items():
            rows.append(
                {"seed": seed, "model": model, "scale": "points"} | dict.fromkeys(EffectErrors.__slots__, value)
            )
    return pd.DataFrame(rows)


def test_means_and_paired_differences_by_hand() -> None:
    means = mean_over_trials(hand_made(), "points")
    assert list(means.index) == ["a", "b"]
    assert means.loc["a", ("rmse", "mean")] == 3.0
    assert means.loc["a", ("rmse", "mcse")] == pytest.approx(2.0 / np.sqrt(3))
    paired = paired_differences(hand_made(), "points", "a")
    assert list(paired.index) == ["b"]
    assert paired.loc["b", ("bias", "mean")] == 1.0
    assert paired.loc["b", ("bias", "mcse")] == pytest.approx(1.0 / np.sqrt(3))


def test_one_trial_end_to_end() -> None:
    settings = IndependenceSettings(draws=200, chains=2, proposals_per_draw=5)
    found = evaluate_candidates([CONSTANT_MODEL, PAPER_MODEL], [7], settings=settings)
    assert found["model"].tolist() == ["constant", "constant", "paper", "paper"]
    constant, paper = (
        found[(found["model"] == name) & (found["scale"] == "log odds ratio")] for name in ("constant", "paper")
    )
    assert constant["correlation"].isna().all()
    assert paper["correlation"].item() > 0.5
    assert paper["rmse"].item() < constant["rmse"].item()
    assert found["passed"].dtype == bool
