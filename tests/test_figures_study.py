"""Figures of the simulation study show the numbers that they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hte_utils.methods import METHODS
from hte_utils.study import figures, findings
from hte_utils.study.performance import SHOWN

NAMES = ["constant", "paper_corrected"]


def table(scenarios=("as-printed",), column="mean"):
    keys = pd.MultiIndex.from_product(
        [scenarios, NAMES, ["trial", "population"], list(SHOWN)],
        names=["scenario", "method", "population", "measure"],
    )
    values = np.random.default_rng(1).uniform(0.1, 0.9, len(keys))
    return pd.DataFrame({column: values, "mcse": 0.01, "n": 9}, index=keys)


def points(axis):
    """The points with error bars, a list for each series."""
    return [container.lines[0].get_xydata() for container in axis.containers]


def test_the_papers_value_is_a_line_in_each_histogram():
    rng = np.random.default_rng(2)
    trials = {
        label: pd.DataFrame({measure: rng.uniform(0, 1, 50) for measure in findings.TABLE_7.values()})
        for label in ("one way", "the other")
    }
    place = pd.DataFrame({"paper": [0.784, 0.529, 0.413, 0.998], "percentile": 25.0}, index=list(findings.TABLE_7))
    figure = figures.paper_among_trials(trials, dict.fromkeys(trials, place))
    assert len(figure.axes) == 8
    for axis, value in zip(figure.axes, [*place["paper"], *place["paper"]], strict=True):
        assert axis.lines[0].get_xdata()[0] == value
        assert sum(bar.get_height() for bar in axis.patches) == 50  # none is left out
        assert "25 % of trials below" in axis.texts[0].get_text()


def test_performance_of_each_method_in_both_places():
    one = table().xs("as-printed", level="scenario")
    figure = figures.performance(one, list(SHOWN))
    for axis, measure in zip(figure.axes, SHOWN, strict=True):
        here = one.xs(measure, level="measure")["mean"].loc[NAMES]
        own, new = points(axis)
        np.testing.assert_allclose(own[:, 0], here.xs("trial", level="population"))
        np.testing.assert_allclose(new[:, 0], here.xs("population", level="population"))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [METHODS[name].label for name in NAMES]


def test_differences_are_of_new_patients():
    one = table(column="difference").xs("as-printed", level="scenario")
    figure = figures.differences(one, ["rd_rmse", "regret"], "the reference")
    here = one.xs("population", level="population").xs("regret", level="measure")["difference"]
    np.testing.assert_allclose(points(figure.axes[1])[0][:, 0], here.loc[NAMES])
    assert "minus the reference" in figure.get_supxlabel()


def test_scenarios_by_measure_and_group():
    groups = {"rates": {"event-rate-2": "2 %", "event-rate-20": "20 %"}, "kinds": {"no-effect": "none"}}
    new = table(("event-rate-2", "event-rate-20", "no-effect")).xs("population", level="population")
    new.loc[("no-effect", "constant", "rd_slope"), "mcse"] = 5.0
    figure = figures.scenarios(new, ["rd_rmse", "rd_slope"], groups, NAMES)
    assert len(figure.axes) == 4
    drawn = points(figure.axes[0])[0][:, 1]
    np.testing.assert_allclose(drawn, [new.loc[(s, "constant", "rd_rmse"), "mean"] for s in groups["rates"]])
    assert np.isnan(points(figure.axes[3])[0][0, 1])  # a slope that is hardly known is not drawn
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["2 %", "20 %"]


def test_every_scenario_has_its_place():
    from hte_utils.study.scenarios import SCENARIOS

    assert {name for group in figures.SCENARIO_GROUPS.values() for name in group} == set(SCENARIOS)


def test_zip_plots_show_who_misses():
    plot = findings.ZipPlot(
        np.array([-1.0, -1.0, 0.5]),
        np.array([1.0, 1.0, 9.0]),
        np.array([16.0, 50.0, 83.0]),
        np.array([True, True, False]),
    )
    figure = figures.zip_plots({"a": plot, "b": plot}, [2.0], "effects")
    holding, missing = figure.axes[0].collections[:2]
    assert len(holding.get_segments()) == 2
    ((start, end),) = missing.get_segments()
    assert start.tolist() == [0.5, 83.0]
    assert end[0] == 2.0  # cut at the edge
    assert "66.7 %" in figure.axes[0].get_title()


def test_what_it_buys_tells_how_many_events_there_are():
    names = [name for called in figures.SCENARIO_GROUPS.values() for name in called]
    one = table(scenarios=dict.fromkeys(names))
    gains = findings.gains(one)
    figure = figures.what_it_buys(gains, NAMES)
    assert len(figure.axes) == 4
    ticks = [text.get_text() for text in figure.axes[3].get_xticklabels()]
    assert ticks[2] == "2000\n111 events"
    drawn = points(figure.axes[3])[0]
    np.testing.assert_allclose(drawn[2, 1], gains.loc[("as-printed", "constant", "gain"), "mean"])
