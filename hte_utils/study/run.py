"""Running a study on Dask: what is missing in the store is computed, in blocks, and stored block by block.

Whatever stops it (Ctrl-C, a killed worker, scheduler or process, a full disk) loses at most the blocks under way. The
same call completes the rest and repeats nothing. Every row depends on its own scenario, method and seed alone, so the
results do not depend on the number of workers, on how replicates are put into blocks, or on where they run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import batched, zip_longest
from typing import TYPE_CHECKING, Any, Final

import dask
import numpy as np
from dask.system import CPU_COUNT
from distributed import Client, KilledWorker, LocalCluster, as_completed
from distributed.comm.core import CommClosedError
from tqdm import tqdm

from hte_utils.methods.estimates import Method
from hte_utils.model.threads import one_thread
from hte_utils.study.replicate import died_rows, replicate, replicate_seed
from hte_utils.study.scenarios import Scenario
from hte_utils.study.store import Record, StudyStore, definition_of, this_run, to_table

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK_SIZE: Final = 5
"""Replicates of one method that are computed together before they are stored: what a stop can lose, for each worker."""

_GIBIBYTE: Final = str(2**30)
_ONE_THREAD: Final = ("OMP", "OPENBLAS", "MKL", "NUMBA", "BLIS")
_SETTINGS: Final = {
    "distributed.nanny.pre-spawn-environ": {
        # Dask's own trim threshold switches off the moving mmap threshold of the C library: every array above 128 kB
        # would be mapped and unmapped anew, which takes half of the time here.
        "MALLOC_TRIM_THRESHOLD_": _GIBIBYTE,
        "MALLOC_MMAP_THRESHOLD_": _GIBIBYTE,
        **{f"{library}_NUM_THREADS": "1" for library in _ONE_THREAD},
    },
    "distributed.scheduler.allowed-failures": 2,  # the third death of a block's worker is the block's fault
    "distributed.scheduler.worker-ttl": None,  # a machine that slept must not take its workers for dead
    "distributed.scheduler.worker-saturation": 1.0,  # nothing waits at a worker, to be blamed for its death
}


class WorkersLostError(RuntimeError):
    """The scheduler is gone. What was stored is stored; the same command completes the rest."""


class OtherCodeError(RuntimeError):
    """A worker has other code or libraries than the process that runs the study."""


@dataclass(frozen=True, slots=True)
class StudyReport:
    """How many runs (replicates of a scenario with a method) were computed, or found in the store.

    `failed` are those of the computed whose method raised an exception or took its process down; they are stored so.
    """

    computed: int
    found: int
    failed: int


@dataclass(frozen=True, slots=True)
class Block:
    """Some replicates of one scenario with one method, under the study's seed."""

    scenario: Scenario
    method: Method
    seed: int
    replicates: tuple[int, ...]

    def definition(self) -> Record:
        """What decides its results."""
        return definition_of(self.scenario, self.method, self.seed)

    def digest(self) -> str:
        """A digest of that."""
        return hashlib.sha256(json.dumps(self.definition(), sort_keys=True).encode()).hexdigest()

    def seed_of(self, number: int) -> np.random.SeedSequence:
        """A replicate's own seed."""
        return replicate_seed(self.seed, self.scenario.name, number)


@contextmanager
def study_client(workers: int | None = None, address: str | None = None, *, processes: bool = True) -> Iterator[Client]:
    """Start a Dask cluster on this machine, or connect to one.

    Parameters
    ----------
    workers
        Of the cluster on this machine, one thread each; None for one on each processor.
    address
        Of a scheduler (``tcp://host:8786``) whose workers have this package in the same version. The settings of that
        cluster are its own; with ``distributed.scheduler.worker-saturation: 1.0`` nothing waits at a worker, where it
        could be blamed for another block that takes its process down.
    processes
        Whether the workers are processes; if not, one thread of this process computes (for tests and tiny studies).
        A script that starts processes needs ``if __name__ == "__main__":``.

    """
    if address is not None:
        try:
            connected = Client(address, set_as_default=False)
        except (OSError, ValueError) as error:
            raise ConnectionError(
                f"no Dask scheduler answers at {address}; start one with 'dask scheduler', or correct the address"
            ) from error
        with connected as client:
            yield client
        return
    with (
        dask.config.set(_SETTINGS),
        LocalCluster(
            n_workers=(workers or CPU_COUNT) if processes else 1,
            threads_per_worker=1,
            processes=processes,
            dashboard_address="127.0.0.1:0",  # a free port: several studies at once are welcome
            silence_logs=logging.CRITICAL,  # deaths of workers are ours to report
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_worker_callbacks(setup=_ignore_interrupts)
        yield client


def run_study(
    scenarios: Sequence[Scenario],
    methods: Sequence[Method],
    replicates: int,
    seed: int,
    store: StudyStore,
    client: Client | None = None,
    *,
    block_size: int = BLOCK_SIZE,
    progress: bool | None = None,
) -> StudyReport:
    """Make sure that a store holds replicates 0 to `replicates` - 1 of every scenario with every method.

    More replicates than before continue the same sequence. The seed decides every random number, with a replicate's
    number and the names.

    Parameters
    ----------
    client
        Of the Dask cluster that computes; None starts one on this machine (`study_client`).
    block_size
        Number of replicates that are computed together before they are stored: what a stop can lose.
    progress
        Whether to show a progress bar with an estimate of the time left; None: if standard error is a terminal.

    Raises
    ------
    StoreMismatchError
        If the store holds results of other code, libraries, seed or scenarios for one of the cells.
    StoreError, WorkersLostError
        If results cannot be written (a full disk), or the Dask scheduler is gone.
    """
    for named in (scenarios, methods):
        if len({each.name for each in named}) < len(named):
            raise ValueError(f"scenarios and methods need different names; got {[each.name for each in named]}")
    plans = [
        _missing(Block(scenario, method, seed, tuple(range(replicates))), block_size, store)
        for scenario in scenarios
        for method in methods
    ]
    # All cells advance together, so that a stopped study is balanced and the estimate of the time left is fair.
    blocks = [block for layer in zip_longest(*plans) for block in layer if block is not None]
    wanted = sum(len(block.replicates) for block in blocks)
    found = replicates * len(scenarios) * len(methods) - wanted
    if not blocks:
        return StudyReport(0, found, 0)
    silent = not (sys.stderr.isatty() if progress is None else progress)
    with (
        tqdm(total=wanted, unit="run", smoothing=0.05, disable=silent, dynamic_ncols=True) as bar,
        study_client() if client is None else nullcontext(client) as connected,
    ):
        return StudyReport(wanted, found, _compute_all(connected, blocks, store, bar))


def _missing(everything: Block, size: int, store: StudyStore) -> list[Block]:
    """Put what the store lacks of a cell into blocks."""
    done = store.done(everything.definition())
    lacking = [number for number in everything.replicates if number not in done]
    return [replace(everything, replicates=numbers) for numbers in batched(lacking, size)]


def _compute_all(client: Client, blocks: Sequence[Block], store: StudyStore, bar: Any) -> int:
    """Compute and store the blocks; returns how many runs failed."""
    run, failed = this_run(), 0
    under_way = {_submitted(client, block, -place): block for place, block in enumerate(blocks)}
    waiting = as_completed(under_way, loop=client.loop)
    for future in waiting:
        block = under_way.pop(future)
        try:
            part = future.result()
        except KilledWorker as death:
            if len(block.replicates) > 1:  # find out which: the others are computed
                for number in block.replicates:
                    single = replace(block, replicates=(number,))
                    under_way[again := _submitted(client, single, 0)] = single
                    waiting.add(again)
                continue
            (number,) = block.replicates
            message = f"the process that ran it died {death.allowed_failures + 1} times"
            rows = died_rows(block.method, block.seed_of(number), message)
            part = to_table(block.scenario.name, ((number, row) for row in rows))
        except (CancelledError, CommClosedError) as error:
            raise WorkersLostError(
                "the Dask scheduler is gone. What was finished is stored; start the cluster and run the same command "
                "again for the rest"
            ) from error
        store.write(block.definition(), run, part)
        errors = zip(part["replicate"].to_pylist(), part["error"].to_pylist(), strict=True)
        failed += len({number for number, error in errors if error})
        bar.update(len(block.replicates))
    return failed


def _submitted(client: Client, block: Block, priority: int) -> Any:
    return client.submit(compute, block, block.digest(), pure=False, priority=priority)


def compute(block: Block, digest: str) -> pa.Table:
    """Compute a block in a worker, on one thread: workers are as many as processors."""
    if block.digest() != digest:
        raise OtherCodeError(
            f"the code or libraries of this worker are not those of the process that started the study (method "
            f"{block.method.name!r}): install the same version on every worker, and do not edit code during a study"
        )
    with one_thread():
        rows = (
            (number, row)
            for number in block.replicates
            for row in replicate(block.scenario, (block.method,), block.seed_of(number))
        )
        return to_table(block.scenario.name, rows)


def _ignore_interrupts() -> None:
    """Make a worker's process deaf to Ctrl-C: its terminal is ours, and the signal for us to handle."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
