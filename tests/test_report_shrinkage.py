"""Subgroups shrunken beside unshrunken, single patients, predicted effects: on trials whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from report_trials import own_question, own_report, own_trial_frame

from hte_utils.effects.averages import average_effects
from hte_utils.model.fit import fit
from hte_utils.model.listing_2 import Priors
from hte_utils.report import Question
from hte_utils.report.columns import own_trial
from hte_utils.report.heterogeneity import risk_quintiles
from hte_utils.report.shrinkage import (
    MOST_GROUPS,
    model_design,
    predicted_effects,
    shrunken_effects,
    subgroup_members,
)


def known_trial(n: int = 3000) -> pd.DataFrame:
    """The effect turns round with `marker`: log odds ratio 1 - 2 marker; `noise` does nothing."""
    rng = np.random.default_rng(11)
    marker, noise, arm = (rng.integers(0, 2, n) for _ in range(3))
    log_odds = -1.0 + 0.3 * marker + arm * (1.0 - 2.0 * marker)
    event = (rng.random(n) < 1 / (1 + np.exp(-log_odds))).astype(int)
    return pd.DataFrame({"event": event, "arm": arm, "marker": marker, "noise": noise})


def known_question(**more: object) -> Question:
    return Question("event", "arm", ("marker", "noise"), simulations=20, **more)  # type: ignore[arg-type]


def test_a_strong_modifier_is_found_and_a_useless_one_shrunken() -> None:
    trial = own_trial(known_trial(), known_question())
    found = shrunken_effects(trial, subgroup_members(trial)).subgroups
    risk = lambda marker, arm: 1 / (1 + np.exp(-(-1.0 + 0.3 * marker + arm * (1.0 - 2.0 * marker))))  # noqa: E731
    for marker in (0, 1):
        row = found.loc[f"marker: {marker}"]
        assert row["model_lower"] <= risk(marker, 1) - risk(marker, 0) <= row["model_upper"]
    gaps = [abs(found.loc["noise: 1", key] - found.loc["noise: 0", key]) for key in ("estimate", "mean")]
    assert gaps[1] < gaps[0]


def test_the_model_is_the_one_that_the_book_fits() -> None:
    trial = own_trial(own_trial_frame(), own_question(group=("centre",)))
    members = subgroup_members(trial)
    rate = float(trial.outcome.mean())
    priors = Priors(
        precision_rate=0.25, intercept_mean=np.log(rate / (1 - rate)), intercept_sd=1.0, interaction_scale=0.5
    )
    design = model_design(trial, 0)
    expected = average_effects(fit(design, priors=priors), design, members).xs("RISK_DIFFERENCE", level="measure")
    found = shrunken_effects(trial, members).subgroups
    np.testing.assert_allclose(found["mean"], expected["mean"], atol=0.01)
    np.testing.assert_allclose(found["model_lower"], expected["lower"], atol=0.03)


def test_shrunken_effects_lie_nearer_together_than_those_alone() -> None:
    report = own_report()
    assert report.shrunken is not None
    table = report.shrunken.subgroups
    centres = table[table.index.str.startswith("centre")]
    assert centres["mean"].std() < centres["estimate"].std()
    assert len(report.shrunken.sensitivity) == 3


def test_subgroups_are_those_asked_for() -> None:
    trial = own_trial(own_trial_frame(), own_question(subgroups={"age": (50.0, 70.0)}))
    names = list(subgroup_members(trial).columns)
    assert names == ["all patients", "age: 50 or less", "age: above 50 to 70", "age: above 70"]


def test_a_group_of_many_levels_enters_as_one_covariate() -> None:
    frame = own_trial_frame().assign(centre=lambda t: t["id"] % (2 * MOST_GROUPS))
    trial = own_trial(frame, own_question(group=("centre",)))
    design = model_design(trial, 0)
    assert design.prognostic.shape[1] == trial.matrix().shape[1] + 1
    assert design.group_labels == ("0",)
    assert shrunken_effects(trial, subgroup_members(trial)).group_as_covariate


@pytest.mark.parametrize("modifiers", [(), ("severity",)])
def test_only_the_modifiers_modify(modifiers: tuple[str, ...]) -> None:
    trial = own_trial(own_trial_frame(), own_question(modifiers=modifiers))
    design = model_design(trial, 0)
    columns = {(): 1, ("severity",): 2}[modifiers]
    assert design.modifiers.shape[1] == columns
    assert bool(design.modifiers.any()) == bool(modifiers)
    np.testing.assert_array_equal(trial.matrix(), design.prognostic)


def test_predicted_effects_find_what_is_there_and_turn_round_with_benefit() -> None:
    trial, good = (own_trial(known_trial(), known_question(benefit=benefit)) for benefit in (False, True))
    found, turned = (predicted_effects(each, risk_quintiles(each).fold) for each in (trial, good))
    assert 0.7 < found.slope < 1.5
    assert found.concordance > 0.55
    assert found.autoc > 0.0
    assert turned.autoc > 0.0
    table = found.net_benefit
    assert (table["net_benefit"] >= table["everybody"] - 0.01).all()
    assert found.net_benefit.loc[0.0, "treated"] + turned.net_benefit.loc[0.0, "treated"] == pytest.approx(1.0)
