from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr
from hand_made_posteriors import random_posterior, small_design
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from hte_utils.effects.cate import EffectScale, GroupEffects, cate_draws
from hte_utils.effects.evaluation import evaluate_cate, point_metrics

N_PATIENTS = 80


def draws_and_truth(seed: int, shift: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=N_PATIENTS)
    centre = 0.7 * truth + 0.3 * rng.normal(size=N_PATIENTS) + shift
    return centre + 0.4 * rng.normal(size=(4, 250, N_PATIENTS)), truth


def test_values_are_those_of_scipy_and_sklearn() -> None:
    draws, truth = draws_and_truth(1)
    found = evaluate_cate(draws, truth, interval=0.9)
    predicted = draws.mean(axis=(0, 1))
    line = stats.linregress(predicted, truth)
    assert found.correlation.value == pytest.approx(stats.pearsonr(predicted, truth).statistic)
    assert found.rmse.value == pytest.approx(root_mean_squared_error(truth, predicted))
    assert found.mae.value == pytest.approx(mean_absolute_error(truth, predicted))
    assert found.calibration_slope.value == pytest.approx(line.slope)
    assert found.calibration_intercept.value == pytest.approx(line.intercept)
    lower, upper = np.quantile(draws.reshape(-1, N_PATIENTS), [0.05, 0.95], axis=0)
    assert found.coverage.value == np.mean((lower <= truth) & (truth <= upper))
    assert 0.0 < found.coverage.value < 1.0


def test_a_hand_made_case() -> None:
    # Errors 1, 1, 1, 5: bias 2, mean square 7, so that 4/7 of the squared error is bias.
    found = point_metrics([1.0, 2.0, 3.0, 8.0], [0.0, 1.0, 2.0, 3.0])
    assert found.bias == pytest.approx(2.0)
    assert found.mae == pytest.approx(2.0)
    assert found.rmse == pytest.approx(math.sqrt(7.0))
    assert found.bias_share == pytest.approx(4.0 / 7.0)


def test_overstated_harm_is_a_positive_bias() -> None:
    draws, truth = draws_and_truth(2)
    more_harm = evaluate_cate(draws + 1.0, truth).bias.value - evaluate_cate(draws, truth).bias.value
    assert more_harm == pytest.approx(1.0)


def test_flipping_the_sign_of_the_effect_turns_the_correlation() -> None:
    draws, truth = draws_and_truth(2)
    assert evaluate_cate(draws, truth).correlation.value > 0.5
    assert evaluate_cate(-draws, truth).correlation.value < -0.5


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.1, 10.0))
def test_order_of_patients_and_unit_do_not_matter(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    predicted, truth = rng.normal(size=(2, 20))
    order = rng.permutation(20)
    found, shuffled = point_metrics(predicted, truth), point_metrics(predicted[order], truth[order])
    assert shuffled._asdict() == pytest.approx(found._asdict())
    scaled = point_metrics(scale * predicted, scale * truth)
    assert scaled.correlation == pytest.approx(found.correlation)
    assert scaled.calibration_slope == pytest.approx(found.calibration_slope)
    assert scaled.bias_share == pytest.approx(found.bias_share)
    assert scaled.rmse == pytest.approx(scale * found.rmse)
    # The squared error is squared bias plus variance of the errors.
    assert found.rmse**2 == pytest.approx(found.bias**2 + np.var(predicted - truth))


def test_coverage_counts_the_ends_and_all_or_nothing() -> None:
    draws = np.tile(np.linspace(0.0, 1.0, 41)[None, :, None], (1, 1, 3))
    assert evaluate_cate(draws, [0.25, 0.5, 0.75], interval=0.5).coverage.value == 1.0
    assert evaluate_cate(draws, [0.249, 0.5, 0.751], interval=0.5).coverage.value == pytest.approx(1 / 3)


def test_what_is_undefined_is_nan_and_not_an_accident() -> None:
    same = point_metrics([0.1, 0.1, 0.1], [0.0, 1.0, 2.0])
    assert math.isnan(same.correlation)
    assert math.isnan(same.calibration_slope)
    assert same.bias == pytest.approx(-0.9)
    perfect = point_metrics([0.0, 1.0], [0.0, 1.0])
    assert math.isnan(perfect.bias_share)
    assert perfect.correlation == pytest.approx(1.0)


def test_mcse_of_the_bias_is_the_analytic_one() -> None:
    # One common error for all patients: the MCSE of the bias is its posterior SD over the root of the draws.
    rng = np.random.default_rng(3)
    truth = rng.normal(size=N_PATIENTS)
    draws = truth + 0.5 * rng.standard_normal((4, 1000, 1))
    found = evaluate_cate(draws, truth, n_replicates=4000)
    # About 11 % error of its own from 40 batches.
    assert found.bias.mcse == pytest.approx(0.5 / math.sqrt(4000), rel=0.3)
    # A common shift changes neither correlation nor slope.
    assert found.correlation.mcse < 1e-12
    assert found.calibration_slope.mcse < 1e-12


def test_mcse_is_the_spread_over_independent_runs() -> None:
    design = small_design(100)
    truth = cate_draws(
        random_posterior(99), design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=GroupEffects.INCLUDED
    )[0, 0].to_numpy()
    runs = []
    for seed in range(50):
        posterior = random_posterior(seed, n_chains=2, n_draws=500, autocorrelation=0.5)
        draws = cate_draws(posterior, design, scale=EffectScale.LOG_ODDS_RATIO, group_effects=GroupEffects.INCLUDED)
        runs.append(evaluate_cate(draws, truth, interval=0.5, n_replicates=100, seed=seed).metrics())
    for name in runs[0]:
        spread = np.std([run[name].value for run in runs], ddof=1)
        claimed = np.sqrt(np.mean([run[name].mcse ** 2 for run in runs]))
        # Fifty runs know their own spread to 10 %; batches of 25 draws miss a little of the autocorrelation.
        assert 0.75 < claimed / spread < 1.3, (name, claimed, spread)


def test_the_same_seed_gives_the_same_errors() -> None:
    draws, truth = draws_and_truth(4)
    assert evaluate_cate(draws, truth, seed=5) == evaluate_cate(draws, truth, seed=5)
    other = evaluate_cate(draws, truth, seed=6)
    assert other.rmse.mcse != evaluate_cate(draws, truth, seed=5).rmse.mcse
    assert other.rmse.value == evaluate_cate(draws, truth, seed=5).rmse.value


def test_metrics_by_name_begin_with_those_of_table_7() -> None:
    assert list(evaluate_cate(*draws_and_truth(4)).metrics())[:4] == ["correlation", "rmse", "mae", "coverage"]


class TestBadInput:
    def test_truth_of_other_length(self) -> None:
        draws, truth = draws_and_truth(1)
        with pytest.raises(ValueError, match=r"truth must have one value .*\(79,\) beside 80"):
            evaluate_cate(draws, truth[1:])

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_values_that_are_not_finite(self, bad: float) -> None:
        draws, truth = draws_and_truth(1)
        truth[7] = bad
        with pytest.raises(ValueError, match="truth is not finite for 1 patients, first at position 7"):
            evaluate_cate(draws, truth)
        with pytest.raises(ValueError, match="predicted is not finite"):
            point_metrics(truth, np.zeros(N_PATIENTS))

    def test_labelled_draws_in_another_order(self) -> None:
        draws, truth = draws_and_truth(1)
        with pytest.raises(ValueError, match=r"dims \(chain, draw, patient\)"):
            evaluate_cate(xr.DataArray(draws, dims=("draw", "chain", "patient")), truth)

    @pytest.mark.parametrize("bad", [0.0, 1.0, 95.0, float("nan")])
    def test_interval(self, bad: float) -> None:
        with pytest.raises(ValueError, match="interval must be a probability"):
            evaluate_cate(*draws_and_truth(1), interval=bad)

    @pytest.mark.parametrize(
        ("predicted", "truth"), [([[1.0, 2.0]], [1.0, 2.0]), (1.0, 2.0), ([], []), ([1.0], [1, 2])]
    )
    def test_shapes(self, predicted: object, truth: object) -> None:
        with pytest.raises(ValueError, match="one value for each patient"):
            point_metrics(predicted, truth)  # type: ignore[arg-type]
