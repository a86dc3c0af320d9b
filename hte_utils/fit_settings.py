"""Settings of the two samplers: what decides the draws, and nothing else. They are part of a stored posterior's key."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum


class Form(StrEnum):
    """In which coordinates NUTS samples; the posterior is the same."""

    SUMS = "sums"
    """The identified sums, `hte_utils.model.sums_model`; the rest is drawn from its exact conditional law."""
    LISTING = "listing"
    """Listing 2 as printed, `hte_utils.model.listing_model`."""


@dataclass(frozen=True, slots=True)
class IndependenceSettings:
    """Settings of the independence chain.

    Parameters
    ----------
    draws, chains
        Kept draws a chain, and chains; R-hat needs at least two.
    proposals_per_draw
        Metropolis-Hastings steps from one kept draw to the next.
    burn_in
        Draws dropped at the start of each chain.
    seed
        Non-negative integer. The same seed gives the same draws, on any number of cores.

    Raises
    ------
    TypeError, ValueError
        If a setting is no integer, or too small.
    """

    draws: int = 1000
    chains: int = 4
    proposals_per_draw: int = 5
    burn_in: int = 100
    seed: int = 123

    def __post_init__(self) -> None:
        _require_integers(self, draws=4, chains=2, proposals_per_draw=1, burn_in=0, seed=0)


@dataclass(frozen=True, slots=True)
class NutsSettings:
    """Settings of NUTS.

    Parameters
    ----------
    draws, chains, seed
        As for `IndependenceSettings`.
    tune
        Warm-up draws a chain, which adapt step size and (low-rank) mass matrix, and are dropped.
    target_accept
        Mean acceptance probability that the step size is tuned to, between 0 and 1.
    form
        The coordinates.

    Raises
    ------
    TypeError, ValueError
        If a setting has the wrong type or lies out of its range.
    """

    draws: int = 1000
    chains: int = 4
    tune: int = 300
    target_accept: float = 0.8
    form: Form = Form.SUMS
    seed: int = 123

    def __post_init__(self) -> None:
        _require_integers(self, draws=4, chains=2, tune=50, seed=0)
        if isinstance(self.target_accept, bool) or not isinstance(self.target_accept, float):
            raise TypeError(f"target_accept must be a float between 0 and 1, not {self.target_accept!r}")
        if not 0.0 < self.target_accept < 1.0:
            raise ValueError(f"target_accept must lie between 0 and 1, not {self.target_accept!r}")
        object.__setattr__(self, "form", Form(self.form))


Settings = IndependenceSettings | NutsSettings


def _require_integers(settings: Settings, **least: int) -> None:
    for field in fields(settings):
        if field.name not in least:
            continue
        value = getattr(settings, field.name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{field.name} must be an integer, not {value!r}")
        if value < least[field.name]:
            raise ValueError(f"{field.name} must be at least {least[field.name]}, not {value}")
