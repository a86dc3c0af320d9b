"""Table 4 from the posterior: inside its tolerance for many seeds, outside it when the model is another one."""

import math
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior
from paper_fits import paper_design, paper_posterior

from hte_utils import PAPER_SPEC, simulate_trial
from hte_utils.ledger import Verdict, record
from hte_utils.ledger.notebooks import Project, entries_of_notebook, read_recording
from hte_utils.ledger.replay import differences
from hte_utils.model.fit import IndependenceSettings, fit
from hte_utils.model.listing_2 import Priors, table4_draws
from hte_utils.model.store import BOOK_SETTINGS
from hte_utils.paper import printed_number
from hte_utils.reproduction.table_4 import (
    at_table_4_margins,
    cate_of_table_4,
    match_margins,
    printed_effective_size,
    table_4,
    table_4_beside_the_paper,
)
from hte_utils.reproduction.tables_5_6 import recorded_runs, time_series_se

SEEDS = range(1, 21)


@pytest.fixture(scope="module")
def time_series():
    return time_series_se(recorded_runs())


@pytest.fixture(scope="module")
def recorded():
    entries = entries_of_notebook(read_recording(Project.find().recording("03-model")))
    return [entry for entry in entries if entry.item == "Table 4"]


def report(time_series, trial=None, priors=None, seed=BOOK_SETTINGS.seed, spec=PAPER_SPEC):
    trial = simulate_trial() if trial is None else trial
    posterior = fit(spec.design(trial), priors=priors, settings=replace(BOOK_SETTINGS, seed=seed))
    return record("Table 4", table_4(posterior, time_series))


def test_the_recorded_table_is_reproduced(recorded):
    """The time-series SEs choose the sampler's setting, so they are consistent with such runs and confirm nothing."""
    assert len(recorded) == 60
    time_series = [entry for entry in recorded if entry.id.endswith("Time.series.SE")]
    assert {entry.verdict for entry in time_series} == {Verdict.CONSISTENT}
    assert {entry.verdict for entry in recorded if entry not in time_series} == {Verdict.WITHIN_ERROR}


@pytest.mark.slow
def test_no_false_alarm_for_twenty_other_seeds(time_series, recorded):
    alarms = {seed: differences(report(time_series, seed=seed).entries, recorded) for seed in SEEDS}
    assert {seed: texts for seed, texts in alarms.items() if texts} == {}


def alarms_of(fresh, recorded):
    return {text.partition(":")[0] for text in differences(fresh.entries, recorded)}


def test_another_prior_is_noticed(time_series, recorded):
    alarms = alarms_of(report(time_series, priors=Priors(fixed_sd=2.0)), recorded)
    assert {"table4.b_intercept.Mean", "table4.b_intercept.SD", "table4.b_trt_diabetes.SD"} <= alarms


def test_swapped_gender_labels_are_noticed(time_series, recorded):
    trial = simulate_trial()
    swapped = trial.assign(gender=trial["gender"].cat.rename_categories({"Male": "Female", "Female": "Male"}))
    swapped["gender"] = swapped["gender"].cat.reorder_categories(["Male", "Female"])
    alarms = alarms_of(report(time_series, trial=swapped), recorded)
    assert {"table4.te_gender[1].Mean", "table4.te_gender[2].Mean"} <= alarms


def test_a_dropped_interaction_cannot_pass(time_series):
    without = replace(PAPER_SPEC, modifiers=PAPER_SPEC.modifiers[:2])
    with pytest.raises(ValueError, match=r"no value for \['table4.b_trt_diabetes"):
        report(time_series, spec=without)


def test_unstandardised_age_is_noticed(time_series, recorded):
    raw = tuple(replace(c, standardise=False) if c.label == "age" else c for c in PAPER_SPEC.prognostic)
    alarms = alarms_of(report(time_series, spec=replace(PAPER_SPEC, prognostic=raw)), recorded)
    assert {"table4.b_age.Mean", "table4.b_age.SD"} <= alarms


def test_prob_and_naive_error_follow_from_mean_and_sd(recorded):
    values = {entry.id: entry for entry in recorded}
    for name in ("b_intercept", "b_trt_age"):
        mean, sd = (float(values[f"table4.{name}.{what}"].printed) for what in ("Mean", "SD"))
        assert values[f"table4.{name}.prob"].reproduced == pytest.approx(1 / (1 + math.exp(-mean)))
        assert values[f"table4.{name}.Naive.SE"].reproduced == pytest.approx(sd / math.sqrt(3000))


def test_the_table_beside_the_papers_shows_small_differences():
    shown = table_4_beside_the_paper(paper_posterior(BOOK_SETTINGS))
    assert len(shown) == 12
    assert shown["difference / error"].astype(float).abs().max() < 3


def test_effective_sizes_come_from_table_4():
    # (SD / time-series SE)^2 with the SE as large as its rounding allows: 0.592 / 0.0285 and 0.968 / 0.0915.
    assert printed_effective_size("b_trt") == pytest.approx(431.5, abs=0.1)
    assert printed_effective_size("b_trt", "b_intercept") == pytest.approx(111.9, abs=0.1)


def test_the_effects_of_table_4_are_the_sums_of_its_means():
    design = paper_design()
    interactions = design.modifiers @ [0.337, 0.635, 0.255]  # age, anticoagulants, diabetes
    np.testing.assert_allclose(cate_of_table_4(design, gender_effects=False), -0.105 + interactions)
    te_gender = np.where(design.group == 0, -0.002, -0.393)
    np.testing.assert_allclose(cate_of_table_4(design, gender_effects=True), te_gender + interactions)
    changed = cate_of_table_4(design, gender_effects=False, instead={"diabetes": -0.5})
    np.testing.assert_allclose(changed, -0.105 + design.modifiers @ [0.337, 0.635, -0.5])


def test_matched_margins_are_those_asked_for_and_the_rest_stays():
    posterior = random_posterior(1)
    matched = match_margins(posterior, {("b_trt", None): (-0.105, 0.592), ("b_interaction", "age"): (0.337, 0.202)})
    matched, before = (tree["posterior"].to_dataset() for tree in (matched, posterior))
    for found, (mean, sd) in (
        (matched["b_trt"], (-0.105, 0.592)),
        (matched["b_interaction"].sel(modifier="age"), (0.337, 0.202)),
    ):
        assert float(found.mean()) == pytest.approx(mean)
        assert float(found.std(ddof=1)) == pytest.approx(sd)
    xr.testing.assert_identical(matched["b_prognostic"], before["b_prognostic"])
    xr.testing.assert_identical(matched["b_interaction"][..., 1:], before["b_interaction"][..., 1:])
    was, now = (
        np.corrcoef(d["b_trt"].to_numpy().ravel(), d["re"][..., 0].to_numpy().ravel()) for d in (before, matched)
    )
    np.testing.assert_allclose(now, was)


def test_at_the_margins_of_table_4_the_split_has_moved_and_not_the_sums():
    posterior = paper_posterior(IndependenceSettings(draws=500))
    matched = at_table_4_margins(posterior, paper_design())
    for name, draws in table4_draws(matched).items():
        assert float(draws.mean()) == pytest.approx(printed_number(f"table4.{name}.Mean"))
        assert float(draws.std(ddof=1)) == pytest.approx(printed_number(f"table4.{name}.SD"))
    before, after = (tree["posterior"].to_dataset() for tree in (posterior, matched))
    xr.testing.assert_allclose(after["b_intercept"] + after["re"], before["b_intercept"] + before["re"])
    xr.testing.assert_allclose((after["b_trt"] + after["re_trt"]).transpose(..., "group"), after["te_group"])
    for name in before:
        assert after[name].dims == before[name].dims
