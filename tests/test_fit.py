"""Both samplers, both forms and JAGS give one posterior; settings, records and checks; what is refused."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from unittest import mock

import numpy as np
import nutpie
import pandas as pd
import pymc as pm
import pytest
import xarray as xr
from paper_fits import distances, paper_design, paper_posterior, summary

from hte_utils.model.fit import (
    FitCheck,
    FitRecord,
    FitWarning,
    Form,
    IndependenceSettings,
    NutsSettings,
    _somebody_watches,
    fit,
    library_versions,
    record_of,
    run_checks,
)
from hte_utils.model.listing_2 import Priors, listing2_draws
from hte_utils.model.sampler import pareto_k

INDEPENDENCE = IndependenceSettings(draws=5000, proposals_per_draw=2)
NUTS_SUMS = NutsSettings(draws=1000, chains=2)
NUTS_LISTING = NutsSettings(draws=1000, chains=2, form=Form.LISTING)
# 18 means and 18 SDs; a sound sampler passes 4.5 in one run of 4000 (two-sided normal tail, Bonferroni).
Z_LIMIT = 4.5


@pytest.fixture(scope="module", autouse=True)
def compile_once() -> Iterator[None]:
    """Compile each PyMC form once: it takes longer than all sampling, and is not what these tests look at."""
    compiled: dict[frozenset[str], object] = {}
    compiler = nutpie.compile_pymc_model

    def remembering(model: pm.Model) -> object:
        names = frozenset(variable.name for variable in model.free_RVs)
        if names not in compiled:
            compiled[names] = compiler(model)
        return compiled[names]

    with mock.patch("nutpie.compile_pymc_model", remembering):
        yield


def jags() -> dict[str, dict[str, float]]:
    """What JAGS 4.3.1 found for Listing 2: 150 000 draws, recorded with the script that made them."""
    path = Path(__file__).parent / "reference" / "jags_listing2_summary.csv"
    table = pd.read_csv(path, comment="#").set_index("parameter").sort_index()
    return {
        str(name): {
            "mean": row["mean"],
            "sd": row["sd"],
            "mcse_mean": row["mcse_mean"],
            # A normal sample's SD has the standard error SD / sqrt(2 n); tau's long tail makes it larger: 3 times.
            "mcse_sd": row["sd"] / np.sqrt(2 * row["ess"]) * (3 if str(name).startswith("tau") else 1),
        }
        for name, row in table.iterrows()
    }


@pytest.mark.parametrize("settings", [INDEPENDENCE, NUTS_SUMS, NUTS_LISTING], ids=["independence", "sums", "listing"])
def test_same_posterior_as_jags(settings: IndependenceSettings | NutsSettings) -> None:
    assert np.abs(distances(summary(paper_posterior(settings)), jags())).max() < Z_LIMIT


@pytest.mark.parametrize("settings", [NUTS_SUMS, NUTS_LISTING], ids=["sums", "listing"])
def test_same_posterior_as_each_other(settings: NutsSettings) -> None:
    found = distances(summary(paper_posterior(INDEPENDENCE)), summary(paper_posterior(settings)))
    assert np.abs(found).max() < Z_LIMIT


def test_another_prior_is_another_posterior() -> None:
    """The comparison above would notice a prior SD of 2 for 1."""
    other = fit(paper_design(), priors=Priors(fixed_sd=2.0), settings=INDEPENDENCE)
    assert np.abs(distances(summary(other), jags())).max() > 2 * Z_LIMIT


@pytest.mark.slow
def test_shrunk_interactions_by_two_samplers() -> None:
    """A funnel for the usual coordinates; the scale of the interactions is part of the posterior, and is checked."""
    priors = Priors(intercept_mean=-3.0, intercept_sd=1.0, interaction_scale=0.5)
    chain = fit(paper_design(), priors=priors, settings=IndependenceSettings(draws=2500))
    nuts = fit(paper_design(), priors=priors, settings=NutsSettings(draws=1500, target_accept=0.95), progress=False)
    assert record_of(chain).passed
    assert record_of(chain).priors["interaction_scale"] == 0.5
    assert set(chain["posterior"].data_vars) == set(nuts["posterior"].data_vars)
    assert len(summary(chain)) == 19
    assert np.abs(distances(summary(chain), summary(nuts))).max() < Z_LIMIT


def test_posterior_is_labelled() -> None:
    posterior = paper_posterior()["posterior"]
    assert posterior.sizes == {"chain": 4, "draw": 1000, "prognostic": 5, "modifier": 3, "group": 2}
    assert posterior["b_prognostic"].dims == ("chain", "draw", "prognostic")
    assert posterior["b_interaction"].dims == ("chain", "draw", "modifier")
    assert list(posterior["group"].values) == ["Male", "Female"]
    for name in ("re", "re_trt", "te_group"):
        assert posterior[name].dims == ("chain", "draw", "group")
    np.testing.assert_allclose(posterior["te_group"], posterior["b_trt"] + posterior["re_trt"], atol=1e-12)


def test_record_says_how_it_was_made() -> None:
    record = record_of(paper_posterior())
    assert record.sampler == "independence"
    assert record.settings == {"draws": 1000, "chains": 4, "proposals_per_draw": 5, "seed": 123}
    assert record.priors == asdict(Priors())
    assert record.seconds > 0
    assert record.passed
    names = {check.name for check in record.checks}
    assert names == {"R-hat", "bulk ESS", "tail ESS", "MCSE of the mean / SD", "Pareto k"}
    nuts = record_of(paper_posterior(NUTS_SUMS))
    assert nuts.settings["form"] == "sums"
    assert {"divergences", "E-BFMI"} <= {check.name for check in nuts.checks}
    assert nuts.passed


def short(seed: int = 1, cores: int | None = None, chains: int = 4) -> np.ndarray:
    settings = IndependenceSettings(draws=400, chains=chains, seed=seed, proposals_per_draw=4)
    return listing2_draws(fit(paper_design(), settings=settings, cores=cores)).to_dataarray().to_numpy()


def test_same_seed_same_draws_on_any_number_of_cores() -> None:
    np.testing.assert_array_equal(short(cores=1), short(cores=2))
    assert not np.array_equal(short(seed=1), short(seed=2))


def test_same_seed_same_draws_from_nuts() -> None:
    again = fit(paper_design(), settings=NUTS_SUMS, cores=1)
    assert again["posterior"].equals(paper_posterior(NUTS_SUMS)["posterior"])


def test_a_failing_fit_says_so() -> None:
    with pytest.warns(FitWarning, match=r"must not be reported: .*bulk ESS .*FAILED"):
        posterior = fit(paper_design(), settings=IndependenceSettings(draws=20))
    assert not record_of(posterior).passed
    assert "bulk ESS" in {check.name for check in record_of(posterior).failures}


def test_progress_only_when_a_person_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert not _somebody_watches()
    monkeypatch.setenv("JPY_SESSION_NAME", "book/03-model.md")
    assert _somebody_watches()
    monkeypatch.delenv("JPY_SESSION_NAME")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert _somebody_watches()


def test_a_table_is_no_design() -> None:
    with pytest.raises(TypeError, match=r"TrialDesign, not DataFrame: call spec.design"):
        fit(pd.DataFrame())  # type: ignore[arg-type]


def changed(**variables: xr.DataArray) -> xr.DataTree:
    """The paper's posterior with some variables replaced."""
    tree = paper_posterior()
    posterior = tree["posterior"].to_dataset().assign(variables)
    return xr.DataTree.from_dict({"posterior": posterior, "sample_stats": tree["sample_stats"].to_dataset()})


def failed(tree: xr.DataTree) -> dict[str, FitCheck]:
    return {check.name: check for check in run_checks(tree) if not check.passed}


def test_a_good_posterior_passes() -> None:
    assert failed(paper_posterior()) == {}


def test_a_shifted_chain_fails_r_hat_and_ess() -> None:
    b_trt = paper_posterior()["posterior"]["b_trt"]
    bad = failed(changed(b_trt=b_trt + 3.0 * (b_trt["chain"] == 0)))
    assert {"R-hat", "bulk ESS"} <= bad.keys()
    assert bad["R-hat"].parameter == "b_trt"
    assert "FAILED" in str(bad["R-hat"])


def test_a_slow_chain_fails_ess_and_mcse() -> None:
    b_trt = paper_posterior()["posterior"]["b_trt"]
    slow = xr.DataArray(np.repeat(b_trt.to_numpy()[:, ::100], 100, axis=1), dims=b_trt.dims)
    assert {"bulk ESS", "tail ESS", "MCSE of the mean / SD"} <= failed(changed(b_trt=slow)).keys()


def test_a_stuck_chain_fails() -> None:
    b_trt = paper_posterior()["posterior"]["b_trt"]
    assert "R-hat" in failed(changed(b_trt=b_trt * 0.0 + 1.0))


def with_stats(**variables: object) -> xr.DataTree:
    stats = xr.Dataset({name: (("chain", "draw"), values) for name, values in variables.items()})
    return xr.DataTree.from_dict({"posterior": paper_posterior()["posterior"].to_dataset(), "sample_stats": stats})


def test_divergences_and_energy_of_nuts() -> None:
    rng = np.random.default_rng(1)
    diverging = np.zeros((4, 1000), dtype=bool)
    energy = rng.normal(size=(4, 1000))
    assert failed(with_stats(diverging=diverging, energy=energy)) == {}
    diverging[2, 17] = True
    # A random walk changes little from step to step compared with its spread: E-BFMI near 0.
    energy[3] = np.cumsum(energy[3])
    bad = failed(with_stats(diverging=diverging, energy=energy))
    assert bad.keys() == {"divergences", "E-BFMI"}
    assert bad["divergences"].value == 1
    assert bad["E-BFMI"].parameter == "chain 3"


@pytest.mark.parametrize("shape", [0.3, 0.9])
def test_pareto_k_finds_the_shape_of_a_pareto_tail(shape: float) -> None:
    # If U is uniform, U^-k has a Pareto tail of shape k.
    log_weights = -shape * np.log(np.random.default_rng(2).random((4, 25_000)))
    assert abs(pareto_k(log_weights) - shape) < 0.1


def test_heavy_weights_fail() -> None:
    tree = paper_posterior().copy()
    tree["sample_stats"].attrs["pareto_k"] = 0.9
    assert failed(tree).keys() == {"Pareto k"}


def test_a_record_survives_the_round_trip() -> None:
    check = FitCheck("R-hat", 1.2, "b_trt", "below 1.01", False)
    record = FitRecord("nuts", {"draws": 5}, {"fixed_sd": 1.0}, library_versions(), 0.5, 2, (check,), 900.0)
    tree = xr.DataTree()
    record.attach(tree)
    assert record_of(tree) == record
    assert not record.passed
    assert record.failures == (check,)
    assert dataclasses.replace(record, checks=()).passed


def test_versions_are_known() -> None:
    versions = library_versions()
    assert versions["numpy"] == np.__version__
    assert all(versions.values())


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (IndependenceSettings, "draws", 3),
        (IndependenceSettings, "draws", 100.0),
        (IndependenceSettings, "chains", 1),
        (IndependenceSettings, "chains", True),
        (IndependenceSettings, "proposals_per_draw", 0),
        (IndependenceSettings, "seed", -1),
        (IndependenceSettings, "seed", None),
        (NutsSettings, "tune", 10),
        (NutsSettings, "seed", "1"),
        (NutsSettings, "target_accept", 1.0),
        (NutsSettings, "target_accept", 0),
        (NutsSettings, "target_accept", float("nan")),
        (NutsSettings, "form", "sum"),
    ],
)
def test_bad_settings_are_refused(kind: type, name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"'sum'" if name == "form" else name):
        kind(**{name: value})


def test_settings_are_values() -> None:
    assert NutsSettings(form="listing") == NutsSettings(form=Form.LISTING)  # type: ignore[arg-type]
    assert hash(IndependenceSettings()) == hash(IndependenceSettings(seed=123))
