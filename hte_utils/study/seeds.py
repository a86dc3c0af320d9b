"""Which random numbers belong to what: seeds that depend on names and numbers, never on the order of work.

A replicate's seed is a descendant of the study's seed in NumPy's `SeedSequence` tree, and each use of randomness within
the replicate (the trial, every method) a descendant of that. The branches are named: the place in the tree is a digest
of the name, where `SeedSequence.spawn` would take a running number. So another method, another scenario, another order,
another number of workers or of replicates changes nobody's random numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import cast

import numpy as np

from hte_utils.r_arguments import checked_count

_LARGEST_SEED = 2**63 - 1
_LARGEST_WORD = 2**32 - 1


def named_child(parent: np.random.SeedSequence, *path: str | int) -> np.random.SeedSequence:
    """Return the descendant of `parent` under these names; `parent` itself is not changed.

    Parameters
    ----------
    parent
        Any seed sequence.
    path
        Names (each becomes 64 bits of its SHA-256 digest) and numbers from 0 (taken as they are).
    """
    words: list[int] = []
    for step in path:
        if isinstance(step, str):
            digest = hashlib.sha256(step.encode()).digest()
            words += [int.from_bytes(digest[:4], "big"), int.from_bytes(digest[4:8], "big")]
        else:
            words.append(checked_count("a seed's number", step, most=_LARGEST_WORD))
    key = (*parent.spawn_key, *words)
    return np.random.SeedSequence(parent.entropy, spawn_key=key, pool_size=parent.pool_size)


def study_seed(seed: int) -> int:
    """Check a study's seed: a whole number from 0 to 2⁶³ - 1.

    Raises
    ------
    TypeError, ValueError
        If it is not.
    """
    return checked_count("seed", seed, most=_LARGEST_SEED)


def replicate_seed(seed: int, scenario: str, number: int) -> np.random.SeedSequence:
    """Return a replicate's seed, from the study's seed, the scenario's name and the replicate's number (from 0)."""
    return named_child(np.random.SeedSequence(study_seed(seed)), scenario, number)


def seed_text(seed: np.random.SeedSequence) -> str:
    """Write a seed as one line, ``entropy/word.word...``; `seed_of` reads it."""
    return f"{seed.entropy}/{'.'.join(map(str, seed.spawn_key))}"


def seed_of(text: str) -> np.random.SeedSequence:
    """Make a seed again from the line that `seed_text` wrote.

    Raises
    ------
    ValueError
        If it is no such line.
    """
    try:
        entropy, key = text.split("/")
        words: Sequence[int] = [int(word) for word in key.split(".")] if key else []
        return np.random.SeedSequence(int(entropy), spawn_key=cast("tuple[int, ...]", tuple(words)))
    except ValueError as error:
        raise ValueError(f"a seed is written as 'entropy/word.word...'; got {text!r}") from error
