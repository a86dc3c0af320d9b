"""One replicate: simulate a trial, let every method learn from it, measure each in every population.

A replicate is a pure function of its scenario, its methods and its seed. Seeds belong to names and numbers, never to
the order of work: a replicate's seed is a descendant of the study's seed in NumPy's `SeedSequence` tree, and the trial
and every method have streams below it. So another method, scenario, order or number of workers changes no number.
"""

from __future__ import annotations

import json
import math
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from hte_utils.methods.estimates import EffectEstimates, IntervalEstimate, Method, MethodResult
from hte_utils.methods.measures import MEASURES, PatientTruth, measure
from hte_utils.methods.registry import named_child
from hte_utils.study.generate import PROFILE_NAMES, SimulatedTrial, population, profiles, simulate
from hte_utils.study.scenarios import Scenario

TRIAL: Final = "trial"
POPULATION: Final = "population"
POPULATIONS: Final = (TRIAL, POPULATION, *(f"profile-{name}" for name in PROFILE_NAMES))
"""Where methods are evaluated: the trial's own patients, the independent population, each profile patient."""

NUTS_FALLBACK: Final = "nuts_fallback"
FLAGS: Final = ("not_converged", NUTS_FALLBACK, "separation")
"""Notes of methods that count where they are 1: the fit stands, but a reader should know."""

_LONGEST_MESSAGE: Final = 400
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]+")

type Row = dict[str, Any]
"""What one replicate says of one method in one population; `replicate` lists the fields."""


class WorkerDiedError(RuntimeError):
    """The process that ran a method died: killed from outside, out of memory, or a crash in compiled code."""


def replicate_seed(seed: int, scenario: str, number: int) -> np.random.SeedSequence:
    """Return a replicate's seed, from the study's seed, the scenario's name and the replicate's number (from 0)."""
    return named_child(np.random.SeedSequence(seed), scenario, number)


def seed_text(seed: np.random.SeedSequence) -> str:
    """Write a seed as one line, ``entropy/word.word...``: the arguments of `numpy.random.SeedSequence`."""
    return f"{seed.entropy}/{'.'.join(map(str, seed.spawn_key))}"


def replicate(scenario: Scenario, methods: Sequence[Method], seed: np.random.SeedSequence) -> list[Row]:
    """Run one replicate, with methods of different names.

    Returns
    -------
    list of dict
        For each method in turn, one row for each of `POPULATIONS`, with ``method``, ``population``, ``seed`` (as
        `seed_text` writes it), ``error`` and ``message`` (class and text of what the method raised; empty if nothing),
        ``notes`` (the method's own, as JSON), ``flags`` (which of `FLAGS` are among them), a value for each of
        `MEASURES` (NaN after an error), and the circumstances ``seconds`` and ``warnings``, which are no part of the
        result. What concerns the whole fit is said once, in the row of the trial.

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
        rows += _rows(method.name, seed, **_outcome(method, populations, rng))
    return rows


def died_rows(method: Method, seed: np.random.SeedSequence, message: str) -> list[Row]:
    """Make the rows of a method whose process died each time it was tried."""
    return _rows(method.name, seed, error=WorkerDiedError(message))


def _outcome(method: Method, populations: Sequence[SimulatedTrial], rng: np.random.Generator) -> dict[str, Any]:
    """What came of one call of a method: the arguments of `_rows`."""
    found: dict[str, Any] = {}
    # Tables of its own for each method: what one writes into them no other sees.
    trial, tables = populations[0].analysts_table, tuple(patients.covariates for patients in populations)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        started = time.process_time()
        try:
            result = method(trial, tables, rng)
            found |= {"measures": _measure_everywhere(result, populations), "notes": result.notes}
        except (MemoryError, OSError):
            raise
        except Exception as exception:  # whatever goes wrong is what we want to record
            found["error"] = exception
        found["seconds"] = time.process_time() - started
    return found | {"warned": ";".join(sorted({warning.category.__name__ for warning in caught}))}


def _measure_everywhere(result: MethodResult, populations: Sequence[SimulatedTrial]) -> list[Mapping[str, float]]:
    if len(result.estimates) != len(populations):
        raise ValueError(f"the method gave {len(result.estimates)} estimates for {len(populations)} populations")
    *large, (estimates, patients) = zip(result.estimates, populations, strict=True)
    of_trial, *elsewhere = (measure(each, group.truth) for each, group in large)
    return [
        of_trial | {"interaction_p": result.notes.get("interaction_p", math.nan)},
        *elsewhere,
        *(measure(*_single(estimates, patients.truth, k)) for k in range(len(PROFILE_NAMES))),
    ]


def _single(estimates: EffectEstimates, truth: PatientTruth, k: int) -> tuple[EffectEstimates, PatientTruth]:
    """Take one patient out; in a population of one, the average effect is the patient's own."""
    own, risk, ratio = slice(k, k + 1), estimates.baseline_risk, estimates.log_odds_ratio
    alone = replace(
        estimates,
        baseline_risk=None if risk is None else risk[own],
        log_odds_ratio=None if ratio is None else _part(ratio, own),
        risk_difference=_part(estimates.risk_difference, own),
        average_risk_difference=_part(estimates.risk_difference, k),
    )
    return alone, PatientTruth(truth.log_odds_ratio[own], truth.baseline_risk[own], truth.risk_difference[own])


def _part(estimate: IntervalEstimate, where: slice | int) -> IntervalEstimate:
    lower, upper = (None if end is None else end[where] for end in (estimate.lower, estimate.upper))
    return replace(estimate, value=estimate.value[where], lower=lower, upper=upper)


def _rows(
    method: str,
    seed: np.random.SeedSequence,
    *,
    measures: Sequence[Mapping[str, float]] = ({},) * len(POPULATIONS),
    notes: Mapping[str, float] = MappingProxyType({}),
    error: Exception | None = None,
    seconds: float = math.nan,
    warned: str = "",
) -> list[Row]:
    whole = {
        "notes": json.dumps({name: float(value) for name, value in notes.items()}, sort_keys=True) if notes else "",
        "flags": ";".join(name for name in FLAGS if notes.get(name) == 1.0),
        "seconds": seconds,
        "warnings": warned,
    }
    elsewhere = {"notes": "", "flags": "", "seconds": math.nan, "warnings": ""}
    said = "" if error is None else _ADDRESS.sub("0x...", str(error))[:_LONGEST_MESSAGE]  # no addresses in memory
    return [
        {
            "method": method,
            "population": name,
            "seed": seed_text(seed),
            "error": "" if error is None else type(error).__name__,
            "message": said,
            **dict.fromkeys(MEASURES, math.nan),
            **values,
            **(whole if name == TRIAL else elsewhere),
        }
        for name, values in zip(POPULATIONS, measures, strict=True)
    ]
