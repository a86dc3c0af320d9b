"""Table 4 from the posterior: inside its tolerance for many seeds, outside it when the model is another one."""

import math
from dataclasses import replace

import pytest

from hte_utils import PAPER_SPEC, simulate_trial
from hte_utils.ledger import Verdict, record
from hte_utils.ledger.notebooks import Project, differences, entries_in
from hte_utils.model.analysis import BOOK_SETTINGS
from hte_utils.model.fit import fit
from hte_utils.model.listing_2 import Priors
from hte_utils.reproduction import tables_5_6 as paper_sampler
from hte_utils.reproduction.table_4 import table_4, table_4_beside_the_paper

SEEDS = range(1, 21)


@pytest.fixture(scope="module")
def time_series():
    runs = paper_sampler.recorded_runs(paper_sampler.JagsSampler.SLICE)
    return paper_sampler.time_series_se(paper_sampler.at_thinning(runs, paper_sampler.PAPER_THINNING))


@pytest.fixture(scope="module")
def recorded():
    entries = entries_in(Project.find().recording("03-model"))
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
    posterior = fit(PAPER_SPEC.design(simulate_trial()), settings=BOOK_SETTINGS)
    shown = table_4_beside_the_paper(posterior)
    assert len(shown) == 12
    assert shown["difference / error"].astype(float).abs().max() < 3
