"""A replicate: pure, with streams of its own for every method, and with failures on record."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from study_methods import FailsSometimes, RiskByArm

from hte_utils.comparators.estimates import MethodResult
from hte_utils.study.generate import PROFILE_NAMES, profiles, simulate
from hte_utils.study.replicate import POPULATION, POPULATIONS, TRIAL, ResultRow, replicate
from hte_utils.study.scenario import Scenario
from hte_utils.study.seeds import named_child, replicate_seed, seed_of, seed_text

TINY = Scenario("tiny", "tiny", n_patients=300, population_size=400)
SEED = replicate_seed(1, TINY.name, 0)
NOISY = RiskByArm(name="noisy", noise=0.02)


def _numbers(rows: Sequence[ResultRow], method: str) -> list[tuple[str, ...]]:
    """Everything but the circumstances, as text, so that NaN equals NaN and every bit counts."""
    return [
        (row.population, row.seed, row.error, row.message, row.notes, repr(dict(row.measures)))
        for row in rows
        if row.method == method
    ]


@dataclass(frozen=True)
class Misbehaves:
    """Does what its `how` says."""

    how: str
    name: str = "misbehaves"
    label: str = "misbehaves"
    slow: bool = False

    def __call__(
        self, trial: pd.DataFrame, populations: Sequence[pd.DataFrame], rng: np.random.Generator
    ) -> MethodResult:
        good = RiskByArm()(trial, populations, rng)
        match self.how:
            case "returns None":
                return None  # type: ignore[return-value]
            case "too few":
                return MethodResult(good.estimates[:1], {})
            case "wrong patients":
                return MethodResult(good.estimates[::-1], {})
            case "scribbles":
                for table in (trial, *populations):
                    table["age"] = 0.0
                    table.drop(columns="bmi", inplace=True)  # noqa: PD002
            case "memory":
                raise MemoryError
            case "disk":
                raise OSError(28, "No space left on device")
            case "stop":
                raise KeyboardInterrupt
        return good


def test_rows_for_every_method_and_population() -> None:
    rows = replicate(TINY, [RiskByArm(), NOISY], SEED)
    assert [(row.method, row.population) for row in rows] == [
        (method, name) for method in ("risk-by-arm", "noisy") for name in POPULATIONS
    ]
    assert {row.seed for row in rows} == {seed_text(SEED)}
    assert json.loads(rows[0].notes)["treated"] > 0
    assert rows[0].seconds > 0
    assert all(math.isnan(row.seconds) and not row.notes for row in rows[1 : len(POPULATIONS)])


def test_the_same_call_gives_the_same_bits() -> None:
    first, again = (replicate(TINY, [NOISY], SEED) for _ in range(2))
    assert _numbers(first, "noisy") == _numbers(again, "noisy")
    other = replicate(TINY, [NOISY], replicate_seed(1, TINY.name, 1))
    assert _numbers(first, "noisy") != _numbers(other, "noisy")


def test_other_methods_and_their_order_change_nothing() -> None:
    alone = _numbers(replicate(TINY, [NOISY], SEED), "noisy")
    for methods in ([NOISY, RiskByArm()], [RiskByArm(), FailsSometimes(), NOISY], [Misbehaves("scribbles"), NOISY]):
        assert _numbers(replicate(TINY, methods, SEED), "noisy") == alone


def test_methods_of_different_names_have_different_streams() -> None:
    rows = replicate(TINY, [NOISY, replace(NOISY, name="noisy-too")], SEED)
    half = len(POPULATIONS)
    assert rows[0].measures["rd_rmse"] != rows[half].measures["rd_rmse"]
    assert rows[0].measures["ate_truth"] == rows[half].measures["ate_truth"]


def test_a_row_can_be_made_again_from_its_seed() -> None:
    row = replicate(TINY, [RiskByArm()], SEED)[0]
    trial = simulate(TINY, np.random.default_rng(named_child(seed_of(row.seed), TRIAL)))
    rates = trial.table.groupby("treatment", observed=True)["event"].mean()
    assert row.measures["ate_estimate"] == pytest.approx(rates["Treatment"] - rates["Control"])
    assert row.measures["ate_truth"] == pytest.approx(trial.truth.risk_difference.mean())


def test_profiles_are_measured_one_by_one() -> None:
    rows = {row.population: row.measures for row in replicate(TINY, [RiskByArm()], SEED)}
    truth = profiles(TINY).truth.risk_difference
    for place, name in enumerate(PROFILE_NAMES):
        found = rows[f"profile-{name}"]
        assert found["ate_truth"] == truth[place]
        assert found["rd_bias"] == pytest.approx(found["ate_estimate"] - truth[place])
        assert found["rd_coverage"] == float(found["ate_lower"] <= truth[place] <= found["ate_upper"])
    assert rows[POPULATION]["ate_truth"] != rows[TRIAL]["ate_truth"]


def test_failures_are_rows_with_error_seed_and_no_measures() -> None:
    seeds = [replicate_seed(1, TINY.name, k) for k in range(8)]
    failed = [seed for seed in seeds if simulate(TINY, _rng(seed)).table["event"].sum() % 2]
    assert 0 < len(failed) < len(seeds)
    for seed in seeds:
        rows = replicate(TINY, [FailsSometimes()], seed)
        assert len(rows) == len(POPULATIONS)
        assert all((row.error == "ArithmeticError") == (seed in failed) for row in rows)
        assert rows[0].warnings == "RuntimeWarning"
        if seed in failed:
            assert rows[0].message.endswith("<object object at 0x...>")  # an address would differ from run to run
            assert all(math.isnan(value) for row in rows for value in row.measures.values())
            assert rows[0].seed == seed_text(seed)


@pytest.mark.parametrize(
    ("how", "error"), [("returns None", "AttributeError"), ("too few", "ValueError"), ("wrong patients", "ValueError")]
)
def test_wrong_results_are_failures(how: str, error: str) -> None:
    rows = replicate(TINY, [Misbehaves(how), RiskByArm()], SEED)
    assert {row.error for row in rows if row.method == "misbehaves"} == {error}
    assert {row.error for row in rows if row.method == "risk-by-arm"} == {""}


@pytest.mark.parametrize(("how", "error"), [("memory", MemoryError), ("disk", OSError), ("stop", KeyboardInterrupt)])
def test_faults_of_the_machine_are_no_results(how: str, error: type[BaseException]) -> None:
    with pytest.raises(error):
        replicate(TINY, [Misbehaves(how)], SEED)


def _rng(seed: np.random.SeedSequence) -> np.random.Generator:
    return np.random.default_rng(named_child(seed, TRIAL))
