"""The scenarios of the study. Each changes one thing against the paper's design, so that a difference has one cause.

- How the effect varies between patients: as printed, as described, twice as much, not at all, no effect whatever.
- How often the event occurs: 2, 5, 10 and 20 % (Listing 1 gives some 5.7 %).
- How many patients there are: 500 to 20 000 (the paper: 2000).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Final

from hte_utils.study.scenario import Scenario
from hte_utils.trial import LISTING_EFFECT, EffectCoefficients
from hte_utils.trial.as_described import LOG_ODDS_EFFECTS, RISK_DIFFERENCE_EFFECTS

PAPER_DESIGN: Final = "as-printed"
"""Name of the paper's own design."""


def select_scenarios(names: Iterable[str]) -> tuple[Scenario, ...]:
    """Look scenarios up by name, in the order given.

    Raises
    ------
    ValueError
        If a name is unknown or given twice, or there is none.
    """
    chosen = list(names)
    unknown = [name for name in chosen if name not in SCENARIOS]
    if unknown:
        raise ValueError(f"there is no scenario {unknown}; choose from {list(SCENARIOS)}")
    if not chosen or len(set(chosen)) < len(chosen):
        raise ValueError(f"name at least one scenario, and each once; got {chosen}")
    return tuple(SCENARIOS[name] for name in chosen)


def _times(effect: EffectCoefficients, factor: float) -> EffectCoefficients:
    """Multiply what varies between patients, and leave the base effect."""
    varying = {field.name: factor * getattr(effect, field.name) for field in fields(effect) if field.name != "base"}
    return replace(effect, **varying)


_AS_PRINTED: Final = Scenario(PAPER_DESIGN, "as printed (Listing 1)")

_ALL: Final = (
    _AS_PRINTED,
    Scenario("as-described", "as described (risk differences)", effect=RISK_DIFFERENCE_EFFECTS),
    Scenario("as-described-log-odds", "as described (log odds ratios)", effect=LOG_ODDS_EFFECTS),
    # -0.2 is Listing 1's base effect and, to three decimals, its mean over patients.
    Scenario("constant-odds-ratio", "constant odds ratio", effect=_times(LISTING_EFFECT, 0.0)),
    Scenario("no-effect", "no effect", effect=replace(_times(LISTING_EFFECT, 0.0), base=0.0)),
    Scenario("stronger-effects", "heterogeneity doubled", effect=_times(LISTING_EFFECT, 2.0)),
    *(
        replace(_AS_PRINTED, name=f"event-rate-{percent}", label=f"event rate {percent} %", event_rate=percent / 100)
        for percent in (2, 5, 10, 20)
    ),
    *(
        replace(_AS_PRINTED, name=f"patients-{n}", label=f"{n:,} patients".replace(",", " "), n_patients=n)
        for n in (500, 1000, 5000, 20_000)
    ),
)

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType({scenario.name: scenario for scenario in _ALL})
"""All scenarios by name. The paper's design, with its 2000 patients, comes first."""
