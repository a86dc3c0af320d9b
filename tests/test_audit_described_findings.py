"""What chapter 8 shows of the described model: sigma_eta, patients' effects, and the comparison tables.

What the data say about sigma_eta is flat where nothing can be learned, and not flat where something can; effects are
held against closed forms and quadrature, tables against the functions that they are made of.
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from described_fits import paper_fit, paper_trial
from matplotlib.colors import to_hex
from paper_fits import paper_design, paper_posterior
from scipy import integrate, optimize, special, stats

from hte_utils.audit.described_findings import (
    GUARDED,
    OWN_SLOPES,
    compare_effects,
    correlation_without_chance,
    densities_to_profile,
    deviations_given_outcome,
    effects_by_age_figure,
    effects_by_risk,
    effects_by_subgroup,
    identification_figure,
    listing_effects,
    mean_effect_draws,
    mean_width,
    own_effect_draws,
    prior_and_posterior,
    profile_likelihood,
    slopes_by_sigma,
)
from hte_utils.audit.described_model import DescribedPriors, Reading
from hte_utils.effects.cate import EffectScale, GroupEffects, baseline_risk_draws, cate_draws
from hte_utils.effects.evaluation import evaluate_cate
from hte_utils.effects.strata import stratify_by_risk
from hte_utils.model.spec import PAPER_SPEC
from hte_utils.style import BLUE
from hte_utils.trial import EffectCoefficients, ListingCoefficients, simulate_trial, simulate_truth, trial_table
from hte_utils.trial.as_described import LOG_ODDS_EFFECTS, simulate_truth_as_described

TRUTH = simulate_truth(2000, 123)


@pytest.fixture(scope="module")
def profile():
    design, subgroups = paper_trial()
    return profile_likelihood(densities_to_profile(design, subgroups), (0.0, 1.0, 2.0, 3.0))


def test_one_outcome_a_patient_says_nothing_about_the_literal_sigma_eta(profile):
    assert (profile.loc[0.0] == 0).all()
    assert profile["literal"].abs().max() < 0.1
    assert profile[OWN_SLOPES].abs().max() < 0.2


def test_equal_slopes_in_both_arms_say_something_about_the_charitable_one(profile):
    charitable = profile["charitable"]
    assert (np.diff(charitable) < 0).all()
    assert -charitable.loc[3.0] > stats.chi2.ppf(0.95, 1) / 2


def test_the_profile_against_a_general_optimiser(profile):
    design, subgroups = paper_trial()
    density = densities_to_profile(design, subgroups)[Reading.CHARITABLE]

    def largest(sigma: float) -> float:
        return -optimize.minimize(
            lambda b: -density.log_likelihood(b[None], np.array([sigma]))[0], np.zeros(10), method="BFGS"
        ).fun

    assert largest(2.0) - largest(0.0) == pytest.approx(profile.loc[2.0, "charitable"], abs=1e-4)


def test_slopes_grow_by_the_known_factor():
    design, subgroups = paper_trial()
    table = slopes_by_sigma(densities_to_profile(design, subgroups)["literal"], (0.0, 1.0, 2.0))
    np.testing.assert_allclose(table.loc[0.0], 1.0)
    for label in ("age", "anticoag", "prior"):  # those that the trial knows well
        np.testing.assert_allclose(table[label], table["sqrt(1 + c²σ²)"], rtol=0.12)
    # Zeger, Liang and Albert's c² = 0.346.
    assert table["sqrt(1 + c²σ²)"].tolist() == pytest.approx([1.0, np.sqrt(1.346), np.sqrt(2.384)], abs=1e-3)


def test_the_own_slopes_leave_out_what_is_constant_in_subgroups():
    design, subgroups = paper_trial()
    layouts = densities_to_profile(design, subgroups)
    more = layouts[OWN_SLOPES].rows.shape[1] - layouts[Reading.CHARITABLE].rows.shape[1]
    assert more == len(design.prognostic_labels) - 1  # all but the anticoagulant
    assert np.linalg.matrix_rank(layouts[OWN_SLOPES].rows) == layouts[OWN_SLOPES].rows.shape[1]


def test_prior_and_posterior_quantiles():
    table = prior_and_posterior({"a": (DescribedPriors(individual_scale=2.0), paper_fit(Reading.LITERAL))})
    assert table.loc[("a", "prior"), "50 %"] == pytest.approx(2 * stats.halfnorm.ppf(0.5))
    draws = paper_fit(Reading.LITERAL)["posterior"]["sigma_eta"].to_numpy()
    assert table.loc[("a", "posterior"), "95 %"] == pytest.approx(np.quantile(draws, 0.95))


def test_the_literal_posterior_repeats_its_prior():
    draws = paper_fit(Reading.LITERAL)["posterior"]["sigma_eta"].to_numpy()
    assert draws.mean() == pytest.approx(stats.halfnorm.mean(), abs=0.12)
    assert np.median(draws) == pytest.approx(stats.halfnorm.median(), abs=0.1)


def test_the_literal_reading_has_one_effect_for_everybody():
    posterior = paper_fit(Reading.LITERAL)
    draws = mean_effect_draws(posterior, paper_trial()[1])
    assert float(np.ptp(draws.to_numpy(), axis=2).max()) == 0.0
    beta_1 = posterior["posterior"]["fixed"].sel(coefficient="treatment").to_numpy()
    np.testing.assert_array_equal(draws.isel(patient=7).to_numpy(), beta_1)


def test_the_charitable_reading_has_one_effect_a_subgroup():
    _, subgroups = paper_trial()
    posterior = paper_fit(Reading.CHARITABLE)
    draws = mean_effect_draws(posterior, subgroups)
    for patient in (0, 5, 1999):
        expected = posterior["posterior"]["sums"].isel(subgroup=int(subgroups.codes[patient]))
        np.testing.assert_array_equal(draws.isel(patient=patient), expected)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
@pytest.mark.parametrize(("m", "sigma"), [(-3.0, 1.5), (0.5, 0.7)])
def test_deviations_follow_their_conditional_law(m, sigma, outcome):
    n = 40_000
    rng = np.random.default_rng(1)
    drawn = deviations_given_outcome(np.full((n, 1), m), np.full((n, 1), sigma), np.array([outcome]), rng)[:, 0]

    def density(e: float) -> float:
        return stats.norm.pdf(e) * special.expit((2 * outcome - 1) * (m + sigma * e))

    total = integrate.quad(density, -10, 10)[0]
    grid = np.linspace(-6, 6, 601)
    cdf = integrate.cumulative_simpson([density(e) for e in grid], x=grid, initial=0) / total
    assert stats.kstest(drawn, lambda e: np.interp(e, grid, cdf)).pvalue > 1e-4


def test_own_effects_have_the_prior_s_scatter_where_nothing_was_seen():
    """Untreated patients: mean effect plus Normal(0, sigma_eta²), whatever the outcome."""
    design, subgroups = paper_trial()
    posterior = paper_fit(Reading.CHARITABLE)
    mean = mean_effect_draws(posterior, subgroups).to_numpy()
    own = own_effect_draws(posterior, design, subgroups, seed=3).to_numpy()
    sigma = posterior["posterior"]["sigma_eta"].to_numpy()[..., None]
    scores = (own - mean) / sigma
    control = scores[:, ::50, design.treatment == 0].ravel()
    assert stats.kstest(control, stats.norm.cdf).pvalue > 1e-4
    bled = scores[..., (design.treatment == 1) & (design.outcome == 1)]
    spared = scores[..., (design.treatment == 1) & (design.outcome == 0)]
    assert bled.mean() > 0.2  # who bled under treatment was probably harmed more than others
    assert -0.1 < spared.mean() < 0.0


def test_no_own_effects_under_the_literal_reading():
    with pytest.raises(ValueError, match="no treatment effect"):
        own_effect_draws(paper_fit(Reading.LITERAL), *paper_trial())


def test_subgroups_beside_the_truth():
    design, subgroups = paper_trial()
    table = effects_by_subgroup(paper_fit(Reading.CHARITABLE), design, subgroups, TRUTH.treatment_effect)
    assert table["patients"].sum() == 2000
    assert table["bleeds"].sum() == 113
    for k, label in enumerate(subgroups.categories):
        here = TRUTH.treatment_effect[subgroups.codes == k]
        assert table.loc[label, "true_mean"] == pytest.approx(here.mean())
        assert table.loc[label, "true_sd"] == pytest.approx(here.std(ddof=1))
        assert table.loc[label, "lower"] < table.loc[label, "mean"] < table.loc[label, "upper"]


def test_comparison_is_evaluate_cate_s():
    _, subgroups = paper_trial()
    draws = {str(reading): mean_effect_draws(paper_fit(reading), subgroups) for reading in Reading}
    found = compare_effects(draws, TRUTH)
    expected = evaluate_cate(draws["charitable"], TRUTH.treatment_effect)
    assert found.estimates.loc["charitable", "rmse"] == pytest.approx(expected.rmse.value, rel=1e-9)
    assert found.estimates.loc["literal", "spread"] == pytest.approx(0.0, abs=1e-12)
    assert found.shown().loc["literal", "correlation"] == "none"
    guarded = found.guarded("x", GUARDED)
    assert "x.literal.correlation" not in guarded  # undefined, and the ledger takes finite numbers only
    assert guarded["x.charitable.rmse"].value == pytest.approx(expected.rmse.value, rel=1e-9)


def test_widths_against_numpy():
    values = np.random.default_rng(1).standard_normal((2, 1001, 6))
    draws = xr.DataArray(values, dims=("chain", "draw", "patient"))
    found = mean_width(draws)
    lower, upper = np.quantile(values.reshape(-1, 6), (0.025, 0.975), axis=0)
    assert found == pytest.approx(np.mean(upper - lower), rel=0.01)


def test_listing_2_both_ways():
    found = listing_effects(paper_posterior(), paper_design())
    for label, which in zip(found, (GroupEffects.LEFT_OUT, GroupEffects.INCLUDED), strict=True):
        scale = EffectScale.LOG_ODDS_RATIO
        expected = cate_draws(paper_posterior(), paper_design(), scale=scale, group_effects=which)
        xr.testing.assert_identical(found[label], expected)


def test_quintiles_are_those_of_strata():
    posterior, design = paper_posterior(), paper_design()
    table = effects_by_risk(posterior, design, TRUTH)
    included = GroupEffects.INCLUDED
    strata = stratify_by_risk(
        baseline_risk_draws(posterior, design, group_effects=included),
        cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=included),
        n_replicates=2,
    )
    np.testing.assert_allclose(table["predicted"], strata.table["mean_te"])
    for number, quintile in enumerate(table.index, start=1):
        here = strata.group == number
        assert table.loc[quintile, "true"] == pytest.approx(TRUTH.treatment_effect[here].mean())
        assert table.loc[quintile, "true_points"] == pytest.approx(100 * TRUTH.risk_difference[here].mean())


def test_nobody_benefits_in_the_described_trial():
    for effects in ({}, {"effects": LOG_ODDS_EFFECTS}):
        assert (simulate_truth_as_described(5000, 1, **effects).risk_difference > 0).all()
    assert (TRUTH.risk_difference < 0).mean() > 0.5


def test_without_chance_a_true_form_is_found_exactly():
    """With effects of Listing 2's own form the correlation is 1; with those of Listing 1 nearly so."""
    linear = ListingCoefficients(effect=EffectCoefficients(obese=0.0, prior_bleeding=0.0))
    exact = simulate_truth(2000, 1, coefficients=linear)
    # Not 1.0 exactly: systolic pressure is missing from the form, and ages are rounded.
    assert correlation_without_chance(PAPER_SPEC.design(trial_table(exact)), exact) > 0.999
    assert 0.95 < correlation_without_chance(paper_design(), TRUTH) < 0.99
    described = simulate_truth_as_described(2000, 123)
    assert correlation_without_chance(PAPER_SPEC.design(trial_table(described)), described) < 0.5


@pytest.fixture
def no_screen():
    with mpl.rc_context({"backend": "agg"}):
        yield


@pytest.mark.usefixtures("no_screen")
def test_profile_and_densities():
    design, subgroups = paper_trial()
    profile = profile_likelihood(densities_to_profile(design, subgroups), (0.0, 1.0, 3.0))
    posteriors = {str(reading): paper_fit(reading) for reading in Reading}
    figure = identification_figure(profile, posteriors, DescribedPriors())
    likelihood, density = figure.axes
    lines = {line.get_label(): line for line in likelihood.lines}
    for label in profile:
        np.testing.assert_allclose(lines[label].get_ydata(orig=False), profile[label])
    for line in density.lines:  # reflected at zero, so nothing is lost: each curve holds one
        x, y = line.get_xdata(orig=False), line.get_ydata(orig=False)
        assert integrate.trapezoid(y, x) == pytest.approx(1.0, abs=0.02)
    assert len(density.lines) == 2


@pytest.mark.usefixtures("no_screen")
def test_steps_are_the_subgroup_means():
    described = mean_effect_draws(paper_fit(Reading.CHARITABLE), paper_trial()[1])
    listing = listing_effects(paper_posterior(), paper_design())["Listing 2, gender effects in"]
    trial, actual = simulate_trial(), simulate_truth().treatment_effect
    figure = effects_by_age_figure(trial, actual, described, listing)
    means = paper_fit(Reading.CHARITABLE)["posterior"]["sums"].mean(["chain", "draw"]).to_numpy()
    drawn = [
        line.get_ydata(orig=False)[0] for axis in figure.axes for line in axis.lines if to_hex(line.get_color()) == BLUE
    ]
    np.testing.assert_allclose(drawn, means[[0, 2, 1, 3]])  # without anticoagulant by age, then with
    assert sum(axis.lines[1].get_xdata(orig=False).size for axis in figure.axes) == 2000
    assert "more bleeds →" in figure.axes[0].get_ylabel()
