"""What happens when a worker dies: who is to blame is found out, and only that is given up.

A process can die because somebody killed it, because memory ran out, or because compiled code crashed. Which of the
blocks under way was the cause cannot be seen, so all of them become suspects. A suspect is tried again with nothing
beside it; one that dies again is divided in halves, down to one replicate of one method. That is tried some times more
and then recorded as failed. Everything else is computed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from hte_utils.study.block import Block, Tables, record_death

if TYPE_CHECKING:
    from hte_utils.study.executors import Pool

MOST_DEATHS: Final = 3
"""How often a single replicate of a single method may take its process down, alone, before it counts as failed."""


def completed(pool: Pool, blocks: Iterable[Block]) -> Iterator[tuple[Block, Tables]]:
    """Compute blocks, and give each with its results as soon as they are there, in no particular order.

    Parameters
    ----------
    pool
        Workers that are running.
    blocks
        What to compute; taken as places become free.

    Yields
    ------
    tuple of Block and Tables
        Together, the results of every replicate of every block. A block whose worker died comes back in parts.
    """
    coming = iter(blocks)
    suspects: deque[tuple[Block, int]] = deque()  # with the number of times each died alone
    flying: dict[Any, tuple[Block, int | None]] = {}  # None: it was not alone
    exhausted = False
    while True:
        if suspects and not flying:
            block, deaths = suspects.popleft()
            flying[pool.submit(block)] = block, deaths
        elif not suspects:
            while not exhausted and len(flying) < pool.capacity:
                following = next(coming, None)
                exhausted = following is None
                if following is not None:
                    flying[pool.submit(following)] = following, None
        if not flying:
            return
        for handle in list(pool.finished(list(flying))):
            block, before = flying.pop(handle)
            tables = pool.result(handle)
            if tables is not None:
                yield block, tables
            elif before is None:
                suspects.append((block, 0))
            elif not block.is_single:
                suspects.extendleft((half, 0) for half in reversed(block.halves()))
            elif before + 1 < MOST_DEATHS:
                suspects.appendleft((block, before + 1))
            else:
                yield block, record_death(block, before + 1)
