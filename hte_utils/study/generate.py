"""Simulated trials, the independent population and the profile patients of a scenario, each with its truth.

The formulas are those of `hte_utils.trial`; only the source of random numbers is another one (NumPy's generators, whose
streams can be split without end). The event is major bleeding: positive effects are harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from hte_utils.methods.measures import PatientTruth
from hte_utils.model.checks import FloatArray
from hte_utils.study.scenarios import ConstantDifference, Effect, Scenario, UShapedEffect
from hte_utils.trial import (
    Covariates,
    EffectScale,
    TrialTruth,
    baseline_log_odds,
    draw_covariates,
    treatment_effect,
    trial_table,
)
from hte_utils.trial.as_described import (
    DescribedEffects,
    described_effect,
    draw_described_covariates,
    risk_under_treatment,
)
from hte_utils.trial.r_stream import RRandom

if TYPE_CHECKING:
    type Binary = NDArray[np.int8]

POPULATION_SEED: Final = 20_241_123
"""Seed of the independent populations; no study's own seed leads to the same stream."""

_KNOWN_AFTER_RANDOMISATION: Final = ["treatment", "event", "true_te"]

_CONDITIONS: Final = ["diabetes", "smoking", "anticoagulant", "prior_bleeding"]
_PROFILES: Final = (
    pd.DataFrame(
        [
            ("young", 40.0, 0, 24.0, 120.0, 0, 0, 0, 0),
            ("typical", 55.0, 1, 28.0, 130.0, 0, 0, 0, 0),
            ("older", 70.0, 0, 28.0, 140.0, 0, 0, 0, 0),
            ("diabetic", 55.0, 1, 34.0, 135.0, 1, 1, 0, 0),
            ("anticoagulated", 65.0, 0, 26.0, 130.0, 0, 0, 1, 0),
            ("bled-before", 55.0, 1, 26.0, 130.0, 0, 0, 0, 1),
            ("high-risk", 75.0, 0, 28.0, 145.0, 1, 0, 1, 1),
        ],
        columns=["name", "age", "gender", "bmi", "sbp", *_CONDITIONS],
    )
    .set_index("name")
    .astype(dict.fromkeys(["gender", *_CONDITIONS], "int8"))
)

PROFILE_NAMES: Final = tuple(_PROFILES.index)
"""Names of the profile patients, in the order of `profiles`."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedTrial:
    """Patients with outcomes, as `hte_utils.trial.simulate_trial` has them, and what is true of them."""

    table: pd.DataFrame
    truth: PatientTruth

    @property
    def analysts_table(self) -> pd.DataFrame:
        """What an analyst has: the table without the true effects."""
        return self.table.drop(columns="true_te")

    @property
    def covariates(self) -> pd.DataFrame:
        """What is known of patients before randomisation."""
        return self.table.drop(columns=_KNOWN_AFTER_RANDOMISATION)


class NumPyStream:
    """R's three drawing functions, as Listing 1 calls them, on a NumPy generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def rnorm(self, n: int, mean: float, sd: float) -> FloatArray:
        """Normal random numbers, shape (n,)."""
        return mean + sd * self._rng.standard_normal(n)

    def rbinom(self, n: int, size: int, prob: FloatArray | float) -> Binary:  # noqa: ARG002 - always 1
        """Whether each patient has the condition, shape (n,); Listing 1 never asks for more than one trial."""
        return (self._rng.random(n) < prob).astype(np.int8)

    def mvrnorm(
        self, n: int, mu: tuple[float, float], Sigma: tuple[tuple[float, float], tuple[float, float]]
    ) -> FloatArray:
        """Pairs of correlated normal random numbers, shape (n, 2)."""
        factor = np.linalg.cholesky(np.array(Sigma))
        first, second = self._rng.standard_normal((2, n))
        # Written out: a matrix product could round differently from one BLAS to the next.
        return np.column_stack([mu[0] + factor[0, 0] * first, mu[1] + factor[1, 0] * first + factor[1, 1] * second])


def simulate(scenario: Scenario, rng: np.random.Generator) -> SimulatedTrial:
    """Simulate one trial of a scenario; equal states of `rng` give equal trials."""
    return _simulate(scenario, rng, scenario.n_patients)


@lru_cache(maxsize=64)
def population(scenario: Scenario) -> SimulatedTrial:
    """Return the large independent population of a scenario; made once in each process, always the same.

    Scenarios that share a mechanism share the patients (not necessarily their risks).
    """
    return _simulate(scenario, np.random.default_rng(POPULATION_SEED), scenario.population_size)


def expected_events(scenario: Scenario) -> int:
    """How many events a trial of the scenario has on average."""
    truth, treated = population(scenario).truth, scenario.p_treated
    return round(scenario.n_patients * float((truth.baseline_risk + treated * truth.risk_difference).mean()))


@lru_cache(maxsize=64)
def profiles(scenario: Scenario) -> SimulatedTrial:
    """Return the fixed profile patients, by their names, for pointwise coverage across replicates.

    They are nobody's data: all are in the control arm and without event.
    """
    sbp = _PROFILES["sbp"].to_numpy()
    columns: dict[str, Any] = {
        "dbp": sbp - 50.0,
        "hypertension": (sbp >= 140.0).astype(np.int8),
        **{str(name): column.to_numpy() for name, column in _PROFILES.items()},
    }
    patients = Covariates(**columns)
    found = _with_outcomes(scenario, patients, np.zeros(len(_PROFILES), np.int8), None)
    return SimulatedTrial(found.table.set_axis(_PROFILES.index), found.truth)


def _effect_of(effect: Effect, patients: Covariates) -> tuple[FloatArray, EffectScale]:
    """Each patient's effect of treatment, shape (n,), and the scale that it is on."""
    match effect:
        case DescribedEffects():
            return described_effect(patients, effect), effect.scale
        case ConstantDifference():
            return np.full(patients.age.size, effect.value), EffectScale.RISK_DIFFERENCE
        case UShapedEffect():
            decades = (patients.age - effect.centre) / 10.0
            return effect.lowest + effect.curvature * np.square(decades), EffectScale.LOG_ODDS_RATIO
        case _:
            return treatment_effect(patients, effect), EffectScale.LOG_ODDS_RATIO


def _simulate(scenario: Scenario, rng: np.random.Generator, n: int) -> SimulatedTrial:
    if isinstance(scenario.effect, DescribedEffects):
        patients = draw_described_covariates(rng, n)
    else:
        patients = draw_covariates(cast("RRandom", NumPyStream(rng)), n)
    treatment = (rng.random(n) < scenario.p_treated).astype(np.int8)
    return _with_outcomes(scenario, patients, treatment, rng)


def _with_outcomes(
    scenario: Scenario, patients: Covariates, treatment: Binary, rng: np.random.Generator | None
) -> SimulatedTrial:
    """Add risks, effects and events (nobody's, without random numbers)."""
    effect, scale = _effect_of(scenario.effect, patients)
    untreated: FloatArray = expit(baseline_log_odds(patients, scenario.baseline))
    treated = risk_under_treatment(untreated, effect, scale)
    probability = np.where(treatment == 1, treated, untreated)
    happened = np.zeros(effect.size, np.bool_) if rng is None else rng.random(effect.size) < probability
    table = trial_table(
        TrialTruth(patients, treatment, untreated, effect, scale, probability, happened.astype(np.int8))
    )
    log_odds_ratio = effect if scale is EffectScale.LOG_ODDS_RATIO else logit(treated) - logit(untreated)
    # Exactly 0 where the effect is: the way through the logit leaves rounding behind.
    difference = np.where(effect == 0.0, 0.0, treated - untreated)
    return SimulatedTrial(table, PatientTruth(np.array(log_odds_ratio), untreated, difference))
