"""The layout of stored results."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from study_methods import FailsSometimes, RiskByArm

from hte_utils.study.measures import MEASURES
from hte_utils.study.replicate import replicate
from hte_utils.study.scenario import Scenario
from hte_utils.study.seeds import replicate_seed
from hte_utils.study.table import CIRCUMSTANCES, COMPARED, ROW_KEY, SCHEMA, from_bytes, to_bytes, to_table

TINY = Scenario("tiny", "tiny", n_patients=300, population_size=400)
ROWS = [
    (k, row) for k in range(3) for row in replicate(TINY, [RiskByArm(), FailsSometimes()], replicate_seed(1, "tiny", k))
]


def test_every_column_has_its_part() -> None:
    assert {*ROW_KEY, *COMPARED, *CIRCUMSTANCES} == set(SCHEMA.names)
    assert set(MEASURES) < set(COMPARED)
    assert not set(CIRCUMSTANCES) & set(COMPARED)


def test_writing_and_reading_keep_every_bit() -> None:
    table = to_table(ROWS)
    again = from_bytes(to_bytes(table))
    assert again.schema == SCHEMA
    for name in MEASURES:
        written = np.array([row.measures[name] for _, row in ROWS])
        assert again[name].to_numpy().tobytes() == written.tobytes()
        assert again[name].null_count == 0  # NaN is a value and not a gap
    for name in ("population", "seed", "error", "message", "notes", "warnings"):
        assert again[name].to_pylist() == [getattr(row, name) for _, row in ROWS]
    assert again["replicate"].to_pylist() == [k for k, _ in ROWS]
    assert math.isnan(again["seconds"].to_pylist()[1])


def test_no_rows_are_a_table_too() -> None:
    assert to_table([]).num_rows == 0


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match=r"other columns than this version knows: \['extra'\]"):
        from_bytes(to_bytes(to_table(ROWS).append_column("extra", pa.array([1.0] * len(ROWS)))))
    with pytest.raises(ValueError, match="other types"):
        from_bytes(to_bytes(to_table(ROWS).set_column(0, "replicate", pa.array([0] * len(ROWS), pa.int64()))))
