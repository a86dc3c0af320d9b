"""Single patients' risks and effects: term by term as Listing 2 writes them, and in blocks as in one matrix."""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import posterior_of, random_posterior, small_design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from hte_utils.effects import cate as module
from hte_utils.effects.cate import (
    EffectScale,
    GroupEffects,
    _summaries,
    baseline_risk_draws,
    cate,
    cate_draws,
    effect_summaries,
    predicted_risk,
)
from hte_utils.model.spec import PAPER_SPEC, TrialDesign
from hte_utils.trial import simulate_trial

LOR, RD, RR = EffectScale.LOG_ODDS_RATIO, EffectScale.RISK_DIFFERENCE, EffectScale.RISK_RATIO
INCLUDED, LEFT_OUT = GroupEffects.INCLUDED, GroupEffects.LEFT_OUT


@pytest.fixture(scope="module")
def design() -> TrialDesign:
    return small_design()


@pytest.fixture(scope="module")
def posterior() -> xr.DataTree:
    return random_posterior(seed=1)


def listing_2(posterior: xr.DataTree, design: TrialDesign, draw: int, patient: int, treated: int, group: int) -> float:
    """Log odds of one patient in one draw, term by term as Listing 2 writes them."""
    one = posterior["posterior"].to_dataset().isel(chain=0, draw=draw)
    age, anticoag, bmi, diabetes, prior = design.prognostic[patient]
    gender = design.group_labels[design.group[patient]]

    def b(label: str) -> float:
        return float(one["b_prognostic"].sel(prognostic=label))

    def b_trt(label: str) -> float:
        return float(one["b_interaction"].sel(modifier=label))

    mu = float(one["b_intercept"]) + float(one["b_trt"]) * treated
    mu += b("age") * age + b("anticoag") * anticoag + b("diabetes") * diabetes + b("prior") * prior + b("bmi") * bmi
    mu += b_trt("age") * treated * age + b_trt("anticoag") * treated * anticoag
    mu += b_trt("diabetes") * treated * diabetes
    if group:
        mu += float(one["re"].sel(group=gender)) + float(one["re_trt"].sel(group=gender)) * treated
    return mu


@pytest.mark.parametrize("group_effects", list(GroupEffects))
def test_every_scale_is_what_listing_2_says(
    posterior: xr.DataTree, design: TrialDesign, group_effects: GroupEffects
) -> None:
    effect = {s: cate_draws(posterior, design, scale=s, group_effects=group_effects) for s in EffectScale}
    risk = baseline_risk_draws(posterior, design, group_effects=group_effects)
    for draw, patient in [(0, 0), (3, 17), (199, 299), (42, 120)]:
        group = group_effects is INCLUDED
        control = listing_2(posterior, design, draw, patient, 0, group)
        treated = listing_2(posterior, design, draw, patient, 1, group)
        p0, p1 = 1 / (1 + math.exp(-control)), 1 / (1 + math.exp(-treated))
        assert risk[0, draw, patient].item() == pytest.approx(p0, rel=1e-12)
        assert effect[LOR][0, draw, patient].item() == pytest.approx(treated - control, abs=1e-12)
        assert effect[RD][0, draw, patient].item() == pytest.approx(p1 - p0, abs=1e-12)
        assert effect[RR][0, draw, patient].item() == pytest.approx(p1 / p0, rel=1e-12)


def test_results_are_labelled(posterior: xr.DataTree, design: TrialDesign) -> None:
    effect = cate_draws(posterior, design, scale=RD, group_effects=LEFT_OUT)
    assert effect.dims == ("chain", "draw", "patient")
    assert effect.shape == (2, 200, 300)
    assert effect.attrs == {"scale": "risk difference", "group_effects": LEFT_OUT.value}
    summary = cate(posterior, design, scale=RD, group_effects=LEFT_OUT)
    assert set(summary) == {"mean", "sd", "lower", "upper", "p_harm"}
    assert summary.attrs == {"interval": 0.95, "scale": "risk difference", "group_effects": LEFT_OUT.value}


@settings(max_examples=25)
@given(
    intercept=st.floats(-20, 20),
    treatment=st.floats(-20, 20),
    slope=st.floats(-5, 5),
    interaction=st.floats(-5, 5),
    effects=st.sampled_from(GroupEffects),
)
def test_the_scales_agree_with_each_other(
    intercept: float, treatment: float, slope: float, interaction: float, effects: GroupEffects
) -> None:
    design = small_design(60)
    tree = posterior_of(
        {
            "b_intercept": np.full((1, 4), intercept),
            "b_trt": np.full((1, 4), treatment),
            "b_prognostic": np.full((1, 4, 5), slope),
            "b_interaction": np.full((1, 4, 3), interaction),
            "re": np.full((1, 4, 2), 0.5),
            "re_trt": np.full((1, 4, 2), -0.5),
        }
    )
    lor, rd, rr = (cate_draws(tree, design, scale=s, group_effects=effects).to_numpy() for s in EffectScale)
    p0 = baseline_risk_draws(tree, design, group_effects=effects).to_numpy()
    assert (np.abs(rd) <= 1).all()
    assert ((p0 >= 0) & (p0 <= 1)).all()
    assert (rr >= 0).all()
    # Same direction on every scale, up to the rounding of probabilities near 1.
    assert (lor[rd > 0] > 0).all()
    assert (lor[rd < 0] < 0).all()
    clear = p0 < 0.999  # nearer to 1, its logit is lost to rounding
    np.testing.assert_allclose((p0 + rd)[clear], expit(logit(p0[clear]) + lor[clear]), atol=1e-10)
    np.testing.assert_allclose(rr * p0, p0 + rd, atol=1e-12)


@pytest.mark.parametrize("scale", list(EffectScale))
@pytest.mark.parametrize("group_effects", list(GroupEffects))
@pytest.mark.parametrize("block", [1, 1700, 2**18])
def test_summaries_are_those_of_the_whole_matrix(
    posterior: xr.DataTree,
    design: TrialDesign,
    scale: EffectScale,
    group_effects: GroupEffects,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_BLOCK_NUMBERS", block)
    draws = cate_draws(posterior, design, scale=scale, group_effects=group_effects)
    found = cate(posterior, design, scale=scale, group_effects=group_effects, interval=0.9, threads=2)
    every = ("chain", "draw")
    np.testing.assert_allclose(found["mean"], draws.mean(every), rtol=1e-12)
    np.testing.assert_allclose(found["sd"], draws.std(every, ddof=1), rtol=1e-11)
    np.testing.assert_allclose(found["lower"], draws.quantile(0.05, every), rtol=1e-12)
    np.testing.assert_allclose(found["upper"], draws.quantile(0.95, every), rtol=1e-12)
    np.testing.assert_array_equal(found["p_harm"], (draws > (1.0 if scale is RR else 0.0)).mean(every))


def test_p_harm_counts_effects_that_raise_the_risk(posterior: xr.DataTree, design: TrialDesign) -> None:
    harm = [cate(posterior, design, scale=s, group_effects=INCLUDED)["p_harm"] for s in EffectScale]
    np.testing.assert_array_equal(harm[0], harm[1])
    np.testing.assert_array_equal(harm[0], harm[2])
    worse = posterior["posterior"].to_dataset()
    worse["b_trt"] = worse["b_trt"] + 50.0
    tree = xr.DataTree.from_dict({"posterior": worse})
    assert (cate(tree, design, scale=RD, group_effects=INCLUDED)["p_harm"] == 1.0).all()


def test_predicted_risk_is_the_mean_of_the_draws(posterior: xr.DataTree, design: TrialDesign) -> None:
    draws = baseline_risk_draws(posterior, design, group_effects=INCLUDED)
    found = predicted_risk(posterior, design, group_effects=INCLUDED)
    np.testing.assert_allclose(found, draws.mean(("chain", "draw")), rtol=1e-12)


@pytest.mark.parametrize("group_effects", list(GroupEffects))
@pytest.mark.parametrize("interval", [0.95, 0.5])
def test_one_pass_for_a_study_gives_the_same(
    posterior: xr.DataTree, design: TrialDesign, group_effects: GroupEffects, interval: float
) -> None:
    patients = design.apply(simulate_trial(333, 5))
    found = effect_summaries(posterior, patients, interval=interval, group_effects=group_effects)
    for scale, ours in ((LOR, found["log_odds_ratio"]), (RD, found["risk_difference"])):
        expected = cate(posterior, patients, scale=scale, group_effects=group_effects, interval=interval)
        for name in ("mean", "sd", "lower", "upper"):
            np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, atol=1e-6)
    risk = predicted_risk(posterior, patients, group_effects=group_effects)
    np.testing.assert_allclose(found["baseline_risk"]["mean"], risk, rtol=1e-5)
    average = cate_draws(posterior, patients, scale=RD, group_effects=group_effects).mean("patient").to_numpy().ravel()
    tails = np.quantile(average, [0.5 - interval / 2, 0.5 + interval / 2])
    of_ours = found["average_risk_difference"]
    np.testing.assert_allclose(
        [of_ours[name] for name in ("mean", "sd", "lower", "upper")],
        [average.mean(), average.std(ddof=1), *tails],
        rtol=1e-5,
    )
    assert np.shape(of_ours["mean"]) == ()


def test_the_number_of_threads_changes_nothing(posterior: xr.DataTree, design: TrialDesign) -> None:
    one, three = (cate(posterior, design, scale=RD, group_effects=INCLUDED, threads=threads) for threads in (1, 3))
    xr.testing.assert_identical(one, three)


def test_left_out_effects_have_no_influence(posterior: xr.DataTree, design: TrialDesign) -> None:
    other = posterior["posterior"].to_dataset()
    other["re"], other["re_trt"] = other["re"] + 1.0, other["re_trt"] - 2.0
    moved = xr.DataTree.from_dict({"posterior": other})
    for scale in EffectScale:
        before, after = (cate_draws(t, design, scale=scale, group_effects=LEFT_OUT) for t in (posterior, moved))
        xr.testing.assert_identical(before, after)
    before, after = (cate_draws(t, design, scale=LOR, group_effects=INCLUDED) for t in (posterior, moved))
    np.testing.assert_allclose(after - before, -2.0, atol=1e-12)


def test_labels_decide_and_not_positions(posterior: xr.DataTree, design: TrialDesign) -> None:
    shuffled = posterior["posterior"].to_dataset().isel(
        prognostic=[4, 2, 0, 1, 3], modifier=[2, 0, 1], group=[1, 0]
    )  # fmt: skip
    tree = xr.DataTree.from_dict({"posterior": shuffled.transpose("group", ..., "draw", "chain")})
    for scale in EffectScale:
        expected, found = (cate_draws(t, design, scale=scale, group_effects=INCLUDED) for t in (posterior, tree))
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_new_patients_stand_on_the_trials_scale(posterior: xr.DataTree, design: TrialDesign) -> None:
    trial = simulate_trial(n_subjects=300, seed=123)
    chosen = [250, 3, 77]
    new = design.apply(trial.iloc[chosen])
    whole = cate(posterior, design, scale=RD, group_effects=INCLUDED)
    some = cate(posterior, new, scale=RD, group_effects=INCLUDED)
    np.testing.assert_allclose(some["mean"], whole["mean"].isel(patient=chosen), rtol=1e-12)
    np.testing.assert_allclose(some["lower"], whole["lower"].isel(patient=chosen), rtol=1e-12)


def test_unknown_labels_are_refused(posterior: xr.DataTree, design: TrialDesign) -> None:
    other = posterior["posterior"].to_dataset().assign_coords(modifier=["age", "anticoag", "smoking"])
    with pytest.raises(ValueError, match=r"'b_interaction' has the modifier labels .*smoking"):
        cate_draws(xr.DataTree.from_dict({"posterior": other}), design, scale=LOR, group_effects=INCLUDED)


def test_covariates_on_another_scale_are_refused(posterior: xr.DataTree, design: TrialDesign) -> None:
    trial = simulate_trial(n_subjects=300, seed=123)
    in_days = PAPER_SPEC.design(trial).apply(trial.assign(age=trial["age"] * 365.25))
    with pytest.raises(ValueError, match="not on the scale the model was fitted on"):
        cate_draws(posterior, in_days, scale=RR, group_effects=INCLUDED)


@pytest.mark.parametrize("draws", [1, 2, 41, 1500, 1501, 4000])
@pytest.mark.parametrize("interval", [0.95, 0.5])
def test_intervals_are_r_s_quantiles_for_few_draws_and_for_many(draws: int, interval: float) -> None:
    values = np.random.default_rng(draws).normal(size=(7, draws))
    expected = np.quantile(values, [0.5 - interval / 2, 0.5 + interval / 2], axis=1)
    found = [_quantile_of(values, interval, end) for end in ("lower", "upper")]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def _quantile_of(values: np.ndarray, interval: float, end: str) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # one draw has no SD
        return _summaries(values.copy(), interval)[end]
