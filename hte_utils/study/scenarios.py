"""The data-generating mechanisms of the study: the "D" of ADEMP.

Each scenario changes one thing against the paper's design, so that a difference has one cause:

- How the effect varies between patients: as printed, as described, twice as much, not at all (on the scale of odds, or
  of risks), no effect whatever, and with age in the form of a U, which no linear terms can follow.
- How often the event occurs: 2, 5, 10 and 20 % (Listing 1 gives some 5.7 %).
- How many patients there are: 500 to 20 000 (the paper: 2000), and how they are allocated: one to one, or two to one.

The event is major bleeding, so a positive effect is harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Final

from hte_utils.trial import (
    LISTING_BASELINE,
    LISTING_EFFECT,
    P_TREATED,
    BaselineCoefficients,
    EffectCoefficients,
)
from hte_utils.trial.as_described import (
    LOG_ODDS_EFFECTS,
    RISK_DIFFERENCE_EFFECTS,
    DescribedEffects,
)

PAPER_DESIGN: Final = "as-printed"
"""Name of the paper's own design."""


@dataclass(frozen=True, slots=True)
class ConstantDifference:
    """The same risk difference for everybody (a probability): what is constant on this scale varies on every other."""

    value: float


@dataclass(frozen=True, slots=True)
class UShapedEffect:
    """Log odds ratio ``lowest + curvature * (decades from `centre`)²`` of age: harm for the youngest and the oldest."""

    lowest: float
    curvature: float
    centre: float = 55.0


Effect = EffectCoefficients | DescribedEffects | ConstantDifference | UShapedEffect


@dataclass(frozen=True, slots=True)
class Scenario:
    """One data-generating mechanism, complete: the same record always means the same distribution of trials.

    Attributes
    ----------
    name, label
        Its key (and the name of a folder of results), and its name in tables and figures.
    n_patients
        Size of each simulated trial, both arms together.
    baseline
        Coefficients of equation (1), log-odds of bleeding without treatment.
    effect
        Coefficients of the treatment's effect, positive is harm. `EffectCoefficients` stand for Listing 1 (clamped age
        and BMI, effect linear in age), `DescribedEffects` for Table 2 and equations (1) to (4); the others act on
        Listing 1's patients.
    p_treated
        Probability of the treated arm.
    population_size
        Number of patients of the independent population in which the learned effects are evaluated.
    """

    name: str
    label: str
    n_patients: int = 2000
    baseline: BaselineCoefficients = LISTING_BASELINE
    effect: Effect = LISTING_EFFECT
    p_treated: float = P_TREATED
    population_size: int = 2_000


def _times(factor: float) -> EffectCoefficients:
    """Multiply what varies between patients in Listing 1, and leave the base effect."""
    varying = [field.name for field in fields(LISTING_EFFECT) if field.name != "base"]
    return replace(LISTING_EFFECT, **{name: factor * getattr(LISTING_EFFECT, name) for name in varying})


_INTERCEPTS: Final = {2: -4.641389, 5: -3.648057, 10: -2.84006, 20: -1.933985}
"""Of equation (1), by the percentage of events that they lead to; the tests find the percentages by quadrature."""

_AS_PRINTED: Final = Scenario(PAPER_DESIGN, "as printed (Listing 1)")

_ALL: Final = (
    _AS_PRINTED,
    Scenario("as-described", "as described (risk differences)", effect=RISK_DIFFERENCE_EFFECTS),
    Scenario("as-described-log-odds", "as described (log odds ratios)", effect=LOG_ODDS_EFFECTS),
    # -0.2 is Listing 1's base effect and, to three decimals, its mean over patients.
    Scenario("constant-odds-ratio", "constant odds ratio", effect=_times(0.0)),
    # Harm to one in a hundred, about the paper design's average.
    Scenario("constant-risk-difference", "constant risk difference", effect=ConstantDifference(0.01)),
    Scenario("no-effect", "no effect", effect=replace(_times(0.0), base=0.0)),
    Scenario("stronger-effects", "heterogeneity doubled", effect=_times(2.0)),
    # Average log odds ratio near Listing 1's, and about as much variation between patients.
    Scenario("u-shaped", "U-shaped in age", effect=UShapedEffect(lowest=-0.7, curvature=0.35)),
    *(
        Scenario(f"event-rate-{rate}", f"event rate {rate} %", baseline=replace(LISTING_BASELINE, intercept=intercept))
        for rate, intercept in _INTERCEPTS.items()
    ),
    *(Scenario(f"patients-{n}", f"{n:,} patients".replace(",", " "), n_patients=n) for n in (500, 1000, 5000, 20_000)),
    Scenario("two-to-one", "two treated to one control", p_treated=2.0 / 3.0),
)

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType({scenario.name: scenario for scenario in _ALL})
"""All scenarios by name. The paper's design, with its 2000 patients, comes first."""
