"""The JAGS reference of Listing 2: long enough, consistent with itself, and the same from both of JAGS's samplers."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from hte_utils.reproduction.tables_5_6 import joint_distance

REFERENCE = Path(__file__).parent / "reference"
SAMPLERS = ["slice", "glm"]
QUANTITIES = [
    *("b_intercept", "b_trt", "b_age", "b_anticoag", "b_diabetes", "b_prior", "b_bmi"),
    *("b_trt_age", "b_trt_anticoag", "b_trt_diabetes", "te_gender[1]", "te_gender[2]"),
    *("re[1]", "re[2]", "re_trt[1]", "re_trt[2]", "tau_re", "tau_re_trt"),
]


def summary() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "jags_listing2_summary.csv", comment="#").set_index("parameter")


def thinned_draws() -> pd.DataFrame:
    return pd.read_csv(REFERENCE / "jags_listing2_draws.csv.gz", comment="#")


def runs(sampler: str) -> pd.DataFrame:
    return pd.read_csv(REFERENCE / f"jags_runs_{sampler}.csv.gz", comment="#")


def test_the_reference_is_long_enough() -> None:
    table = summary()
    assert list(table.index) == QUANTITIES
    assert (table["ess"] >= 10_000).all()
    assert (table["mcse_mean"] <= 0.01 * table["sd"]).all()
    assert (table["psrf"] < 1.001).all()


def test_the_thinned_draws_are_of_the_summary() -> None:
    draws, table = thinned_draws(), summary()
    assert len(draws) >= 1900
    # 16 draws' autocorrelation over 75 iterations is small, so that the draws count nearly as independent.
    error = (draws[QUANTITIES].mean() - table["mean"]) / (table["sd"] / np.sqrt(len(draws)))
    assert error.abs().max() < 4
    assert (draws[QUANTITIES].std() / table["sd"] - 1).abs().max() < 0.1
    below = (draws[QUANTITIES] < table["q5"]).mean()
    assert (below - 0.05).abs().max() < 4 * np.sqrt(0.05 * 0.95 / len(draws))


@pytest.mark.parametrize("group", [1, 2])
def test_te_gender_is_the_sum_of_listing_2(group: int) -> None:
    draws = thinned_draws()
    total = draws["b_trt"] + draws[f"re_trt[{group}]"]  # five significant digits
    np.testing.assert_allclose(draws[f"te_gender[{group}]"], total, atol=2e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_run_has_every_diagnostic(sampler: str) -> None:
    table = runs(sampler)
    assert (table.groupby(["thin", "run"])["parameter"].nunique() == 12).all()
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)
    assert (table["upper"] >= table["psrf"]).mean() > 0.99
    # A block holds each segment of each chain once, so that its runs are independent.
    assert (
        table.groupby(["thin", "block"])["run"].nunique()
        == table.groupby(["thin", "block"])["independent_runs"].first()
    ).all()


def test_the_slice_sampler_gives_the_posterior_of_the_glm_sampler() -> None:
    table, reference = runs("slice").query("thin == 1"), summary()
    # The runs of one block hold all draws: their mean has the runs' spread over the root of their number as its error.
    block = table.query("block == block.min()").groupby("parameter")
    independent = table["independent_runs"].iloc[0]
    spread = block["mean"].std() / np.sqrt(independent)
    reported = reference.loc[list(spread.index)]
    z = (block["mean"].mean() - reported["mean"]) / np.hypot(spread, reported["mcse_mean"])
    assert z.abs().max() < 4


def test_the_papers_standard_errors_fit_the_slice_sampler_thinned_about_tenfold() -> None:
    # Table 4's twelve time-series SEs against runs of 3 x 1000 draws: JAGS without glm, about every tenth draw kept.
    table4 = pd.read_csv(str(files("hte_utils.paper") / "table_4.csv")).query("column == 'Time.series.SE'")
    printed = table4.set_index("row")["printed"].astype(float)
    assert len(printed) == 12
    fits = []
    for sampler in SAMPLERS:
        for thin, rows in runs(sampler).groupby("thin"):
            simulated = rows.pivot_table(index="run", columns="parameter", values="ts_se")
            distance = joint_distance(printed, simulated, decimals=3)[0]
            if distance < chi2.ppf(0.99, 12):
                fits.append((sampler, thin))
    assert ("slice", 10) in fits
    assert set(fits) <= {("slice", 8), ("slice", 10)}


@pytest.mark.r("rjags")
def test_jags_still_draws_from_the_reference(tmp_path: Path) -> None:
    rscript = shutil.which("Rscript")
    assert rscript
    has_rjags = subprocess.run([rscript, "-e", "library(rjags)"], check=False, capture_output=True)
    if has_rjags.returncode:
        pytest.skip("R has no package rjags")
    script = (
        'source("jags_model.R"); run <- listing2_chains(1, n_adapt = 500, n_burnin = 500, n_draws = 1500, glm = TRUE);'
        "draws <- as.matrix(run$chains);"
        "table <- data.frame(parameter = colnames(draws), mean = colMeans(draws), ess = effectiveSize(run$chains));"
        'write.csv(table, commandArgs(TRUE)[1], row.names = FALSE); cat(run$samplers, "\\n")'
    )
    file = tmp_path / "short.csv"
    done = subprocess.run(
        [rscript, "-e", script, str(file)], cwd=REFERENCE, check=True, timeout=120, capture_output=True, text=True
    )
    assert "glm::" in done.stdout
    fresh, table = pd.read_csv(file).set_index("parameter"), summary()
    assert list(fresh.index) == QUANTITIES
    error = (fresh["mean"] - table["mean"]) / (table["sd"] / np.sqrt(fresh["ess"]))
    assert error.abs().max() < 5
