"""Who is blamed when workers die: a pool that follows a script in place of real processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest
from study_methods import RiskByArm

from hte_utils.study.block import Block, Tables
from hte_utils.study.scenario import Scenario
from hte_utils.study.supervision import MOST_DEATHS, completed

TINY = Scenario("tiny", "tiny", n_patients=300, population_size=400)
ALL = (RiskByArm(name="a"), RiskByArm(name="b"), RiskByArm(name="c"))


def block(numbers: range) -> Block:
    return Block(TINY, ALL, tuple(numbers), 1, ("x", "y", "z"))


@dataclass
class ScriptedPool:
    """Every block under way dies when one of them holds what `deadly` names."""

    deadly: Callable[[int, str], bool]
    capacity: int = 3
    flying: dict[int, Block] = field(default_factory=dict)
    alone: list[int] = field(default_factory=list)
    count: int = 0

    def submit(self, block: Block) -> int:
        self.count += 1
        self.flying[self.count] = block
        self.alone.append(len(self.flying))
        return self.count

    def finished(self, handles: Collection[int]) -> Collection[int]:
        dies = any(self.deadly(n, m.name) for b in self.flying.values() for n in b.replicates for m in b.methods)
        self.outcome = None if dies else {}
        return list(handles) if dies else [min(handles)]

    def result(self, handle: int) -> Tables | None:
        block = self.flying.pop(handle)
        return None if self.outcome is None else {method.name: block.replicates for method in block.methods}  # type: ignore[misc]


def _runs(pool: ScriptedPool, blocks: list[Block]) -> tuple[Counter[tuple[int, str]], list[Block]]:
    runs: Counter[tuple[int, str]] = Counter()
    recorded = []
    for done, tables in completed(pool, blocks):
        runs.update((number, method.name) for number in done.replicates for method in done.methods)
        if any(not isinstance(table, tuple) for table in tables.values()):
            recorded.append(done)
    return runs, recorded


def test_without_deaths_every_block_comes_back_whole() -> None:
    pool = ScriptedPool(lambda number, method: False)
    blocks = [block(range(k, k + 4)) for k in range(0, 40, 4)]
    done = [each for each, _ in completed(pool, blocks)]
    assert sorted(b.replicates for b in done) == [b.replicates for b in blocks]
    assert max(pool.alone) == pool.capacity


def test_one_death_is_forgiven() -> None:
    deaths = iter([True])
    pool = ScriptedPool(lambda number, method: next(deaths, False))
    runs, recorded = _runs(pool, [block(range(k, k + 4)) for k in range(0, 40, 4)])
    assert set(runs.values()) == {1}
    assert len(runs) == 40 * 3
    assert not recorded
    assert pool.count == 10 + 3  # the three under way once more, whole


def test_the_culprit_alone_is_given_up() -> None:
    pool = ScriptedPool(lambda number, method: (number, method) == (17, "b"))
    runs, recorded = _runs(pool, [block(range(k, k + 8)) for k in range(0, 40, 8)])
    assert set(runs.values()) == {1}
    assert len(runs) == 40 * 3
    (given_up,) = recorded
    assert (given_up.replicates, [m.name for m in given_up.methods], given_up.digests) == ((17,), ["b"], ("y",))


def test_it_is_recorded_with_its_error_and_seed() -> None:
    pool = ScriptedPool(lambda number, method: (number, method) == (1, "c"))
    tables = [t["c"] for b, t in completed(pool, [block(range(2))]) if b.replicates == (1,) and "c" in t]
    rows = tables[0].to_pylist()
    assert {row["error"] for row in rows} == {"WorkerDiedError"}
    assert {row["message"] for row in rows} == {
        f"the process that ran it died {MOST_DEATHS} times, with nothing else beside it"
    }
    assert all(row["seed"].endswith(".1") for row in rows)


def test_suspects_are_tried_alone() -> None:
    pool = ScriptedPool(lambda number, method: (number, method) == (3, "a"))
    _runs(pool, [block(range(k, k + 2)) for k in range(0, 20, 2)])
    assert pool.alone[:3] == [1, 2, 3]
    first_deaths = 3
    halvings = 3  # of 2 replicates x 3 methods
    assert pool.alone[3 : 3 + first_deaths + halvings] == [1] * (first_deaths + halvings)


def test_a_single_run_cannot_be_divided() -> None:
    single = Block(TINY, ALL[:1], (0,), 1, ("x",))
    with pytest.raises(ValueError, match="cannot be divided"):
        single.halves()
    first, second = block(range(1)).halves()
    assert [m.name for m in (*first.methods, *second.methods)] == ["a", "b", "c"]
