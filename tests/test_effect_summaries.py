"""The short way to effects against the labelled one, draw for draw."""

from __future__ import annotations

import numpy as np
import pytest
from paper_fits import paper_design

from hte_utils.cate import EffectScale, GroupEffects, cate_draws, summarise_baseline_risk, summarise_cate
from hte_utils.effect_summaries import average_effects, effect_summaries
from hte_utils.quick_posterior import QuickPosterior, quick_posterior
from hte_utils.spec import PAPER_SPEC, Covariate, TrialSpec
from hte_utils.trial import simulate_trial


@pytest.fixture(scope="module")
def posterior() -> QuickPosterior:
    return quick_posterior(paper_design(), draws=300, seed=1)


@pytest.mark.parametrize("group_effects", list(GroupEffects))
@pytest.mark.parametrize("interval", [0.95, 0.5])
def test_equals_cate(posterior: QuickPosterior, group_effects: GroupEffects, interval: float) -> None:
    patients = paper_design().apply(simulate_trial(333, 5))
    found = effect_summaries(posterior, patients, interval=interval, group_effects=group_effects)
    tree = posterior.tree()
    for scale, ours in (
        (EffectScale.LOG_ODDS_RATIO, found.log_odds_ratio),
        (EffectScale.RISK_DIFFERENCE, found.risk_difference),
    ):
        expected = summarise_cate(tree, patients, scale=scale, group_effects=group_effects, interval=interval)
        for name in ("mean", "sd", "lower", "upper"):
            np.testing.assert_allclose(getattr(ours, name), expected[name], rtol=1e-9, atol=1e-12)
    risk = summarise_baseline_risk(tree, patients, group_effects=group_effects)["mean"]
    np.testing.assert_allclose(found.baseline_risk, risk, rtol=1e-10)
    draws = cate_draws(tree, patients, scale=EffectScale.RISK_DIFFERENCE, group_effects=group_effects)
    average = draws.mean("patient").to_numpy().ravel()
    tails = np.quantile(average, [0.5 - interval / 2, 0.5 + interval / 2])
    of_ours = found.average_risk_difference
    np.testing.assert_allclose(
        [of_ours.mean, of_ours.sd, of_ours.lower, of_ours.upper],
        [average.mean(), average.std(ddof=1), *tails],
        rtol=1e-9,
    )
    assert np.shape(of_ours.mean) == ()


def test_averages_within_strata(posterior: QuickPosterior) -> None:
    patients = paper_design().apply(simulate_trial(257, 5))
    strata = np.arange(257) % 3
    found = average_effects(posterior, patients, strata)
    draws = cate_draws(
        posterior.tree(), patients, scale=EffectScale.RISK_DIFFERENCE, group_effects=GroupEffects.INCLUDED
    )
    for stratum in range(3):
        values = draws[..., strata == stratum].mean("patient").to_numpy().ravel()
        np.testing.assert_allclose(found.mean[stratum], values.mean(), rtol=1e-10)
        np.testing.assert_allclose(found.sd[stratum], values.std(ddof=1), rtol=1e-9)
        np.testing.assert_allclose(
            [found.lower[stratum], found.upper[stratum]], np.quantile(values, [0.025, 0.975]), rtol=1e-9
        )


def test_other_patients_are_refused(posterior: QuickPosterior) -> None:
    spec = TrialSpec("event", "treatment", "gender", (Covariate("age", "age", True),), ("age",))
    with pytest.raises(ValueError, match="coded by another TrialSpec"):
        effect_summaries(posterior, spec.design(simulate_trial()))
    three_groups = PAPER_SPEC.design(simulate_trial().assign(gender=np.arange(2000) % 3))
    with pytest.raises(ValueError, match="coded by another TrialSpec"):
        effect_summaries(posterior, three_groups)


@pytest.mark.parametrize(
    ("strata", "message"),
    [
        (np.zeros(3, dtype=int), "integer array of shape"),
        (np.zeros(2000), "integer array of shape"),
        (np.full(2000, -1), "counted from 0"),
        (np.arange(2000) % 2 * 2, "stratum 1 has no patients"),
    ],
)
def test_bad_strata_are_refused(posterior: QuickPosterior, strata: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        average_effects(posterior, paper_design(), strata)


def test_bad_options_are_refused(posterior: QuickPosterior) -> None:
    with pytest.raises(ValueError, match="interval"):
        effect_summaries(posterior, paper_design(), interval=1.0)
    with pytest.raises(TypeError, match="group_effects must be"):
        effect_summaries(posterior, paper_design(), group_effects="included")  # type: ignore[arg-type]
