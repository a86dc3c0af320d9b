"""One replicate: simulate a trial, let every method learn from it, measure each in every population.

A replicate is a pure function of its scenario, its methods and its seed. The numbers of a method depend on the
scenario, the seed and that method's name and code alone: each draws from a stream of its own (`hte_utils.study.seeds`).
"""

from __future__ import annotations

import json
import math
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from hte_utils.study.generate import PROFILE_NAMES, PatientTruth, SimulatedTrial, population, profiles, simulate
from hte_utils.study.measures import MEASURES, measure
from hte_utils.study.seeds import named_child, seed_text

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import EffectEstimates, IntervalEstimate, Method, MethodResult
    from hte_utils.study.scenario import Scenario

TRIAL: Final = "trial"
POPULATION: Final = "population"
POPULATIONS: Final = (TRIAL, POPULATION, *(f"profile-{name}" for name in PROFILE_NAMES))
"""Where methods are evaluated: the trial's own patients, the independent population, each profile patient."""

_LONGEST_MESSAGE: Final = 400
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class ResultRow:
    """What one replicate says of one method in one population.

    Attributes
    ----------
    method, population
        Their names.
    seed
        The replicate's seed, as `hte_utils.study.seeds.seed_text` writes it.
    error, message
        Class and text of the exception that the method raised; empty if it did not. Then all measures are NaN.
    notes
        The method's own notes on its fit, as JSON; empty if there are none.
    measures
        A value for each of `MEASURES`.
    seconds, warnings
        Circumstances, which are no part of the result: time that the method took (NaN where it failed before it began),
        and the classes of the warnings it gave, with semicolons between them.
    """

    method: str
    population: str
    seed: str
    error: str
    message: str
    notes: str
    measures: Mapping[str, float]
    seconds: float
    warnings: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of one call of a method: measures for each of `POPULATIONS`, or an error."""

    measures: Sequence[Mapping[str, float]]
    notes: Mapping[str, float]
    error: Exception | None
    seconds: float
    warnings: str


class WorkerDiedError(RuntimeError):
    """The process that ran a method died: killed from outside, out of memory, or a crash in compiled code."""


def replicate(scenario: Scenario, methods: Sequence[Method], seed: np.random.SeedSequence) -> list[ResultRow]:
    """Run one replicate.

    Parameters
    ----------
    scenario
        The data-generating mechanism.
    methods
        What learns from the trial; names must differ.
    seed
        Of this replicate (`hte_utils.study.seeds.replicate_seed`); it is not changed.

    Returns
    -------
    list of ResultRow
        For each method in turn, one row for each of `POPULATIONS`. A method that raises an exception has its rows too:
        with the exception and without measures.

    Raises
    ------
    MemoryError, OSError
        Faults of the machine are no results; they are passed on.
    """
    trial = simulate(scenario, np.random.default_rng(named_child(seed, TRIAL)))
    populations = (trial, population(scenario), profiles(scenario))
    rows = []
    for method in methods:
        rng = np.random.default_rng(named_child(seed, "method", getattr(method, "stream", "") or method.name))
        rows += _rows(method.name, seed, _outcome(method, populations, rng))
    return rows


def died_rows(method: Method, seed: np.random.SeedSequence, message: str) -> list[ResultRow]:
    """Make the rows of a method whose process died each time it was tried."""
    return _rows(method.name, seed, _Outcome((), {}, WorkerDiedError(message), math.nan, ""))


def _outcome(method: Method, populations: Sequence[SimulatedTrial], rng: np.random.Generator) -> _Outcome:
    measures: Sequence[Mapping[str, float]] = ()
    notes: Mapping[str, float] = {}
    error = None
    # Tables of its own for each method: what one writes into them no other sees.
    trial, tables = populations[0].analysts_table, tuple(patients.covariates for patients in populations)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        started = time.perf_counter()
        try:
            result = method(trial, tables, rng)
            measures, notes = _measure_everywhere(result, populations), result.notes
        except (MemoryError, OSError):
            raise
        except Exception as exception:  # whatever goes wrong is what we want to record
            error = exception
        seconds = time.perf_counter() - started
    classes = sorted({warning.category.__name__ for warning in caught})
    return _Outcome(measures, notes, error, seconds, ";".join(classes))


def _measure_everywhere(result: MethodResult, populations: Sequence[SimulatedTrial]) -> list[Mapping[str, float]]:
    if len(result.estimates) != len(populations):
        raise ValueError(f"the method gave {len(result.estimates)} estimates for {len(populations)} populations")
    *large, few = zip(result.estimates, populations, strict=True)
    estimates, patients = few
    return [
        *(measure(each, group.truth) for each, group in large),
        *(measure(_single(estimates, k), _single_truth(patients.truth, k)) for k in range(len(PROFILE_NAMES))),
    ]


def _single(estimates: EffectEstimates, place: int) -> EffectEstimates:
    """Take one patient out of the estimates; in a population of one, the average effect is the patient's own."""
    own = slice(place, place + 1)
    return replace(
        estimates,
        baseline_risk=None if estimates.baseline_risk is None else estimates.baseline_risk[own],
        log_odds_ratio=None if estimates.log_odds_ratio is None else _part(estimates.log_odds_ratio, own),
        risk_difference=_part(estimates.risk_difference, own),
        average_risk_difference=_part(estimates.risk_difference, place),
    )


def _part(estimate: IntervalEstimate, where: slice | int) -> IntervalEstimate:
    lower, upper = (None if end is None else end[where] for end in (estimate.lower, estimate.upper))
    return replace(estimate, value=estimate.value[where], lower=lower, upper=upper)


def _single_truth(truth: PatientTruth, place: int) -> PatientTruth:
    own = slice(place, place + 1)
    return PatientTruth(truth.log_odds_ratio[own], truth.baseline_risk[own], truth.risk_difference[own])


def _rows(method: str, seed: np.random.SeedSequence, outcome: _Outcome) -> list[ResultRow]:
    measures = outcome.measures or [dict.fromkeys(MEASURES, math.nan)] * len(POPULATIONS)
    first = {name: name == TRIAL for name in POPULATIONS}  # what concerns the whole fit is said once
    return [
        ResultRow(
            method=method,
            population=name,
            seed=seed_text(seed),
            error="" if outcome.error is None else type(outcome.error).__name__,
            message="" if outcome.error is None else _comparable(outcome.error),
            notes=json.dumps(dict(outcome.notes), sort_keys=True) if outcome.notes and first[name] else "",
            measures=values,
            seconds=outcome.seconds if first[name] else math.nan,
            warnings=outcome.warnings if first[name] else "",
        )
        for name, values in zip(POPULATIONS, measures, strict=True)
    ]


def _comparable(error: Exception) -> str:
    """The text of an error without what differs from run to run (addresses in memory), and not too long."""
    return _ADDRESS.sub("0x...", str(error))[:_LONGEST_MESSAGE]
