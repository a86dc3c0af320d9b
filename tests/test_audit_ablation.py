"""The ablation table: its first row is Tables 7 and 8, each row undoes one choice, and the numbers hold."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from hte_utils.audit.ablation import ANALYSES, QUINTILE_COLUMNS, ablation_figure, ablation_table
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.model.candidates import ALL_MODIFIERS_MODEL
from hte_utils.model.fit import fit
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.paper import printed_number
from hte_utils.trial import simulate_truth, trial_table

AS_IN_PAPER, GENDER_IN = "as in the paper", "gender effects put back in"
TRUTH = simulate_truth(2000, 123)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTE_POSTERIOR_STORE", str(tmp_path_factory.mktemp("store")))
        return ablation_table(TRUTH)


@pytest.fixture(scope="module")
def paper_draws():
    """The paper's posterior, fitted with another seed."""
    design = PAPER_SPEC.design(trial_table(TRUTH))
    return design, fit(design)


def draws_of(paper_draws, which):
    design, posterior = paper_draws
    effects = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=which)
    return baseline_risk_draws(posterior, design, group_effects=which), effects


def test_the_first_row_is_tables_7_and_8(table):
    """All of Table 7 and the effects and risks of Table 8, within the Monte Carlo error of the paper's run."""
    row, error = table.estimates.loc[AS_IN_PAPER], table.mcse.loc[AS_IN_PAPER]
    for name in ("correlation", "rmse", "mae"):
        # The paper's b_trt is known from 450 effective draws, so its error is about three times ours.
        assert abs(row[name] - printed_number(f"table7.{name}")) < 10 * error[name], name
    assert row["coverage"] == pytest.approx(printed_number("table7.coverage"), abs=0.01)
    for name in QUINTILE_COLUMNS:
        printed = printed_number(f"table8.{name.removeprefix('effect_')}.mean_te")
        assert abs(row[name] - printed) < 10 * error[name], name
    risks = [printed_number(f"table8.Q{number}.mean_risk") for number in range(1, 6)]
    assert row["mean_risk"] == pytest.approx(np.mean(risks), abs=0.05)


@pytest.mark.parametrize(
    ("label", "which"),
    [("as in the paper", GroupEffects.LEFT_OUT), (GENDER_IN, GroupEffects.INCLUDED)],
)
def test_a_row_agrees_with_the_chapters_functions_on_another_fit(table, paper_draws, label, which):
    risks, effects = draws_of(paper_draws, which)
    row, error = table.estimates.loc[label], table.mcse.loc[label]
    for name, metric in evaluate_cate(effects, TRUTH.treatment_effect).metrics().items():
        if name in row.index:
            assert abs(row[name] - metric.value) < 4 * np.hypot(error[name], metric.mcse) + 0.002, name
    strata = stratify_by_risk(risks, effects)
    for name in QUINTILE_COLUMNS:
        quintile = name.removeprefix("effect_")
        mcse = np.hypot(error[name], strata.mcse.loc[quintile, "mean_te"])
        assert abs(row[name] - strata.table.loc[quintile, "mean_te"]) < 4 * mcse
    assert abs(row["mean_risk"] - strata.table["mean_risk"].mean()) < 5 * error["mean_risk"]


def test_each_choice_changes_one_thing():
    paper, which = ANALYSES[AS_IN_PAPER]
    changed = {
        label: {
            name
            for name, before, after in (
                ("prognostic", paper.spec.prognostic_labels, model.spec.prognostic_labels),
                ("modifiers", paper.spec.modifiers, model.spec.modifiers),
                ("priors", paper.priors, model.priors),
                ("gender effects", which, how),
            )
            if before != after
        }
        for label, (model, how) in ANALYSES.items()
    }
    assert list(changed.values())[:-1] == [
        set(),
        {"gender effects"},
        {"prognostic"},
        {"modifiers"},
        {"priors"},
        {"gender effects", "prognostic", "modifiers", "priors"},
    ]
    together, how = ANALYSES["all of these together"]
    assert how is GroupEffects.INCLUDED
    assert set(together.spec.prognostic_labels) - set(PAPER_SPEC.prognostic_labels) == {"sbp"}
    assert set(together.spec.modifiers) - set(PAPER_SPEC.modifiers) == {"bmi", "prior"}
    assert together.priors.intercept_mean < -2


def test_putting_the_gender_effects_in_mends_the_risk_and_nothing_else_alone_does(table):
    """Five per cent of the control arm bled; the paper's way says more than twenty."""
    rows = table.estimates
    ratio = rows["mean_risk"] / rows["observed_control_rate"]
    assert ratio["as in the paper"] > 4
    assert 0.8 < ratio[GENDER_IN] < 1.25
    assert ratio["systolic pressure added"] > 4
    assert 0.8 < ratio["all of these together"] < 1.25


def test_squared_error_and_observed_rate_by_hand(table):
    rows = table.estimates
    np.testing.assert_allclose(rows["bias_share"], rows["bias"] ** 2 / rows["rmse"] ** 2)
    control = TRUTH.treatment == 0
    assert rows.loc[AS_IN_PAPER, "observed_control_rate"] == pytest.approx(50 / 1016)
    assert control.sum() == 1016
    assert (table.mcse["observed_control_rate"] == 0).all()
    assert (table.mcse.drop(columns="observed_control_rate") > 0).sum().min() >= len(rows) - 2  # coverage may be all 1


def test_what_the_reader_sees_and_what_the_replay_holds(table):
    shown = table.shown()
    assert shown.index[-1] == "largest Monte Carlo error"
    assert shown.loc[AS_IN_PAPER, "RMSE"] == f"{table.estimates.loc[AS_IN_PAPER, 'rmse']:.2f}"
    assert shown.loc[AS_IN_PAPER, "Q1"].startswith("−")
    guarded = table.guarded("ablation")
    certain = int((table.mcse["coverage"] == 0).sum())  # a coverage of 1 has an unknown error, and is left out
    assert len(guarded) == table.estimates.size - certain
    found = guarded["ablation.as_in_the_paper.rmse"]
    assert (found.value, found.mcse) == (table.estimates.loc[AS_IN_PAPER, "rmse"], table.mcse.loc[AS_IN_PAPER, "rmse"])


def test_changes_carry_their_error_and_their_word(table):
    changes = table.changes()
    assert len(changes) == len(table.estimates) - 1
    where = GENDER_IN
    gap = table.estimates.loc[where, "coverage"] - table.estimates.loc[AS_IN_PAPER, "coverage"]
    error = np.hypot(table.mcse.loc[where, "coverage"], table.mcse.loc[AS_IN_PAPER, "coverage"])
    assert changes.loc[where, "coverage"] == f"−{abs(gap):.3f} ± {error:.3f}"
    for name, column in (("correlation", "correlation"), ("rmse", "RMSE"), ("coverage", "coverage")):
        gaps = (table.estimates[name] - table.estimates[name].iloc[0]).abs().iloc[1:]
        errors = np.hypot(table.mcse[name], table.mcse[name].iloc[0]).iloc[1:]
        assert (changes[column].str.endswith("not told apart") == (gaps <= 2 * errors)).all()


def test_the_all_modifiers_model_is_said_to_be_the_worst_where_it_is(table):
    assert table.worst_in(ALL_MODIFIERS_MODEL.label) == "correlation, RMSE and coverage"
    assert table.worst_in("as in the paper") == "nothing"
    unsure = replace(table, mcse=table.mcse + 1)
    assert unsure.worst_in(ALL_MODIFIERS_MODEL.label) == "nothing"
    assert (table.rising(), unsure.rising()) == (len(ANALYSES), 0)


def test_the_figure_draws_the_table(table):
    with mpl.rc_context({"backend": "agg"}):
        figure = ablation_figure(table)
    correlation, error, risk, effect = figure.axes
    rows = table.estimates
    np.testing.assert_allclose(correlation.lines[0].get_xdata(orig=False), rows["correlation"])
    bars = np.array([bar.get_width() for bar in error.patches]).reshape(2, -1)
    np.testing.assert_allclose(bars.sum(axis=0), rows["rmse"] ** 2)
    np.testing.assert_allclose(bars[0], rows["bias"] ** 2)
    np.testing.assert_allclose(risk.lines[0].get_xdata(orig=False), 100 * rows["mean_risk"])
    points = {str(line.get_label()): line.get_xdata(orig=False) for line in effect.lines}
    for name in QUINTILE_COLUMNS:
        np.testing.assert_allclose(points[name.removeprefix("effect_")], rows[name])
    assert "more bleeds →" in effect.get_xlabel()
    assert [text.get_text() for text in correlation.get_yticklabels()] == rows.index.tolist()
