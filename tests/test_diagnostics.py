"""The labelled diagnostics: equal to coda on recorded chains, ArviZ's numbers in place, errors that name the chain."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hte_utils.model import coda
from hte_utils.model.diagnostics import (
    energy_diagnostics,
    gelman_rubin,
    modern_diagnostics,
    scalar_draws,
    summary_statistics,
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
    size = coda.effective_size(scalar_draws(chains_of(case)[0]).to_numpy())
    np.testing.assert_allclose(size, recorded(case, "effective_size")[0], **CODA)


@pytest.mark.parametrize("case", CASES)
def test_spectrum_is_codas(case: str) -> None:
    density, order = coda.spectrum_at_zero(scalar_draws(chains_of(case)[0]).to_numpy())
    np.testing.assert_allclose(density, recorded(case, "spectrum"), **CODA)
    np.testing.assert_array_equal(order, recorded(case, "order"))


@pytest.mark.parametrize("case", CASES)
def test_geweke_is_codas(case: str) -> None:
    posterior, _, thin = chains_of(case)
    ours = coda.geweke_z(scalar_draws(posterior).to_numpy(), thin=thin)
    np.testing.assert_allclose(ours, recorded(case, "geweke"), **CODA)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("autoburnin", [False, True])
def test_gelman_rubin_is_codas(case: str, autoburnin: bool) -> None:
    posterior, start, thin = chains_of(case)
    suffix = "_autoburnin" if autoburnin else ""
    draws = scalar_draws(posterior).to_numpy()
    kept = draws[..., coda.second_half(draws.shape[-1], start, thin)] if autoburnin else draws
    point, upper = coda.scale_reduction(kept)
    np.testing.assert_allclose(point, recorded(case, f"psrf{suffix}")[0], **CODA)
    np.testing.assert_allclose(upper, recorded(case, f"upper{suffix}")[0], **CODA)
    multivariate = coda.multivariate_scale_reduction(kept)
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
