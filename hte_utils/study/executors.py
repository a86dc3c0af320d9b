"""Who computes the blocks: this process, a pool of processes, or a Dask cluster. The results are the same bits.

An executor is a small record that says what is wanted; `open` starts it. A pool takes blocks and gives results; what
happens when a worker dies is decided in one place for all of them (`hte_utils.study.supervision`).
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_objects
from typing import TYPE_CHECKING, Any, Protocol

from hte_utils.r_arguments import checked_count
from hte_utils.study.block import Block, Tables, compute, use_one_thread

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Pool(Protocol):
    """Workers that are running."""

    @property
    def capacity(self) -> int:
        """How many blocks to keep under way, so that nobody waits for work."""

    def submit(self, block: Block) -> Any:
        """Begin a block; returns a handle on it."""

    def finished(self, handles: Collection[Any]) -> Collection[Any]:
        """Wait until at least one of the handles is finished, and return those that are.

        Raises
        ------
        WorkersLostError
            If no result can come any more.
        """

    def result(self, handle: Any) -> Tables | None:
        """The results of a finished handle; None if the worker died. Exceptions of the block itself are raised."""


class Executor(Protocol):
    """A way to get workers."""

    def open(self) -> AbstractContextManager[Pool]:
        """Start the workers, and stop them when the context is left, in whatever way."""


class WorkersLostError(RuntimeError):
    """The workers, or the scheduler, are gone. What was stored is stored; the same command completes the rest."""


@dataclass(frozen=True, slots=True)
class Serial:
    """Computes in this process, one block after another."""

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Start: there is nothing to start."""
        yield _SerialPool()


class _SerialPool:
    capacity = 1

    def submit(self, block: Block) -> Future[Tables]:
        future: Future[Tables] = Future()
        future.set_result(compute(block))
        return future

    def finished(self, handles: Collection[Future[Tables]]) -> Collection[Future[Tables]]:
        return list(handles)

    def result(self, handle: Future[Tables]) -> Tables | None:
        return handle.result()


@dataclass(frozen=True, slots=True)
class Processes:
    """Computes in a pool of processes on this machine.

    Parameters
    ----------
    workers
        Number of processes; None for one on each processor that this process may use.
    """

    workers: int | None = None

    def __post_init__(self) -> None:
        if self.workers is not None:
            object.__setattr__(self, "workers", checked_count("workers", self.workers, least=1, most=10_000))

    @contextmanager
    def open(self) -> Iterator[Pool]:
        """Start the processes; they are ended when the context is left, and end themselves if this process dies."""
        pool = _ProcessPool(self.workers or available_processors())
        try:
            yield pool
        finally:
            pool.end()


class _ProcessPool:
    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor = self._started()

    @property
    def capacity(self) -> int:
        return self._workers + 1  # one waits, so that nobody does

    def submit(self, block: Block) -> Future[Tables]:
        try:
            return self._executor.submit(compute, block)
        except BrokenProcessPool:  # a worker died, and with it the whole pool
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = self._started()
            return self._executor.submit(compute, block)

    def finished(self, handles: Collection[Future[Tables]]) -> Collection[Future[Tables]]:
        return wait(handles, return_when=FIRST_COMPLETED).done

    def result(self, handle: Future[Tables]) -> Tables | None:
        try:
            return handle.result()
        except BrokenProcessPool:
            return None

    def end(self) -> None:
        # Results that nobody will store are not worth waiting for.
        processes = list((getattr(self._executor, "_processes", None) or {}).values())
        self._executor.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()

    def _started(self) -> ProcessPoolExecutor:
        # A fresh interpreter for each worker: forking one that has threads (BLAS, Dask, notebooks) can hang.
        context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
        context.set_forkserver_preload(["hte_utils.study.block"])  # imported once, not by each worker
        return ProcessPoolExecutor(self._workers, mp_context=context, initializer=begin_worker)


def begin_worker() -> None:
    """Make a process a worker: one thread, deaf to Ctrl-C (which its parent handles), gone when its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    use_one_thread()
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for_objects([sentinel])
    os._exit(1)


def available_processors() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_portable(block: Block) -> None:
    """Check that a block can be sent to another process.

    Raises
    ------
    TypeError
        If it cannot: a method is a lambda, or was defined in a notebook's cell.
    """
    try:
        pickle.dumps(block)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"these methods cannot be sent to other processes ({error}). Define them in a module (an importable .py "
            "file), or use the executor Serial()"
        ) from error
