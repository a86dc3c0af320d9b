"""The figures of chapters 4 to 6 draw the right numbers, and say which direction is harm."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from paper_fits import paper_design, paper_posterior

from hte_utils.effects.cate import (
    EffectScale,
    GroupEffects,
    baseline_risk_draws,
    cate,
    cate_draws,
)
from hte_utils.effects.evaluation import point_metrics
from hte_utils.effects.strata import RiskStrata, observed_by_stratum, stratify_by_risk
from hte_utils.model.fit import IndependenceSettings
from hte_utils.model.listing_2 import table4_draws
from hte_utils.paper import entries_of, printed_number
from hte_utils.reproduction import figures_posterior
from hte_utils.reproduction.tables_5_6 import compare_settings, recorded_runs
from hte_utils.style import VERMILION
from hte_utils.trial import simulate_truth

LABELS = {"left out": GroupEffects.LEFT_OUT, "in": GroupEffects.INCLUDED}
LOG_ODDS, POINTS = EffectScale.LOG_ODDS_RATIO, EffectScale.RISK_DIFFERENCE


@pytest.fixture(scope="module")
def posterior():
    return paper_posterior(IndependenceSettings(draws=500, chains=2))


@pytest.fixture(scope="module")
def actual():
    return simulate_truth(2000, 123).treatment_effect


@pytest.fixture(scope="module")
def summaries(posterior):
    return {
        label: cate(posterior, paper_design(), scale=LOG_ODDS, group_effects=effects)
        for label, effects in LABELS.items()
    }


@pytest.fixture(scope="module")
def predicted(summaries):
    return {label: summary["mean"].to_numpy() for label, summary in summaries.items()}


def strata_of(posterior, effects: GroupEffects, scale: EffectScale = LOG_ODDS) -> RiskStrata:
    design = paper_design()
    risk = baseline_risk_draws(posterior, design, group_effects=effects)
    return stratify_by_risk(risk, cate_draws(posterior, design, scale=scale, group_effects=effects), n_replicates=2)


@pytest.fixture(scope="module")
def strata(posterior):
    return {label: strata_of(posterior, effects) for label, effects in LABELS.items()}


@pytest.fixture(scope="module")
def observed(strata):
    return {label: observed_by_stratum(paper_design(), each) for label, each in strata.items()}


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_densities_name_their_means_and_the_direction(actual, predicted):
    figure = figures_posterior.effect_densities(actual, predicted)
    assert "more bleeds →" in figure.axes[0].get_xlabel()
    means = [f"mean {values.mean():+.2f}" for values in (actual, *predicted.values())]
    assert [text.rpartition(", ")[2] for text in legend_of(figure)] == means


def test_intervals_that_miss_are_drawn_as_such(actual, summaries):
    figure = figures_posterior.intervals(actual, summaries)
    order = np.argsort(actual, kind="stable")
    shown = order[np.linspace(0, 1999, figures_posterior.SHOWN_PATIENTS).astype(int)]
    for axis, summary in zip(figure.axes, summaries.values(), strict=True):
        lower, upper = (summary[name].to_numpy()[shown] for name in ("lower", "upper"))
        misses = int(np.sum((actual[shown] < lower) | (actual[shown] > upper)))
        holds, missing = axis.collections
        assert len(missing.get_segments()) == misses
        assert len(holds.get_segments()) == figures_posterior.SHOWN_PATIENTS - misses
        assert f"{float((summary['upper'] - summary['lower']).mean()):.2f}" in axis.get_title()
    assert "more bleeds →" in figure.axes[0].get_ylabel()


def test_the_calibration_line_is_the_regression_of_actual_on_predicted(actual, predicted):
    figure = figures_posterior.calibration(actual, predicted)
    for axis, values in zip(figure.axes, predicted.values(), strict=True):
        [line] = [line for line in axis.lines if to_hex(line.get_color()) == VERMILION]
        slope, intercept = np.polyfit(values, actual, 1)
        np.testing.assert_allclose(line.get_ydata(), intercept + slope * np.asarray(line.get_xdata()))
        assert f"slope {slope:.2f}, mean error {point_metrics(values, actual).bias:+.2f}" in axis.get_title()
        assert "Predicted" in axis.get_xlabel()
        assert "more bleeds →" in axis.get_xlabel()
    assert "Actual" in figure.axes[0].get_ylabel()


def test_predicted_risks_stand_beside_the_papers_and_the_observed(observed):
    figure = figures_posterior.predicted_and_observed_risk(observed)
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in figure.axes[0].lines}
    np.testing.assert_allclose(drawn["predicted, left out"], 100 * observed["left out"]["mean_risk"])
    paper = [100 * printed_number(f"table8.Q{k}.mean_risk") for k in range(1, 6)]
    np.testing.assert_allclose(drawn["mean_risk in Table 8"], paper)
    assert "mean_risk in Table 8" not in figure.axes[1].get_legend_handles_labels()[1]
    for axis, table in zip(figure.axes, observed.values(), strict=True):
        bars = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        for arm, column in (("control", "rate_control"), ("treatment", "rate_treated")):
            centres = np.asarray(bars[f"observed, {arm} arm"].lines[0].get_ydata(), dtype=float)
            np.testing.assert_allclose(centres, 100 * table[column])


def test_boxes_show_the_effects_of_each_quintile(actual, predicted, strata):
    figure = figures_posterior.effects_by_stratum(
        actual, {label: (strata[label], predicted[label]) for label in strata}
    )
    for axis, label in zip(figure.axes, strata, strict=True):
        medians = {round(float(np.mean(line.get_ydata())), 9) for line in axis.lines if len(line.get_ydata())}
        for values in (actual, predicted[label]):
            for number in range(1, 6):
                assert round(float(np.median(values[strata[label].group == number])), 9) in medians
        assert [tick.get_text() for tick in axis.get_xticklabels()] == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    assert "more bleeds →" in figure.axes[0].get_ylabel()


def test_risk_differences_are_in_points_and_say_the_direction(posterior, observed):
    differences = strata_of(posterior, GroupEffects.INCLUDED, POINTS)
    true = differences.table["mean_te"] + 0.01
    figure = figures_posterior.risk_differences_by_stratum(differences.table, observed["in"], true)
    [axis] = figure.axes
    bars = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    centres = bars["predicted, 95 % credible interval"].lines[0].get_ydata()
    np.testing.assert_allclose(centres, 100 * differences.table["mean_te"])
    np.testing.assert_allclose([segment[0][1] for segment in bars["true"].get_segments()], 100 * true)
    ends = bars["predicted, 95 % credible interval"].lines[2][0].get_segments()
    np.testing.assert_allclose([end[0][1] for end in ends], 100 * differences.table["average_lower"])
    assert "percentage points" in axis.get_ylabel()
    assert "more bleeds →" in axis.get_ylabel()


@pytest.mark.parametrize("draw", [figures_posterior.traces, figures_posterior.densities])
def test_the_papers_mean_is_marked_in_every_panel(draw, posterior):
    figure = draw(table4_draws(posterior))
    for axis, name in zip(figure.axes, figures_posterior.KEY_PARAMETERS, strict=True):
        mark = next(line for line in axis.lines if line.get_label() == "mean in Table 4")
        assert printed_number(f"table4.{name}.Mean") in (*mark.get_xdata(), *mark.get_ydata())


def test_rank_histograms_hold_every_draw(posterior):
    figure = figures_posterior.ranks(table4_draws(posterior))
    for axis in figure.axes:
        for step in axis.patches[: posterior["posterior"].sizes["chain"]]:
            assert np.mean(step.get_data().values) == pytest.approx(1)


def test_the_geweke_figure_shows_all_scores_of_table_6():
    axis = figures_posterior.geweke_scores().axes[0]
    shown = next(line for line in axis.lines if line.get_marker() == "o").get_ydata()
    assert sorted(shown) == sorted(abs(float(entry.printed)) for entry in entries_of("Table 6"))


def test_the_settings_figure_and_the_runs_figure_show_the_paper():
    figure = figures_posterior.sampler_settings(compare_settings())
    assert figure.axes[0].get_yscale() == "log"
    panels = figures_posterior.paper_among_runs(recorded_runs()).axes
    assert [panel.lines[0].get_xdata()[0] for panel in panels] == [1.049, 1.158, 3.168]
