"""Figures show what they say: the right data, labelled axes, the direction of effects; and leave nothing behind."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hte_utils import PAPER_SPEC, simulate_trial
from hte_utils.ledger.notebooks import Project, paper_ledger
from hte_utils.ledger.page import verdicts_by_item
from hte_utils.model.fit import fit
from hte_utils.model.listing_2 import table4_draws
from hte_utils.paper import entries_of, printed_number
from hte_utils.reproduction import figures_diagnostics as diagnostics
from hte_utils.reproduction import figures_trial as baseline_figures
from hte_utils.reproduction import figures_trial as data_generation
from hte_utils.reproduction import table_1 as baseline
from hte_utils.reproduction import tables_5_6 as paper_sampler
from hte_utils.style import canvas
from hte_utils.trial import simulate_truth


@pytest.fixture(scope="module")
def truth():
    return simulate_truth(2000, 123)


@pytest.fixture(scope="module")
def trial():
    return simulate_trial(2000, 123)


@pytest.fixture(scope="module")
def draws(trial):
    return table4_draws(fit(PAPER_SPEC.design(trial)))


def test_a_canvas_leaves_no_open_figure_and_no_changed_style():
    before = dict(plt.rcParams)
    with canvas(2) as drawn:
        assert len(drawn.axes) == 2
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_clamped_patients_stand_in_bars_of_their_own(truth):
    figure = data_generation.clamped_covariates(truth.covariates)
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert (truth.covariates.age == 25).sum() in heights
    assert sum(heights) == 2000


def test_the_ellipse_holds_95_percent_of_the_law():
    ellipse = data_generation._ellipse((0, 0), np.array([[200.0, 100.0], [100.0, 100.0]]))
    points = np.random.default_rng(1).multivariate_normal((0, 0), [[200, 100], [100, 100]], 20_000)
    inside = ellipse.get_path().contains_points(ellipse.get_patch_transform().inverted().transform(points))
    assert inside.mean() == pytest.approx(0.95, abs=0.006)


def test_true_effects_say_their_direction_and_mean(truth):
    figure = data_generation.true_effects(truth)
    for axis, values in zip(figure.axes, (truth.treatment_effect, 100 * truth.risk_difference), strict=True):
        assert "more bleeds →" in axis.get_xlabel()
        assert f"mean {values.mean():+.2f}" in axis.get_legend_handles_labels()[1]


def test_every_data_figure_has_labelled_axes(truth, trial):
    fitted = baseline.propensity(trial)
    differences = baseline.standardised_differences(baseline.table_one(trial))
    for figure in (
        data_generation.blood_pressure(truth.covariates),
        data_generation.event_risks(truth),
        baseline_figures.propensity_by_arm(fitted),
        baseline_figures.balance(differences, 1016, 984),
        baseline_figures.auc_by_chance(np.array([0.52, 0.54]), fitted.auc),
    ):
        assert all(axis.get_xlabel() for axis in figure.axes)


def test_balance_draws_absolute_sizes(trial):
    differences = baseline.standardised_differences(baseline.table_one(trial))
    figure = baseline_figures.balance(differences, 1016, 984)
    drawn = next(line for line in figure.axes[0].lines if line.get_marker() == "o").get_xdata()
    np.testing.assert_allclose(drawn, differences.abs())


@pytest.mark.parametrize("draw", [diagnostics.traces, diagnostics.densities])
def test_the_papers_mean_is_marked_in_every_panel(draw, draws):
    figure = draw(draws)
    for axis, name in zip(figure.axes, diagnostics.KEY_PARAMETERS, strict=True):
        mark = next(line for line in axis.lines if line.get_label() == "mean in Table 4")
        assert printed_number(f"table4.{name}.Mean") in (*mark.get_xdata(), *mark.get_ydata())


def test_rank_histograms_hold_every_draw(draws):
    figure = diagnostics.ranks(draws)
    for axis in figure.axes:
        for step in axis.patches[: draws.sizes["chain"]]:
            assert np.mean(step.get_data().values) == pytest.approx(1)


def test_the_geweke_figure_shows_all_scores_of_table_6():
    axis = diagnostics.geweke_scores().axes[0]
    shown = next(line for line in axis.lines if line.get_marker() == "o").get_ydata()
    assert sorted(shown) == sorted(abs(float(entry.printed)) for entry in entries_of("Table 6"))


def test_the_settings_figure_and_the_runs_figure_show_the_paper():
    figure = diagnostics.sampler_settings(paper_sampler.compare_settings())
    assert figure.axes[0].get_yscale() == "log"
    runs = paper_sampler.at_thinning(paper_sampler.recorded_runs(paper_sampler.JagsSampler.SLICE), 10)
    panels = diagnostics.paper_among_runs(runs).axes
    assert [panel.lines[0].get_xdata()[0] for panel in panels] == [1.049, 1.158, 3.168]


def test_the_front_page_counts_every_number_once():
    entries = paper_ledger(Project.find())
    axis = verdicts_by_item(entries).axes[0]
    assert sum(bar.get_width() for bar in axis.patches) == len(entries)
    assert len(axis.get_legend().get_texts()) == len({entry.verdict for entry in entries})
