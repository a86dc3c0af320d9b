"""Running a study: what is missing in the store is computed, in blocks, and stored block by block.

Whatever stops it (Ctrl-C, a killed worker, scheduler or process, a full disk) loses at most the blocks under way. The
same call completes the rest and repeats nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from tqdm import tqdm

from hte_utils.r_arguments import checked_count
from hte_utils.study.block import Block
from hte_utils.study.cell import CellDefinition
from hte_utils.study.executors import Executor, Serial, require_portable
from hte_utils.study.scenario import Scenario
from hte_utils.study.seeds import study_seed
from hte_utils.study.store import StudyStore
from hte_utils.study.supervision import completed

if TYPE_CHECKING:
    from hte_utils.comparators.estimates import Method

MOST_REPLICATES: Final = 1_000_000
BLOCK_SIZE: Final = 10

type Cells = dict[tuple[str, str], CellDefinition]


@dataclass(frozen=True, slots=True)
class StudyReport:
    """What a call of `run_study` did. A run is one replicate of one scenario with one method.

    Attributes
    ----------
    computed
        Runs that were computed and stored.
    found
        Runs that were in the store already.
    failed
        Those of the computed runs whose method raised an exception or took its process down; they are stored as such.
    """

    computed: int
    found: int
    failed: int


def run_study(
    scenarios: Sequence[Scenario],
    methods: Sequence[Method],
    replicates: int,
    seed: int,
    store: StudyStore,
    executor: Executor | None = None,
    *,
    block_size: int = BLOCK_SIZE,
    progress: bool | None = None,
) -> StudyReport:
    """Make sure that a store holds replicates 0 to `replicates` - 1 of every scenario with every method.

    Parameters
    ----------
    scenarios, methods
        Every combination is run. Names must differ.
    replicates
        Number of simulated trials for each scenario. More than before continues the same sequence.
    seed
        Seed of the study; with a replicate's number and the names it decides every random number.
    store
        Where results are looked for and put.
    executor
        `Serial`, `Processes` or `hte_utils.study.dask_executor.Dask`; None is `Serial`. The results are the same bits.
    block_size
        Number of replicates that are computed together before they are stored: what a stop can lose.
    progress
        Whether to show a progress bar with an estimate of the time left; None: if standard error is a terminal.

    Returns
    -------
    StudyReport
        How much was computed, found and failed.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it must be, before anything is computed.
    StoreMismatchError
        If the store holds results of other code, libraries, seed or scenarios for one of the cells.
    StoreError
        If results cannot be written (a full disk).
    WorkersLostError
        If the Dask cluster is gone.
    """
    _require_names("scenarios", scenarios)
    _require_names("methods", methods)
    count = checked_count("replicates", replicates, least=1, most=MOST_REPLICATES)
    size = checked_count("block_size", block_size, least=1, most=MOST_REPLICATES)
    checked_seed = study_seed(seed)
    definitions = {
        (scenario.name, method.name): CellDefinition.of(scenario, method, checked_seed)
        for scenario in scenarios
        for method in methods
    }
    for definition in definitions.values():
        store.begin(definition)
    plans = [_blocks(scenario, methods, count, checked_seed, size, store, definitions) for scenario in scenarios]
    blocks = [block for layer in zip_longest(*plans) for block in layer if block is not None]
    wanted = sum(len(block.replicates) * len(block.methods) for block in blocks)
    found = count * len(definitions) - wanted
    if not blocks:
        return StudyReport(0, found, 0)
    if executor is not None and not isinstance(executor, Serial):
        require_portable(blocks[0])
    failed = _compute(blocks, wanted, store, definitions, executor or Serial(), progress)
    return StudyReport(wanted, found, failed)


def _compute(
    blocks: Sequence[Block],
    wanted: int,
    store: StudyStore,
    definitions: Cells,
    executor: Executor,
    progress: bool | None,
) -> int:
    """Compute and store the blocks; returns how many runs failed."""
    failed = 0
    silent = not (sys.stderr.isatty() if progress is None else progress)
    with (
        tqdm(total=wanted, unit="run", smoothing=0.05, disable=silent, dynamic_ncols=True) as bar,
        executor.open() as pool,
    ):
        for block, tables in completed(pool, blocks):
            for name, table in tables.items():
                store.write(definitions[block.scenario.name, name], table)
                failed += len({number for number, error in _errors(table) if error})
            bar.update(len(block.replicates) * len(block.methods))
            if failed:
                bar.set_postfix(failed=failed, refresh=False)
    return failed


def _errors(table: object) -> Iterator[tuple[int, str]]:
    columns = table.to_pydict()  # type: ignore[attr-defined]
    return zip(columns["replicate"], columns["error"], strict=True)


def _blocks(
    scenario: Scenario,
    methods: Sequence[Method],
    count: int,
    seed: int,
    size: int,
    store: StudyStore,
    definitions: Cells,
) -> list[Block]:
    """Put what is missing of a scenario into blocks: replicates that lack the same methods go together."""
    done = {method.name: store.done(scenario.name, method.name) for method in methods}
    lacking: dict[tuple[Method, ...], list[int]] = {}
    for number in range(count):
        missing = tuple(method for method in methods if number not in done[method.name])
        if missing:
            lacking.setdefault(missing, []).append(number)
    return [
        Block(
            scenario=scenario,
            methods=missing,
            replicates=tuple(numbers[start : start + size]),
            seed=seed,
            digests=tuple(definitions[scenario.name, method.name].digest for method in missing),
        )
        for missing, numbers in lacking.items()
        for start in range(0, len(numbers), size)
    ]


def _require_names(what: str, named: Sequence[Scenario] | Sequence[Method]) -> None:
    names = [getattr(each, "name", None) for each in named]
    if not names:
        raise ValueError(f"a study needs at least one of the {what}; got none")
    if not all(isinstance(name, str) and name for name in names):
        raise TypeError(f"{what} must be records with a name; got {list(named)!r}")
    if any(set(name) & set('/\\=:*?"<>|') or name.startswith((".", "_")) for name in names if name):
        raise ValueError(f'the names of {what} become folders and must not hold any of /\\=:*?"<>|; got {names}')
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise ValueError(f"{what} must have different names, but {repeated} is there more than once; leave one out")
