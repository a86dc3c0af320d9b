"""A replicate: pure, with streams of its own for every method, and with failures on record."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_methods import FailsSometimes, RiskByArm

from hte_utils.methods.estimates import MethodResult
from hte_utils.methods.measures import MEASURES
from hte_utils.methods.registry import named_child
from hte_utils.study.generate import PROFILE_NAMES, profiles, simulate
from hte_utils.study.replicate import (
    POPULATION,
    POPULATIONS,
    TRIAL,
    Row,
    replicate,
    replicate_seed,
    seed_text,
)
from hte_utils.study.scenarios import Scenario

TINY = Scenario("tiny", "tiny", n_patients=300, population_size=400)
SEED = replicate_seed(1, TINY.name, 0)
NOISY = RiskByArm(name="noisy", noise=0.02)


def written_seed(text: str) -> np.random.SeedSequence:
    """A seed again, from the line that is stored."""
    entropy, key = text.split("/")
    return np.random.SeedSequence(int(entropy), spawn_key=tuple(int(word) for word in key.split(".")))


def _numbers(rows: Sequence[Row], method: str) -> list[tuple[str, ...]]:
    """Everything but the circumstances, as text, so that NaN equals NaN and every bit counts."""
    return [
        (
            row["population"],
            row["seed"],
            row["error"],
            row["message"],
            row["notes"],
            repr({name: row[name] for name in MEASURES}),
        )
        for row in rows
        if row["method"] == method
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
    assert [(row["method"], row["population"]) for row in rows] == [
        (method, name) for method in ("risk-by-arm", "noisy") for name in POPULATIONS
    ]
    assert {row["seed"] for row in rows} == {seed_text(SEED)}
    assert json.loads(rows[0]["notes"])["treated"] > 0
    assert rows[0]["seconds"] > 0
    assert all(math.isnan(row["seconds"]) and not row["notes"] for row in rows[1 : len(POPULATIONS)])


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
    assert rows[0]["rd_rmse"] != rows[half]["rd_rmse"]
    assert rows[0]["ate_truth"] == rows[half]["ate_truth"]


def test_a_row_can_be_made_again_from_its_seed() -> None:
    row = replicate(TINY, [RiskByArm()], SEED)[0]
    trial = simulate(TINY, np.random.default_rng(named_child(written_seed(row["seed"]), TRIAL)))
    rates = trial.table.groupby("treatment", observed=True)["event"].mean()
    assert row["ate_estimate"] == pytest.approx(rates["Treatment"] - rates["Control"])
    assert row["ate_truth"] == pytest.approx(trial.truth.risk_difference.mean())


def test_profiles_are_measured_one_by_one() -> None:
    rows = {row["population"]: row for row in replicate(TINY, [RiskByArm()], SEED)}
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
        assert all((row["error"] == "ArithmeticError") == (seed in failed) for row in rows)
        assert rows[0]["warnings"] == "RuntimeWarning"
        if seed in failed:
            assert rows[0]["message"].endswith("<object object at 0x...>")  # an address would differ from run to run
            assert all(math.isnan(row[name]) for row in rows for name in MEASURES)
            assert rows[0]["seed"] == seed_text(seed)


@pytest.mark.parametrize(
    ("how", "error"), [("returns None", "AttributeError"), ("too few", "ValueError"), ("wrong patients", "ValueError")]
)
def test_wrong_results_are_failures(how: str, error: str) -> None:
    rows = replicate(TINY, [Misbehaves(how), RiskByArm()], SEED)
    assert {row["error"] for row in rows if row["method"] == "misbehaves"} == {error}
    assert {row["error"] for row in rows if row["method"] == "risk-by-arm"} == {""}


@pytest.mark.parametrize(("how", "error"), [("memory", MemoryError), ("disk", OSError), ("stop", KeyboardInterrupt)])
def test_faults_of_the_machine_are_no_results(how: str, error: type[BaseException]) -> None:
    with pytest.raises(error):
        replicate(TINY, [Misbehaves(how)], SEED)


def _rng(seed: np.random.SeedSequence) -> np.random.Generator:
    return np.random.default_rng(named_child(seed, TRIAL))


def _state(seed: np.random.SeedSequence) -> tuple[int, ...]:
    return tuple(seed.generate_state(4).tolist())


def test_numbers_are_numpys_own_children() -> None:
    """A number's branch is the one that SeedSequence.spawn gives."""
    root = np.random.SeedSequence(42)
    spawned = np.random.SeedSequence(42).spawn(3)
    assert [_state(named_child(root, k)) for k in range(3)] == [_state(child) for child in spawned]


def test_the_parent_is_not_changed() -> None:
    root = np.random.SeedSequence(42)
    named_child(root, "a", 1)
    assert root.n_children_spawned == 0


def test_names_and_numbers_lead_apart() -> None:
    paths = [("a",), ("b",), ("a", 0), ("a", 1), ("a", "b"), ("b", "a"), (0,), (1,), (0, 1), (1, 0)]
    states = {_state(named_child(np.random.SeedSequence(1), *path)) for path in paths}
    assert len(states) == len(paths)
    many = {_state(replicate_seed(1, name, k)) for name in ("x", "y") for k in range(500)}
    assert len(many) == 1000


@given(st.integers(0, 2**63 - 1), st.text(max_size=20), st.integers(0, 2**32 - 1))
def test_a_written_seed_is_read_again(seed: int, name: str, number: int) -> None:
    sequence = replicate_seed(seed, name, number)
    assert _state(written_seed(seed_text(sequence))) == _state(sequence)


def test_known_streams_stay_what_they_are() -> None:
    """Stored results depend on this tree: a change of it must be seen."""
    digest = hashlib.sha256(b"as-printed").digest()
    words = np.frombuffer(digest[:8], ">u4").tolist()
    assert seed_text(replicate_seed(1, "as-printed", 7)) == f"1/{words[0]}.{words[1]}.7" == "1/2209997260.66198736.7"


@pytest.mark.parametrize(
    ("notes", "flags"),
    [
        ({}, ""),
        ({"pareto_k": 1.0, "ess": 900.0}, ""),
        ({"separation": 1.0, "not_converged": 1.0}, "not_converged;separation"),
        ({"nuts_fallback": 0.0}, ""),
    ],
)
def test_flags_are_the_notes_that_a_reader_must_know(notes: dict[str, float], flags: str) -> None:
    def method(trial, populations, rng):  # type: ignore[no-untyped-def]
        return replace(RiskByArm()(trial, populations, rng), notes=notes)

    method.name = "noted"  # type: ignore[attr-defined]
    rows = replicate(TINY, [method], SEED)  # type: ignore[list-item]
    assert [row["flags"] for row in rows] == [flags] + [""] * (len(POPULATIONS) - 1)
