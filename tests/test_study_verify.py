"""Stored replicates run again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from study_methods import METHODS

from hte_utils.study.cell import CellDefinition
from hte_utils.study.run import run_study
from hte_utils.study.scenario import Scenario
from hte_utils.study.store import StudyStore
from hte_utils.study.table import from_bytes
from hte_utils.study.verify import verify

TINY = Scenario("tiny", "tiny", n_patients=200, population_size=200)
CHOSEN = {name: METHODS[name] for name in ("noisy", "fails-sometimes")}
SCENARIOS = {"tiny": TINY}


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    store = StudyStore(tmp_path)
    run_study([TINY], list(CHOSEN.values()), 4, 3, store)
    return store


def spoil(store: StudyStore, method: str, column: str, value: object) -> None:
    """Put another value into replicate 1 of a stored cell, in a file that is whole by its own name."""
    cell = CellDefinition.of(TINY, CHOSEN[method], 3)
    (path,) = (store.folder / "scenario=tiny" / f"method={method}").glob("*.parquet")
    table = from_bytes(path.read_bytes())
    path.unlink()
    values = table[column].to_pylist()
    place = table["replicate"].to_pylist().index(1)
    values[place] = value
    position = table.schema.get_field_index(column)
    store.write(cell, table.set_column(position, table.schema.field(position), pa.array(values)))


def test_what_was_stored_comes_out_again(store: StudyStore) -> None:
    found = verify(store, SCENARIOS, CHOSEN, replicates=100)
    assert found.passed
    assert len(found.checked) == 8  # everything there is
    assert found.checked["identical"].all()
    assert not found.changes
    assert found.n_values > 8 * 9 * 40


def test_the_last_bit_counts(store: StudyStore) -> None:
    value = store.read(methods=["noisy"], populations=["trial"])
    value = value.loc[value["replicate"] == 1, "rd_rmse"].iloc[0]
    spoil(store, "noisy", "rd_rmse", np.nextafter(value, 1.0))
    found = verify(store, SCENARIOS, CHOSEN, replicates=100)
    assert not found.passed
    (row,) = found.mismatches.to_dict("records")
    assert (row["method"], row["replicate"], row["column"]) == ("noisy", 1, "rd_rmse")
    assert 0 < row["relative_difference"] < 1e-15
    assert found.checked["identical"].sum() == 7


@pytest.mark.parametrize(("column", "value"), [("message", "another error"), ("lor_rmse", 0.5), ("seed", "1/2.3.4")])
def test_texts_and_gaps_count_too(store: StudyStore, column: str, value: object) -> None:
    spoil(store, "fails-sometimes", column, value)
    found = verify(store, SCENARIOS, CHOSEN, replicates=100)
    assert found.mismatches["column"].tolist() == [column]


def test_the_choice_is_fresh_unless_seeded(store: StudyStore) -> None:
    def chosen(seed: int | None) -> tuple[tuple[object, ...], ...]:
        return tuple(verify(store, SCENARIOS, CHOSEN, replicates=3, seed=seed).checked.itertuples(index=False))

    assert chosen(1) == chosen(1)
    assert len({chosen(None) for _ in range(6)}) > 1


def test_other_code_is_named_and_its_numbers_compared(store: StudyStore) -> None:
    changed = {"noisy": replace(METHODS["noisy"], noise=0.03)}
    found = verify(store, SCENARIOS, changed, replicates=2)
    assert not found.passed
    assert found.changes == {("tiny", "noisy"): ["method: noise 0.02 -> 0.03"]}


def test_nothing_to_check_is_an_error(store: StudyStore) -> None:
    with pytest.raises(ValueError, match="no results of these scenarios and methods"):
        verify(store, {}, CHOSEN)
    with pytest.raises(ValueError, match="replicates must be from 1"):
        verify(store, SCENARIOS, CHOSEN, replicates=0)
