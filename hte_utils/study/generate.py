"""Simulated trials, the independent population and the profile patients of a scenario, each with its truth.

The formulas are those of `hte_utils.trial`; only the source of random numbers is another one (NumPy's generators, whose
streams can be split without end). The event is major bleeding: positive effects are harm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm
from scipy.stats.qmc import Sobol

from hte_utils.trial import (
    BaselineCoefficients,
    Covariates,
    EffectCoefficients,
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

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from hte_utils.study.scenarios import Scenario
    from hte_utils.trial.r_stream import RRandom

type FloatArray = NDArray[np.float64]
type Binary = NDArray[np.int8]

POPULATION_SEED: Final = 20_241_123
"""Seed of the independent populations; no study's own seed leads to the same stream."""

_LOG2_POINTS: Final = 15  # the expected event rate is then right to some 2e-5 of itself
_DECIMALS: Final = 6  # so that rounding differences between machines cannot change a scenario
_DIMENSIONS: Final = 9  # random numbers that Listing 1 draws for a patient's covariates

_KNOWN_AFTER_RANDOMISATION: Final = ["treatment", "event", "true_te"]


@dataclass(frozen=True, slots=True, eq=False)
class PatientTruth:
    """What is true of each patient, shape (n,) each, read-only.

    Attributes
    ----------
    log_odds_ratio
        Effect of treatment on the log-odds of bleeding; positive is harm.
    baseline_risk
        Probability of bleeding without treatment.
    risk_difference
        Probability of bleeding with treatment minus that without.
    """

    log_odds_ratio: FloatArray
    baseline_risk: FloatArray
    risk_difference: FloatArray

    def __post_init__(self) -> None:
        for array in (self.log_odds_ratio, self.baseline_risk, self.risk_difference):
            array.setflags(write=False)


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
    """R's three drawing functions, as Listing 1 calls them, on a NumPy generator or on `_SobolPoints`."""

    def __init__(self, rng: np.random.Generator | _SobolPoints) -> None:
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


class _SobolPoints:
    """Answers like a generator, each patient's number with one dimension of a Sobol sequence."""

    def __init__(self, points: FloatArray) -> None:
        self._columns = iter(points.T)

    def random(self, n: int) -> FloatArray:  # noqa: ARG002 - the number of points
        return next(self._columns)

    def standard_normal(self, shape: int | tuple[int, int]) -> FloatArray:
        rows = 1 if isinstance(shape, int) else shape[0]
        found: FloatArray = norm.ppf([next(self._columns) for _ in range(rows)])
        return found[0] if isinstance(shape, int) else found


def simulate(scenario: Scenario, rng: np.random.Generator) -> SimulatedTrial:
    """Simulate one trial of a scenario; equal states of `rng` give equal trials."""
    return _simulate(scenario, rng, scenario.n_patients)


@lru_cache(maxsize=64)
def population(scenario: Scenario) -> SimulatedTrial:
    """Return the large independent population of a scenario; made once in each process, always the same.

    Scenarios that share a mechanism share the patients (not necessarily their risks).
    """
    return _simulate(scenario, np.random.default_rng(POPULATION_SEED), scenario.population_size)


@lru_cache(maxsize=64)
def profiles(scenario: Scenario) -> SimulatedTrial:
    """Return the fixed profile patients of `PROFILE_NAMES`, for pointwise coverage across replicates.

    They are nobody's data: all are in the control arm and without event.
    """
    patients = _profile_covariates()
    return _with_outcomes(scenario, patients, np.zeros(len(PROFILE_NAMES), np.int8), None)


def baseline_of(scenario: Scenario) -> BaselineCoefficients:
    """Return the baseline coefficients that the scenario's patients have, the intercept solved for where it must be."""
    if scenario.event_rate is None:
        return scenario.baseline
    return baseline_for_rate(scenario.event_rate, scenario.baseline, cast("EffectCoefficients", scenario.effect))


@lru_cache(maxsize=128)
def baseline_for_rate(rate: float, baseline: BaselineCoefficients, effect: EffectCoefficients) -> BaselineCoefficients:
    """Return `baseline` with the intercept that makes `rate` the expected share of events under Listing 1.

    A ValueError if there is none: the rate does not lie between 0 and 1.
    """
    intercept = brentq(
        lambda value: expected_event_rate(replace(baseline, intercept=value), effect) - rate, -50.0, 50.0, xtol=1e-10
    )
    return replace(baseline, intercept=round(float(intercept), _DECIMALS))


def expected_event_rate(baseline: BaselineCoefficients, effect: EffectCoefficients) -> float:
    """Expected share of patients with the event under Listing 1, over both arms: an integral over the covariates.

    It is found with quasi-random numbers, on Listing 1's own code, so that no probability is written down twice.
    """
    patients = _typical_patients()
    untreated = baseline_log_odds(patients, baseline)
    treated = untreated + treatment_effect(patients, effect)
    return float((expit(untreated).mean() + expit(treated).mean()) / 2.0)


@lru_cache(maxsize=1)
def _typical_patients() -> Covariates:
    points = Sobol(_DIMENSIONS, scramble=True, rng=np.random.default_rng(1)).random_base2(_LOG2_POINTS)
    return draw_covariates(cast("RRandom", NumPyStream(_SobolPoints(points))), len(points))


def _simulate(scenario: Scenario, rng: np.random.Generator, n: int) -> SimulatedTrial:
    if isinstance(scenario.effect, DescribedEffects):
        patients = draw_described_covariates(rng, n)
    else:
        patients = draw_covariates(cast("RRandom", NumPyStream(rng)), n)
    treatment = (rng.random(n) < 0.5).astype(np.int8)
    return _with_outcomes(scenario, patients, treatment, rng)


def _with_outcomes(
    scenario: Scenario, patients: Covariates, treatment: Binary, rng: np.random.Generator | None
) -> SimulatedTrial:
    """Add risks, effects and events (nobody's, without random numbers)."""
    effect, scale = _effect(scenario, patients)
    untreated: FloatArray = expit(baseline_log_odds(patients, baseline_of(scenario)))
    treated = risk_under_treatment(untreated, effect, scale)
    probability = np.where(treatment == 1, treated, untreated)
    happened = np.zeros(effect.size, np.bool_) if rng is None else rng.random(effect.size) < probability
    table = trial_table(
        TrialTruth(
            covariates=patients,
            treatment=treatment,
            baseline_risk=untreated,
            treatment_effect=effect,
            scale=scale,
            event_probability=probability,
            event=happened.astype(np.int8),
        )
    )
    log_odds_ratio = effect if scale is EffectScale.LOG_ODDS_RATIO else logit(treated) - logit(untreated)
    # Exactly 0 where the effect is: the way through the logit leaves rounding behind.
    difference = np.where(effect == 0.0, 0.0, treated - untreated)
    return SimulatedTrial(table, PatientTruth(np.array(log_odds_ratio), untreated, difference))


def _effect(scenario: Scenario, patients: Covariates) -> tuple[FloatArray, EffectScale]:
    if isinstance(scenario.effect, DescribedEffects):
        return described_effect(patients, scenario.effect), scenario.effect.scale
    return treatment_effect(patients, scenario.effect), EffectScale.LOG_ODDS_RATIO


_PROFILES: Final = (
    # name, age, female, bmi, sbp, diabetes, smoking, anticoagulant, prior bleeding
    ("young", 40.0, 0, 24.0, 120.0, 0, 0, 0, 0),
    ("typical", 55.0, 1, 28.0, 130.0, 0, 0, 0, 0),
    ("older", 70.0, 0, 28.0, 140.0, 0, 0, 0, 0),
    ("diabetic", 55.0, 1, 34.0, 135.0, 1, 1, 0, 0),
    ("anticoagulated", 65.0, 0, 26.0, 130.0, 0, 0, 1, 0),
    ("bled-before", 55.0, 1, 26.0, 130.0, 0, 0, 0, 1),
    ("high-risk", 75.0, 0, 28.0, 145.0, 1, 0, 1, 1),
)

PROFILE_NAMES: Final = tuple(str(row[0]) for row in _PROFILES)
"""Names of the profile patients, in the order of `profiles`."""


def _profile_covariates() -> Covariates:
    age, female, bmi, sbp, diabetes, smoking, anticoagulant, prior = np.array([row[1:] for row in _PROFILES]).T
    flags = [column.astype(np.int8) for column in (female, diabetes, smoking, anticoagulant, prior)]
    return Covariates(
        age=age,
        gender=flags[0],
        sbp=sbp,
        dbp=sbp - 50.0,
        bmi=bmi,
        hypertension=(sbp >= 140.0).astype(np.int8),
        diabetes=flags[1],
        smoking=flags[2],
        anticoagulant=flags[3],
        prior_bleeding=flags[4],
    )
