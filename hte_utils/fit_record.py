"""How a posterior was made, and which checks it passed.

The record travels inside the posterior (as JSON in the tree's attributes) and so into every stored file. The
limits are those of Vehtari et al. 2021 (rank-normalised R-hat, bulk and tail ESS), Betancourt 2016 (E-BFMI),
Vehtari et al. 2024 (Pareto k), and the reference posteriors of posteriordb.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from arviz_stats.base import array_stats  # type: ignore[attr-defined]

from hte_utils.parameters import listing2_draws

if TYPE_CHECKING:
    import xarray as xr

    from hte_utils.trial_checks import FloatArray

_STATISTICS: Any = array_stats  # ArviZ has no type hints
_ATTRIBUTE = "fit_record"
_VERSIONED = ("numpy", "scipy", "xarray", "arviz-stats", "pymc", "pytensor", "numba", "nutpie")


class FitWarning(UserWarning):
    """A posterior failed a check of its fit: do not report it as it is."""


@dataclass(frozen=True, slots=True)
class FitCheck:
    """One check: the worst `value` found, at which `parameter` ("" if none), and whether it obeys `rule`."""

    name: str
    value: float
    parameter: str
    rule: str
    passed: bool

    def __str__(self) -> str:
        where = f" ({self.parameter})" if self.parameter else ""
        verdict = "passed" if self.passed else "FAILED"
        return f"{self.name} {self.value:.4g}{where}, must be {self.rule}: {verdict}"


@dataclass(frozen=True, slots=True)
class FitRecord:
    """How a posterior was made: the algorithm, its settings and seed, the fields of `Priors`, versions, and checks.

    `seconds` is wall time from the design to the draws, compilation included and checks not; `cores` are the chains
    that ran at the same time, on which the draws do not depend.
    """

    sampler: str
    settings: dict[str, Any]
    priors: dict[str, float | None]
    versions: dict[str, str]
    seconds: float
    cores: int
    checks: tuple[FitCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every check was passed."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[FitCheck, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.passed)

    def attach(self, posterior: xr.DataTree) -> None:
        """Write the record into the posterior's attributes."""
        posterior.attrs[_ATTRIBUTE] = json.dumps(asdict(self))


def record_of(posterior: xr.DataTree) -> FitRecord:
    """Read the record of a posterior that `fit` made."""
    content = json.loads(posterior.attrs[_ATTRIBUTE])
    content["checks"] = tuple(FitCheck(**check) for check in content["checks"])
    return FitRecord(**content)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a posterior depends on."""
    return {"python": platform.python_version()} | {name: _version(name) for name in _VERSIONED}


_version = cache(metadata.version)  # reads a file; a study asks thousands of times


def run_checks(posterior: xr.DataTree) -> tuple[FitCheck, ...]:
    """Check the chains of every scalar of Listing 2, and what the sampler says about itself.

    R-hat, bulk ESS, tail ESS and MCSE of the mean for any sampler; divergences and E-BFMI for NUTS; the Pareto k of the
    importance weights for the independence chain.
    """
    scalars = listing2_draws(posterior)
    names = [str(name) for name in scalars.data_vars]
    # (parameter, chain, draw): one call for all of them
    draws = scalars.to_dataarray("parameter").transpose("parameter", "chain", "draw").to_numpy()
    return (*_chain_checks(draws, names), *_sampler_checks(posterior))


def pareto_k(log_weights: FloatArray) -> float:
    """Shape of the upper tail of importance weights, from their logarithms of shape (chains, proposals)."""
    # Of the weights themselves: in ArviZ 1.3 the option log_weights=True fits the tail of the logarithms.
    weights = np.exp(log_weights - log_weights.max())
    return float(_STATISTICS.pareto_khat(weights, r_eff=1.0, tail="right"))


def _chain_checks(draws: FloatArray, names: list[str]) -> tuple[FitCheck, ...]:
    enough = 100 * draws.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):  # chains that never move have SD 0: NaN, which fails below
        rhat = _STATISTICS.rhat(draws)
        bulk = _STATISTICS.ess(draws, method="bulk")
        tail = _STATISTICS.ess(draws, method="tail", prob=(0.05, 0.95))
        mcse = _STATISTICS.mcse(draws, method="mean") / draws.std(axis=(1, 2), ddof=1)
    return (
        _worst("R-hat", rhat, names, below=1.01),
        _worst("bulk ESS", bulk, names, at_least=enough),
        _worst("tail ESS", tail, names, at_least=enough),
        _worst("MCSE of the mean / SD", mcse, names, below=0.05),
    )


def _sampler_checks(posterior: xr.DataTree) -> list[FitCheck]:
    stats = posterior["sample_stats"]
    checks = []
    if "diverging" in stats:
        checks.append(_worst("divergences", np.array([int(stats["diverging"].sum())]), [""], below=1))
    if "energy" in stats:
        energy = stats["energy"].transpose("chain", "draw").to_numpy()
        bfmi = _STATISTICS.bfmi(energy)
        checks.append(_worst("E-BFMI", bfmi, [f"chain {chain}" for chain in range(bfmi.size)], at_least=0.3))
    if "pareto_k" in stats.attrs:
        checks.append(_worst("Pareto k", np.array([stats.attrs["pareto_k"]]), [""], below=0.7))
    return checks


def _worst(
    name: str, values: FloatArray, names: list[str], *, below: float | None = None, at_least: float | None = None
) -> FitCheck:
    # NaN (a chain that never moved) counts as the worst of all: it is what argmax and argmin return first.
    place = int(np.argmax(values)) if below is not None else int(np.argmin(values))
    value = float(values[place])
    if below is not None:
        return FitCheck(name, value, names[place], f"below {below:g}", value < below)
    return FitCheck(name, value, names[place], f"at least {at_least:g}", at_least is not None and value >= at_least)
