"""Effects of single patients under the described model, against closed forms and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
from described_fits import paper_fit, paper_trial
from scipy import integrate, special, stats

from hte_utils.described.cate import deviations_given_outcome, mean_effect_draws, own_effect_draws
from hte_utils.described.model import Reading


def test_the_literal_reading_has_one_effect_for_everybody():
    posterior = paper_fit(Reading.LITERAL)
    draws = mean_effect_draws(posterior, *paper_trial())
    assert float(np.ptp(draws.to_numpy(), axis=2).max()) == 0.0
    beta_1 = posterior["posterior"]["fixed"].sel(coefficient="treatment").to_numpy()
    np.testing.assert_array_equal(draws.isel(patient=7).to_numpy(), beta_1)


def test_the_charitable_reading_has_one_effect_a_subgroup():
    design, subgroups = paper_trial()
    posterior = paper_fit(Reading.CHARITABLE)
    draws = mean_effect_draws(posterior, design, subgroups)
    for patient in (0, 5, 1999):
        expected = posterior["posterior"]["sums"].isel(subgroup=int(subgroups.index[patient]))
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
    mean = mean_effect_draws(posterior, design, subgroups).to_numpy()
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
