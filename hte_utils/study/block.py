"""The unit of work that travels to a worker: some replicates of one scenario, for some methods.

How replicates are put into blocks decides when results are stored and nothing else: every row depends on its own
scenario, method and seed alone.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
from threadpoolctl import threadpool_limits

from hte_utils.study.cell import CellDefinition
from hte_utils.study.replicate import died_rows, replicate
from hte_utils.study.scenario import Scenario
from hte_utils.study.seeds import replicate_seed
from hte_utils.study.table import to_table

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import Method

type Tables = Mapping[str, pa.Table]
"""Results by method."""

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class OtherCodeError(RuntimeError):
    """A worker has other code or libraries than the process that runs the study."""


@dataclass(frozen=True, slots=True)
class Block:
    """Some replicates of one scenario, for some methods.

    Attributes
    ----------
    scenario, methods, replicates
        What to compute; replicates by number, from 0.
    seed
        The study's seed.
    digests
        Digest of the `CellDefinition` of each method, where the study was started.
    """

    scenario: Scenario
    methods: tuple[Method, ...]
    replicates: tuple[int, ...]
    seed: int
    digests: tuple[str, ...]

    @property
    def is_single(self) -> bool:
        """Whether it is one replicate of one method, which cannot be divided."""
        return len(self.replicates) == len(self.methods) == 1

    def halves(self) -> tuple[Block, Block]:
        """Divide it: by replicates, or by methods if there is one replicate."""
        if self.is_single:
            raise ValueError("one replicate of one method cannot be divided")
        if len(self.replicates) > 1:
            middle = len(self.replicates) // 2
            return replace(self, replicates=self.replicates[:middle]), replace(
                self, replicates=self.replicates[middle:]
            )
        middle = len(self.methods) // 2
        return (
            replace(self, methods=self.methods[:middle], digests=self.digests[:middle]),
            replace(self, methods=self.methods[middle:], digests=self.digests[middle:]),
        )

    def __str__(self) -> str:
        names = ", ".join(method.name for method in self.methods)
        return (
            f"scenario {self.scenario.name}, replicates {self.replicates[0]} to {self.replicates[-1]}, methods {names}"
        )


def compute(block: Block) -> Tables:
    """Compute a block, on one thread.

    One thread on purpose: workers are as many as processors, and the rounding of a matrix product can depend on the
    number of threads.

    Raises
    ------
    OtherCodeError
        If the code here is not that of the process that started the study.
    MemoryError, OSError
        Faults of the machine.
    """
    for method, digest in zip(block.methods, block.digests, strict=True):
        if CellDefinition.of(block.scenario, method, block.seed).digest != digest:
            raise OtherCodeError(
                f"the code or libraries of this worker are not those of the process that started the study (method "
                f"{method.name!r}): install the same version on every worker, and do not edit code during a study"
            )
    found: dict[str, list[tuple[int, object]]] = {method.name: [] for method in block.methods}
    with threadpool_limits(limits=1):
        for number in block.replicates:
            seed = replicate_seed(block.seed, block.scenario.name, number)
            for row in replicate(block.scenario, block.methods, seed):
                found[row.method].append((number, row))
    return {name: to_table(rows) for name, rows in found.items()}  # type: ignore[arg-type]


def record_death(block: Block, deaths: int) -> Tables:
    """Make the results of a single replicate and method whose process died each time."""
    (method,), (number,) = block.methods, block.replicates
    message = f"the process that ran it died {deaths} times, with nothing else beside it"
    rows = died_rows(method, replicate_seed(block.seed, block.scenario.name, number), message)
    return {method.name: to_table((number, row) for row in rows)}


def use_one_thread() -> None:
    """Keep every numerical library of this process, loaded or to be loaded, to one thread."""
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    threadpool_limits(limits=1)
