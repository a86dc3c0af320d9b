"""The short way to effects against the labelled one, draw for draw."""

from __future__ import annotations

import numpy as np
import pytest
from paper_fits import paper_design

from hte_utils.effects.cate import (
    EffectScale,
    GroupEffects,
    cate_draws,
    effect_summaries,
    summarise_baseline_risk,
    summarise_cate,
)
from hte_utils.model.quick_posterior import QuickPosterior, quick_posterior
from hte_utils.trial import simulate_trial


@pytest.fixture(scope="module")
def posterior() -> QuickPosterior:
    return quick_posterior(paper_design(), draws=300, seed=1)


@pytest.mark.parametrize("group_effects", list(GroupEffects))
@pytest.mark.parametrize("interval", [0.95, 0.5])
def test_equals_cate(posterior: QuickPosterior, group_effects: GroupEffects, interval: float) -> None:
    patients = paper_design().apply(simulate_trial(333, 5))
    tree = posterior.tree()
    found = effect_summaries(tree, patients, interval=interval, group_effects=group_effects)
    for scale, ours in (
        (EffectScale.LOG_ODDS_RATIO, found["log_odds_ratio"]),
        (EffectScale.RISK_DIFFERENCE, found["risk_difference"]),
    ):
        expected = summarise_cate(tree, patients, scale=scale, group_effects=group_effects, interval=interval)
        for name in ("mean", "sd", "lower", "upper"):
            np.testing.assert_allclose(ours[name], expected[name], rtol=1e-9, atol=1e-12)
    risk = summarise_baseline_risk(tree, patients, group_effects=group_effects)["mean"]
    np.testing.assert_allclose(found["baseline_risk"]["mean"], risk, rtol=1e-10)
    draws = cate_draws(tree, patients, scale=EffectScale.RISK_DIFFERENCE, group_effects=group_effects)
    average = draws.mean("patient").to_numpy().ravel()
    tails = np.quantile(average, [0.5 - interval / 2, 0.5 + interval / 2])
    of_ours = found["average_risk_difference"]
    np.testing.assert_allclose(
        [of_ours[name] for name in ("mean", "sd", "lower", "upper")],
        [average.mean(), average.std(ddof=1), *tails],
        rtol=1e-9,
    )
    assert np.shape(of_ours["mean"]) == ()
