"""Settings of the two samplers: what decides the draws, and nothing else. They are part of a stored posterior's key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hte_utils.trial_checks import require_probability


class Form(StrEnum):
    """In which coordinates NUTS samples; the posterior is the same."""

    SUMS = "sums"
    """The identified sums, `hte_utils.model.sums_model`; the rest is drawn from its exact conditional law."""
    LISTING = "listing"
    """Listing 2 as printed, `hte_utils.model.listing_model`."""


@dataclass(frozen=True, slots=True)
class IndependenceSettings:
    """Settings of the independence chain; the same seed gives the same draws, on any number of cores.

    `draws` are those kept of each chain; `proposals_per_draw` Metropolis-Hastings steps lie between two of them.
    `burn_in` draws are dropped at the start of each chain.
    """

    draws: int = 1000
    chains: int = 4
    proposals_per_draw: int = 5
    burn_in: int = 100
    seed: int = 123

    def __post_init__(self) -> None:
        _require_whole(self, draws=4, chains=2, proposals_per_draw=1, burn_in=0, seed=0)


@dataclass(frozen=True, slots=True)
class NutsSettings:
    """Settings of NUTS.

    `tune` warm-up draws a chain adapt step size and (low-rank) mass matrix, and are dropped; the step size is tuned to
    a mean acceptance probability of `target_accept`.
    """

    draws: int = 1000
    chains: int = 4
    tune: int = 300
    target_accept: float = 0.8
    form: Form = Form.SUMS
    seed: int = 123

    def __post_init__(self) -> None:
        _require_whole(self, draws=4, chains=2, tune=50, seed=0)
        require_probability("target_accept", self.target_accept)
        object.__setattr__(self, "form", Form(self.form))


Settings = IndependenceSettings | NutsSettings


def _require_whole(settings: Settings, **least: int) -> None:
    for name, smallest in least.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
            raise ValueError(f"{name} must be a whole number of at least {smallest}, not {value!r}")
