"""The fit: both samplers, both forms and JAGS give one posterior; records, seeds, and what is refused."""

from __future__ import annotations

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
from paper_fits import distances, paper_design, paper_posterior, summary

from hte_utils.model.fit import (
    FitWarning,
    Form,
    IndependenceSettings,
    NutsSettings,
    _somebody_watches,
    fit,
    record_of,
)
from hte_utils.model.listing_2 import Priors, listing2_draws

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
