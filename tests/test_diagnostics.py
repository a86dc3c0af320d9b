"""The labelled diagnostics: equal to coda on recorded chains, ArviZ's numbers in place, errors by name."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from coda_more import effective_size, multivariate_scale_reduction, second_half
from hypothesis import given, settings
from hypothesis import strategies as st

from hte_utils.model.diagnostics import (
    energy_diagnostics,
    gelman_rubin,
    geweke_windows,
    geweke_z,
    is_constant,
    modern_diagnostics,
    scalar_draws,
    scale_reduction,
    spectrum_at_zero,
    summary_statistics,
    time_series_se,
)

REFERENCE = Path(__file__).parent / "reference"
CASES = ["ar", "ar_odd", "jags", "jags_late", "jags_thinned"]
CODA = {"rtol": 1e-6, "atol": 0.0}


@cache
def coda_values() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "coda_values.csv", comment="#")


@cache
def chains_of(case: str) -> tuple[xr.Dataset, int, int]:
    """The posterior of a case, the iteration number of its first draw, and its thinning."""
    settings = coda_values().query("case == @case").iloc[0]
    file = REFERENCE / f"coda_chains_{case.split('_')[0]}.csv.gz"
    table = pd.read_csv(file, comment="#")
    chains = [part.drop(columns="chain").head(settings["draws"]) for _, part in table.groupby("chain")]
    posterior = xr.Dataset(
        {name: (("chain", "draw"), np.stack([chain[name] for chain in chains])) for name in chains[0]},
        coords={"chain": [1, 2, 3]},
    )
    return posterior, int(settings["start"]), int(settings["thin"])


def recorded(case: str, statistic: str) -> pd.DataFrame:
    """What coda printed, parameters in the order of the chains' file; column 0 where chains are pooled."""
    rows = coda_values().query("case == @case and statistic == @statistic")
    assert len(rows), f"{statistic} was not recorded for {case}"
    table = rows.pivot_table(index="parameter", columns="chain", values="value", sort=False)
    return table if "all" in table.index else table.loc[list(chains_of(case)[0].data_vars)]


@pytest.mark.parametrize("case", CASES)
def test_summary_is_codas(case: str) -> None:
    ours = summary_statistics(chains_of(case)[0])
    assert list(ours.columns) == ["mean", "sd", "naive_se", "time_series_se"]
    for column in ours:
        np.testing.assert_allclose(ours[column], recorded(case, column)[0], **CODA, err_msg=column)
    size = effective_size(scalar_draws(chains_of(case)[0]).to_numpy())
    np.testing.assert_allclose(size, recorded(case, "effective_size")[0], **CODA)


@pytest.mark.parametrize("case", CASES)
def test_spectrum_is_codas(case: str) -> None:
    density, order = spectrum_at_zero(scalar_draws(chains_of(case)[0]).to_numpy())
    np.testing.assert_allclose(density, recorded(case, "spectrum"), **CODA)
    np.testing.assert_array_equal(order, recorded(case, "order"))


@pytest.mark.parametrize("case", CASES)
def test_geweke_is_codas(case: str) -> None:
    posterior, _, thin = chains_of(case)
    ours = geweke_z(scalar_draws(posterior).to_numpy(), thin=thin)
    np.testing.assert_allclose(ours, recorded(case, "geweke"), **CODA)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("autoburnin", [False, True])
def test_gelman_rubin_is_codas(case: str, autoburnin: bool) -> None:
    posterior, start, thin = chains_of(case)
    suffix = "_autoburnin" if autoburnin else ""
    draws = scalar_draws(posterior).to_numpy()
    kept = draws[..., second_half(draws.shape[-1], start, thin)] if autoburnin else draws
    point, upper = scale_reduction(kept)
    np.testing.assert_allclose(point, recorded(case, f"psrf{suffix}")[0], **CODA)
    np.testing.assert_allclose(upper, recorded(case, f"upper{suffix}")[0], **CODA)
    multivariate = multivariate_scale_reduction(kept)
    np.testing.assert_allclose(multivariate, recorded(case, f"multivariate{suffix}").iloc[0, 0], **CODA)


def test_factors_are_labelled() -> None:
    posterior = chains_of("ar")[0]
    table = gelman_rubin(posterior)
    assert list(table.index) == list(posterior.data_vars)
    np.testing.assert_allclose(table["upper"], recorded("ar", "upper")[0], **CODA)


@pytest.mark.r("coda")
def test_coda_still_prints_the_recorded_values(tmp_path: Path) -> None:
    fresh = tmp_path / "values.csv"
    rscript = shutil.which("Rscript")
    assert rscript
    subprocess.run([rscript, "--vanilla", "coda_values.R", str(fresh)], cwd=REFERENCE, check=True, timeout=120)
    rerun = pd.read_csv(fresh, comment="#")
    pd.testing.assert_frame_equal(rerun, coda_values(), rtol=1e-9)


# --- today's diagnostics -------------------------------------------------------------------------------------------


def small_posterior() -> xr.Dataset:
    generator = np.random.default_rng(11)
    return xr.Dataset(
        {
            "slope": (("chain", "draw"), generator.normal(size=(4, 250))),
            "effect": (("chain", "draw", "group"), generator.normal(size=(4, 250, 2)).cumsum(axis=1)),
        },
        coords={"group": ["Male", "Female"], "chain": [0, 1, 2, 3]},
    )


def test_modern_diagnostics_tell_a_good_chain_from_a_random_walk() -> None:
    table = modern_diagnostics(small_posterior())
    assert list(table.index) == ["slope", "effect[Male]", "effect[Female]"]
    assert list(table.columns) == ["r_hat", "ess_bulk", "ess_tail", "mcse_mean", "mcse_sd"]
    assert table.loc["slope", "r_hat"] < 1.02
    assert table.loc["slope", "ess_bulk"] == pytest.approx(1000, rel=0.3)
    assert table.loc["slope", "mcse_mean"] == pytest.approx(1 / np.sqrt(1000), rel=0.3)
    assert (table.loc[["effect[Male]", "effect[Female]"], "r_hat"] > 1.2).all()
    assert (table.loc[["effect[Male]", "effect[Female]"], "ess_bulk"] < 30).all()


def test_tail_ess_sees_what_bulk_ess_does_not() -> None:
    # Independent draws whose spread changes every 200 draws: the middle mixes, the tails come in turns.
    draws = np.random.default_rng(5).normal(size=(4, 1000)) * np.where(np.arange(1000) // 200 % 2, 4, 1)
    row = modern_diagnostics(xr.Dataset({"x": (("chain", "draw"), draws)})).loc["x"]
    assert row["ess_bulk"] > 2000
    assert row["ess_tail"] < 500


def test_mcse_of_the_sd_follows_its_normal_law() -> None:
    draws = 3 * np.random.default_rng(6).normal(size=(4, 1000))
    row = modern_diagnostics(xr.Dataset({"x": (("chain", "draw"), draws)})).loc["x"]
    assert row["mcse_sd"] == pytest.approx(3 / np.sqrt(2 * 4000), rel=0.15)
    assert row["mcse_mean"] == pytest.approx(3 / np.sqrt(4000), rel=0.15)


def test_split_r_hat_follows_its_formula() -> None:
    # For normal draws rank-normalising changes little: split R-hat by hand (Vehtari et al. 2021, eq. 1-4).
    chains = np.random.default_rng(2).normal(size=(4, 1000)) + np.array([[0.0], [0.1], [0.2], [0.4]])
    halves = chains.reshape(8, 500)
    within = halves.var(axis=1, ddof=1).mean()
    by_hand = np.sqrt((499 / 500 * within + halves.mean(axis=1).var(ddof=1)) / within)
    table = modern_diagnostics(xr.Dataset({"x": (("chain", "draw"), chains)}))
    assert table.loc["x", "r_hat"] == pytest.approx(by_hand, abs=0.002)


def test_energy_diagnostics_follow_their_formula() -> None:
    energy = np.random.default_rng(3).normal(size=(2, 500)).cumsum(axis=1)
    tree = xr.DataTree.from_dict(
        {"posterior": small_posterior(), "sample_stats": xr.Dataset({"energy": (("chain", "draw"), energy)})}
    )
    # Betancourt (2016): the mean squared step of the energy over its variance.
    by_hand = np.square(np.diff(energy)).sum(axis=1) / np.square(energy - energy.mean(axis=1, keepdims=True)).sum(
        axis=1
    )
    np.testing.assert_allclose(energy_diagnostics(tree)["e_bfmi"], by_hand, rtol=0.01)
    with pytest.raises(ValueError, match="Hamiltonian"):
        energy_diagnostics(xr.DataTree.from_dict({"posterior": small_posterior()}))


def test_the_error_of_e_bfmi_is_its_spread_over_chains() -> None:
    """A hundred chains of an autoregressive energy."""
    rng = np.random.default_rng(4)
    energy = rng.normal(size=(100, 1500))
    for draw in range(1, 1500):
        energy[:, draw] += 0.5 * energy[:, draw - 1]
    tree = xr.DataTree.from_dict({"sample_stats": xr.Dataset({"energy": (("chain", "draw"), energy)})})
    found = energy_diagnostics(tree)
    assert found["e_bfmi"].mean() == pytest.approx(2 * (1 - 0.5), rel=0.05)
    assert found["mcse"].mean() == pytest.approx(found["e_bfmi"].std(), rel=0.15)


# --- what is taken and what is refused -----------------------------------------------------------------------------


def test_a_tree_is_its_posterior_and_dims_may_come_in_any_order() -> None:
    posterior = small_posterior()
    expected = summary_statistics(posterior)
    tree = xr.DataTree.from_dict({"posterior": posterior})
    pd.testing.assert_frame_equal(summary_statistics(tree), expected)
    pd.testing.assert_frame_equal(summary_statistics(posterior.transpose("group", "draw", "chain")), expected)


def test_scalars_keep_their_draws() -> None:
    posterior = small_posterior()
    draws = scalar_draws(posterior)
    female = posterior["effect"].sel(group="Female").transpose("chain", "draw")
    np.testing.assert_array_equal(draws.sel(parameter="effect[Female]"), female)


def spoiled(chain: int, value: float) -> xr.Dataset:
    posterior = small_posterior()
    posterior["effect"][chain, 3, 1] = value
    return posterior


def stuck() -> xr.Dataset:
    posterior = small_posterior()
    posterior["slope"][2] = 0.7
    return posterior


@pytest.mark.parametrize(
    ("posterior", "message"),
    [
        (spoiled(1, np.nan), r"'effect\[Female\]', chain 1 holds NaN"),
        (spoiled(3, np.inf), r"'effect\[Female\]', chain 3 holds NaN or infinite"),
        (stuck(), "'slope', chain 2 does not vary"),
        (small_posterior().isel(draw=slice(9)), "4 chains of 9 draws"),
        (small_posterior().isel(chain=slice(0)), "0 chains"),
        (small_posterior().isel(draw=0), "'slope' has the dims .* not 'chain' and 'draw'"),
    ],
)
def test_unsound_posteriors_are_refused_by_name(posterior: xr.Dataset, message: str) -> None:
    for function in (summary_statistics, gelman_rubin, modern_diagnostics):
        with pytest.raises(ValueError, match=message):
            function(posterior)


def test_one_chain_has_no_scale_reduction() -> None:
    with pytest.raises(ValueError, match="two chains"):
        gelman_rubin(small_posterior().isel(chain=[0]))


# --- coda's statistics: closed forms, laws, invariances, errors -----------------------------------------------------


def noise(*shape: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize(
    ("draws", "first_iteration", "thin", "start"),
    # The first draw that coda 0.19.4 kept, found with chains that count their own draws.
    [
        (1000, 1, 1, 501),
        (101, 1, 1, 52),
        (999, 1, 1, 501),
        (1000, 1001, 1, 1),
        (1000, 501, 1, 251),
        (1000, 1005, 5, 401),
        (1000, 2005, 5, 301),
        (1000, 1010, 10, 451),
        (1000, 10, 10, 501),
        (1001, 4, 10, 501),
    ],
)
def test_second_half_is_codas(draws: int, first_iteration: int, thin: int, start: int) -> None:
    assert second_half(draws, first_iteration, thin) == slice(start - 1, draws)


def test_chains_of_one_law_have_a_factor_near_one() -> None:
    chains = noise(200, 4, 1000)
    point, limit = scale_reduction(chains)
    assert point.mean() == pytest.approx(1, abs=0.002)
    # Under one law the F quantile is what B/W exceeds in 2.5 % of the runs, so the limit lies above the point
    # mostly.
    assert (limit > point).mean() > 0.95


def test_chains_apart_have_the_factor_of_their_means() -> None:
    # Two long chains of unit variance with means 0 and 10: B/n = 50, V = 1 + 1.5 * 50, and all of V's own
    # variance is that of B, 2 (1.5 * 50)^2 at one degree of freedom. So d = 2 V^2 / (2 (1.5 * 50)^2).
    chains = noise(2, 20_000) + np.array([[0.0], [10.0]])
    total = 1 + 1.5 * 50
    freedom = total**2 / (1.5 * 50) ** 2
    expected = np.sqrt((freedom + 3) / (freedom + 1) * total)
    assert scale_reduction(chains)[0] == pytest.approx(expected, rel=0.01)


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(-1e3, 1e3), scale=st.floats(1e-3, 1e3))
def test_factors_know_no_units(seed: int, shift: float, scale: float) -> None:
    chains = noise(3, 3, 50, seed=seed)
    changed = shift + scale * chains
    for statistic in (lambda x: scale_reduction(x)[0], lambda x: scale_reduction(x)[1], multivariate_scale_reduction):
        assert statistic(changed) == pytest.approx(statistic(chains), rel=1e-7)


def test_multivariate_factor_is_the_same_in_any_basis_and_batch() -> None:
    runs = noise(5, 4, 3, 100)
    mixed = np.einsum("pq,rqcd->rpcd", noise(4, 4, seed=9), runs)
    together = multivariate_scale_reduction(runs)
    assert multivariate_scale_reduction(mixed) == pytest.approx(together, rel=1e-9)
    assert [float(multivariate_scale_reduction(run)) for run in runs] == pytest.approx(together, rel=1e-12)


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        (noise(1, 50), "not two chains"),
        (noise(50), "not two chains"),
        (np.ones((2, 50)), "all constant"),
        (np.tile(noise(50), (3, 1)), "are they copies"),
    ],
)
def test_chains_that_cannot_be_compared_are_refused(chains: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scale_reduction(chains)


def test_parameters_that_depend_on_each_other_are_refused() -> None:
    chains = noise(3, 3, 100)
    chains[2] = 2 * chains[0] - 0.1 * chains[1]
    with pytest.raises(ValueError, match="linear function of others"):
        multivariate_scale_reduction(chains)
    with pytest.raises(ValueError, match="two parameters"):
        multivariate_scale_reduction(chains[0])


@pytest.mark.parametrize(
    ("draws", "thin", "early", "late"),
    # Found with coda 0.19.4 by trying which windows give the z that geweke.diag returned.
    [
        (400, 1, 41, 200),
        (401, 1, 41, 201),
        (399, 1, 41, 200),
        (1000, 1, 101, 500),
        (101, 1, 11, 51),
        (117, 3, 12, 59),
        (400, 10, 40, 201),
        (250, 5, 26, 126),
    ],
)
def test_windows_are_codas(draws: int, thin: int, early: int, late: int) -> None:
    assert geweke_windows(draws, thin=thin) == (slice(0, early), slice(late - 1, draws))


def test_z_is_nearly_standard_normal_for_independent_draws() -> None:
    z = geweke_z(np.random.default_rng(8).normal(size=(4000, 1000)))
    assert z.mean() == pytest.approx(0, abs=4 / np.sqrt(4000))
    assert z.std() == pytest.approx(1, abs=0.1)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shift=st.floats(-100, 100),
    scale=st.floats(1e-3, 1e3),
    sign=st.sampled_from([-1, 1]),
)
def test_z_knows_no_units(seed: int, shift: float, scale: float, sign: int) -> None:
    series = np.random.default_rng(seed).normal(size=300)
    assert geweke_z(shift + sign * scale * series) == pytest.approx(sign * geweke_z(series), rel=1e-6, abs=1e-8)


def test_a_shift_between_the_windows_shows() -> None:
    series = np.random.default_rng(2).normal(size=1000)
    series[:100] += 1
    assert geweke_z(series) > 5


def test_a_series_that_does_not_vary_is_refused() -> None:
    with pytest.raises(ValueError, match=r"index \(1,\) does not vary"):
        geweke_z(np.stack([np.random.default_rng(1).normal(size=300), np.full(300, 2.0)]))


def autoregressive(phi: float, shape: tuple[int, ...], seed: int = 5) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    series = np.empty(shape)
    series[..., 0] = noise[..., 0] / np.sqrt(1 - phi**2)
    for draw in range(1, shape[-1]):
        series[..., draw] = phi * series[..., draw - 1] + noise[..., draw]
    return series


@pytest.mark.parametrize("phi", [-0.5, 0.0, 0.5, 0.9])
def test_ar1_density_is_near_its_closed_form(phi: float) -> None:
    # 200 series of 4000 draws: the mean estimate has a standard error below 1 %, and a bias of order 1/n.
    density = spectrum_at_zero(autoregressive(phi, (200, 4000)))[0]
    assert density.mean() == pytest.approx(1 / (1 - phi) ** 2, rel=0.05)


def test_ar1_effective_size_is_near_its_closed_form() -> None:
    size = effective_size(autoregressive(0.8, (100, 3, 4000)))
    assert size.mean() == pytest.approx(3 * 4000 * (1 - 0.8) / (1 + 0.8), rel=0.05)


def test_time_series_se_is_the_spread_of_the_mean() -> None:
    runs = autoregressive(0.7, (2000, 3, 500))
    spread = runs.mean(axis=(-2, -1)).std(ddof=1)  # its own relative standard error is 1.6 %
    assert np.sqrt(np.square(time_series_se(runs)).mean()) == pytest.approx(spread, rel=0.07)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    draws=st.integers(15, 300),
    shift=st.floats(-1e3, 1e3),
    scale=st.floats(1e-3, 1e3),
)
def test_units_only_scale_the_density(seed: int, draws: int, shift: float, scale: float) -> None:
    series = np.random.default_rng(seed).normal(size=draws)
    plain, changed = spectrum_at_zero(series), spectrum_at_zero(shift + scale * series)
    assert changed[1] == plain[1]
    assert changed[0] == pytest.approx(scale**2 * plain[0], rel=1e-6)


def test_a_batch_equals_its_series_one_by_one() -> None:
    batch = autoregressive(0.6, (3, 4, 120))
    density, order = spectrum_at_zero(batch)
    for place in np.ndindex(3, 4):
        alone = spectrum_at_zero(batch[place])
        assert density[place] == pytest.approx(alone[0], rel=1e-12)
        assert order[place] == alone[1]


@pytest.mark.parametrize("series", [np.full(50, 0.1), np.arange(50) * 0.3 + 7, np.full(50, -3e9)])
def test_constants_and_straight_lines_have_density_zero_as_in_coda(series: np.ndarray) -> None:
    density, order = spectrum_at_zero(series)
    assert (density, order) == (0, 0)
    assert effective_size(series[np.newaxis]) == 0


def test_a_small_spread_about_a_large_value_is_no_constant() -> None:
    noise = np.random.default_rng(1).normal(size=200)
    series = 1e6 + 1e-3 * noise
    assert not is_constant(series)
    assert spectrum_at_zero(series)[0] == pytest.approx(1e-6 * spectrum_at_zero(noise)[0], rel=1e-4)
