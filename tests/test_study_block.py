"""Blocks of replicates."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
from study_methods import FailsSometimes, RiskByArm

from hte_utils.study.block import Block, OtherCodeError, compute
from hte_utils.study.cell import CellDefinition
from hte_utils.study.scenario import Scenario
from hte_utils.study.table import CIRCUMSTANCES

TINY = Scenario("tiny", "tiny", n_patients=300, population_size=400)
METHODS = (RiskByArm(name="noisy", noise=0.02), FailsSometimes())


def make(numbers: range) -> Block:
    digests = tuple(CellDefinition.of(TINY, method, 1).digest for method in METHODS)
    return Block(TINY, METHODS, tuple(numbers), 1, digests)


def rows(*blocks: Block) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {method.name: [] for method in METHODS}
    for block in blocks:
        for name, table in compute(block).items():
            found[name] += [repr(row) for row in table.drop_columns(list(CIRCUMSTANCES)).to_pylist()]
    return found


def test_results_do_not_depend_on_the_blocks() -> None:
    whole = rows(make(range(6)))
    assert rows(make(range(4)), make(range(4, 6))) == whole
    assert rows(*make(range(6)).halves()) == whole
    one, other = make(range(1)).halves()
    assert rows(one, other) == {name: each[: len(each) // 6] for name, each in whole.items()}


def test_a_block_travels() -> None:
    block = make(range(2))
    assert pickle.loads(pickle.dumps(block)) == block
    assert str(block) == "scenario tiny, replicates 0 to 1, methods noisy, fails-sometimes"


def test_workers_with_other_code_are_refused() -> None:
    with pytest.raises(OtherCodeError, match=r"'noisy'.*same version on every worker"):
        compute(replace(make(range(1)), digests=("other", "code")))
