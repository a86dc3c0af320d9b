"""The record of a fit, and the checks: right on known chains, red on bad ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import xarray as xr
from paper_fits import paper_posterior

from hte_utils.model.fit import (
    FitCheck,
    FitRecord,
    library_versions,
    record_of,
    run_checks,
)
from hte_utils.model.sampler import pareto_k


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
