"""The layout of stored results: one row for each replicate and population of a cell.

Columns: ``replicate`` and ``population`` (the key within a cell), ``seed``, ``error``, ``message``, ``notes`` (see
`hte_utils.study.replicate.ResultRow`), the measures, and the circumstances ``seconds`` and ``warnings``, which no
comparison looks at. Measures are 64-bit floats: they must be comparable bit for bit.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from hte_utils.study.measures import MEASURES

if TYPE_CHECKING:
    from hte_utils.study.replicate import ResultRow

CELL_KEY: Final = ("scenario", "method")
ROW_KEY: Final = ("replicate", "population")
TEXTS: Final = ("seed", "error", "message", "notes")
CIRCUMSTANCES: Final = ("seconds", "warnings")
COMPARED: Final = (*TEXTS, *MEASURES)
"""Columns that a repeated run must reproduce bit for bit."""

SCHEMA: Final = pa.schema(
    [
        pa.field("replicate", pa.int32(), nullable=False),
        pa.field("population", pa.string(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in TEXTS),
        *(pa.field(name, pa.float64(), nullable=False) for name in MEASURES),
        pa.field("seconds", pa.float64(), nullable=False),
        pa.field("warnings", pa.string(), nullable=False),
    ]
)
_FLOATS: Final = [field.name for field in SCHEMA if field.type == pa.float64()]
_STRINGS: Final = [field.name for field in SCHEMA if field.type == pa.string()]


def to_table(numbered: Iterable[tuple[int, ResultRow]]) -> pa.Table:
    """Make a table of rows and the numbers of their replicates."""
    rows = list(numbered)
    columns: dict[str, Sequence[object]] = {"replicate": [number for number, _ in rows]}
    for name in (*("population",), *TEXTS, *CIRCUMSTANCES):
        columns[name] = [getattr(row, name) for _, row in rows]
    for name in MEASURES:
        columns[name] = [row.measures[name] for _, row in rows]
    return pa.table({field.name: columns[field.name] for field in SCHEMA}, schema=SCHEMA)


def to_bytes(table: pa.Table) -> bytes:
    """Write a table as Parquet: Zstandard, floats split by byte, which is what random mantissas allow."""
    buffer = io.BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=9,
        use_dictionary=_STRINGS,
        use_byte_stream_split=_FLOATS,
        write_statistics=False,
    )
    return buffer.getvalue()


def from_bytes(content: bytes) -> pa.Table:
    """Read what `to_bytes` wrote.

    Raises
    ------
    ValueError
        If it has other columns: another version of this package wrote it.
    """
    table = pq.read_table(io.BytesIO(content))
    if not table.schema.equals(SCHEMA):
        odd = sorted(set(table.column_names) ^ set(SCHEMA.names))
        raise ValueError(f"the stored results have other columns than this version knows: {odd or 'other types'}")
    return table
