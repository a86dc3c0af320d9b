"""The study on Dask: a local cluster, or any cluster that has a scheduler's address.

The workers of a cluster need this package and its libraries, in the same versions; every block checks that.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from hte_utils.r_arguments import checked_count
from hte_utils.study.block import Block, Tables, compute, use_one_thread
from hte_utils.study.executors import Pool, WorkersLostError, available_processors

_LOOK_EVERY: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True)
class Dask:
    """Computes on a Dask cluster.

    Parameters
    ----------
    address
        Of a scheduler, such as ``tcp://10.0.0.1:8786``; None starts a cluster on this machine.
    workers
        Number of workers of that local cluster, one thread each; None for one on each processor. A cluster with an
        address has its own.
    patience
        Seconds to wait for a scheduler to answer, and for a first worker or a new one when all are gone.

    Raises
    ------
    TypeError, ValueError
        If a number is out of range, or workers are asked for at an address.
    """

    address: str | None = None
    workers: int | None = None
    patience: float = 60.0

    def __post_init__(self) -> None:
        if self.workers is not None:
            if self.address is not None:
                raise ValueError(f"the cluster at {self.address} has its own workers; leave out workers={self.workers}")
            object.__setattr__(self, "workers", checked_count("workers", self.workers, least=1, most=10_000))
        if not self.patience > 0:
            raise ValueError(f"patience must be a number of seconds above 0; got {self.patience}")

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Connect to the scheduler, or start a local cluster, which is stopped when the context is left.

        Raises
        ------
        WorkersLostError
            If nobody answers at the address.
        """
        from distributed import LocalCluster

        if self.address is not None:
            with _connected(self.address, self.patience) as client:
                yield _DaskPool(client, self.patience)
            return
        start: Any = LocalCluster  # Dask has no type hints
        with (
            start(
                n_workers=self.workers or available_processors(),
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,  # deaths of workers are ours to report
            ) as cluster,
            _connected(cluster.scheduler_address, self.patience) as client,
        ):
            # Their terminal is ours: Ctrl-C is for this process to handle.
            client.register_worker_callbacks(setup=ignore_interrupts)
            yield _DaskPool(client, self.patience)


@contextmanager
def _connected(address: str, patience: float) -> Iterator[Any]:
    from distributed import Client

    connect: Any = Client
    try:
        client = connect(address, timeout=patience, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise WorkersLostError(
            f"no Dask scheduler answers at {address} within {patience:g} s ({error}); start one with 'dask scheduler', "
            "or correct the address"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=5)


class _DaskPool:
    def __init__(self, client: Any, patience: float) -> None:
        self._client = client
        self._patience = patience
        self._numbers = count()
        self._alone_since: float | None = None

    @property
    def capacity(self) -> int:
        threads = self._threads()
        return max(1, threads + (threads + 1) // 2)  # some wait, so that nobody does

    def submit(self, block: Block) -> Any:
        key = f"hte-study-{self._client.id}-{next(self._numbers)}"
        with _told_when_lost():
            return self._client.submit(compute_on_worker, block, key=key, pure=False)

    def finished(self, handles: Collection[Any]) -> Collection[Any]:
        from distributed import wait

        wait_for: Any = wait  # Dask has no type hints
        while True:
            try:
                with _told_when_lost(), self._client.as_current():
                    return list(wait_for(list(handles), timeout=_LOOK_EVERY, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                self._require_workers()

    def result(self, handle: Any) -> Tables | None:
        from distributed import KilledWorker

        try:
            with _told_when_lost():
                tables: Tables = handle.result()
        except KilledWorker:
            return None
        return tables

    def _require_workers(self) -> None:
        if self._threads():
            self._alone_since = None
            return
        self._alone_since = self._alone_since or time.monotonic()
        if time.monotonic() - self._alone_since > self._patience:
            raise WorkersLostError(_lost(f"the Dask cluster has had no worker for {self._patience:g} s"))

    def _threads(self) -> int:
        with _told_when_lost():
            if self._client.status != "running":
                raise WorkersLostError(_lost(f"the connection to the Dask scheduler is {self._client.status}"))
            return int(sum(self._client.nthreads().values()))


@contextmanager
def _told_when_lost() -> Iterator[None]:
    """Say in our words that the scheduler is gone; Dask has several, depending on the moment."""
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError) as error:
        raise WorkersLostError(_lost("the Dask scheduler is gone, or dropped the work")) from error


def ignore_interrupts() -> None:
    """Make this process deaf to Ctrl-C (as far as its main thread may)."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def compute_on_worker(block: Block) -> Tables:
    """Compute a block in a Dask worker, on one thread whatever the worker was started with."""
    use_one_thread()
    return compute(block)


def _lost(what: str) -> str:
    return f"{what}. What was finished is stored; start the cluster and run the same command again for the rest"
