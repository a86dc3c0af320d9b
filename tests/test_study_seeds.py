"""Seeds: the tree of random streams."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.study.seeds import named_child, replicate_seed, seed_of, seed_text, study_seed


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
    assert _state(seed_of(seed_text(sequence))) == _state(sequence)


def test_known_streams_stay_what_they_are() -> None:
    """Stored results depend on this tree: a change of it must be seen."""
    digest = hashlib.sha256(b"as-printed").digest()
    words = np.frombuffer(digest[:8], ">u4").tolist()
    assert seed_text(replicate_seed(1, "as-printed", 7)) == f"1/{words[0]}.{words[1]}.7" == "1/2209997260.66198736.7"


@pytest.mark.parametrize("bad", [-1, 2**63, 1.5, None, "1"])
def test_bad_study_seeds_are_refused(bad: object) -> None:
    with pytest.raises((TypeError, ValueError), match="seed"):
        study_seed(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "1", "a/b", "1/x"])
def test_bad_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="written as"):
        seed_of(text)
