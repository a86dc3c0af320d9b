"""From a file to a table whose values are still text, and from text to numbers and labels.

CSV files are read as people have them: any of four separators, decimal commas, UTF-8, UTF-16 or Windows-1252. Nothing
is guessed without a word: `notes` say what was assumed.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from hte_utils.model.checks import FloatArray

LARGEST_FILE = 500_000_000
"""Bytes of a CSV file beyond which a report would need more memory than most computers have to spare."""
MISSING_WORDS = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "<NA>", "#N/A", ".")
_SEPARATORS = ",;\t|"


class DataError(ValueError):
    """The table does not allow the report: the message names the column, what was found, the rule and the remedy."""


class Table(NamedTuple):
    """A trial's table, the name it goes by, and what was assumed in reading it."""

    frame: pd.DataFrame
    name: str
    notes: list[str]


def read_table(path: str | Path, columns: Sequence[str] | None = None) -> Table:
    """Read the named columns (all if None) of a CSV, Parquet or Excel file; DataError says in words what is wrong."""
    file = Path(path)
    if not file.is_file():
        raise DataError(f"there is no file {str(path)!r}: give the path of a CSV, Parquet or Excel file")
    if not file.stat().st_size:
        raise DataError(f"{file.name!r} is empty: it needs a header and one row per patient")
    kind = file.suffix.lower()
    try:
        if kind == ".parquet":
            return Table(pd.read_parquet(file), file.name, [])
        if kind in (".xlsx", ".xlsm"):
            return Table(pd.read_excel(file, dtype=object), file.name, ["The first sheet of the workbook was read."])
        return _read_csv(file, columns)
    except DataError:
        raise
    except Exception as error:  # whatever a reader of files raises, its first line is what can be said
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file.name!r} cannot be read as {kind or 'CSV'}: {first}") from error


def _read_csv(file: Path, columns: Sequence[str] | None) -> Table:
    if file.stat().st_size > LARGEST_FILE:
        raise DataError(
            f"{file.name!r} has {file.stat().st_size / 1e6:.0f} MB, more than the {LARGEST_FILE / 1e6:.0f} MB that are "
            "read as CSV: save only the columns that are needed, or a Parquet file"
        )
    encoding, notes = _encoding(file)
    separator = _separator(file, encoding)
    with file.open(encoding=encoding, newline="") as lines:
        rows = csv.reader(lines, delimiter=separator)
        header = next(rows)
        for row in rows:
            if row and len(row) != len(header):
                raise DataError(
                    f"line {rows.line_num} of {file.name!r} has {len(row)} fields, the header has {len(header)}: the "
                    "file is truncated, or a separator stands inside a value (put it in quotes)"
                )
    if separator != ",":
        notes.append(f"Columns are separated by {'tabs' if separator == chr(9) else repr(separator)}.")
    require_columns(header, columns or ())
    wanted = [place for place, name in enumerate(header) if columns is None or name in columns]
    frame = pd.read_csv(
        file, sep=separator, encoding=encoding, dtype=str, keep_default_na=False, header=0,
        names=range(len(header)), usecols=wanted, index_col=False,
    )  # fmt: skip
    frame.columns = pd.Index([header[place] for place in sorted(wanted)])
    if frame.empty:
        raise DataError(f"{file.name!r} has a header but no rows: it needs one row per patient")
    frame.index = pd.RangeIndex(2, len(frame) + 2)  # lines of the file, as people count them
    return Table(frame, file.name, notes)


def _encoding(file: Path) -> tuple[str, list[str]]:
    with file.open("rb") as content:
        start = content.read(4096)
        if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return "utf-16", ["The file is encoded as UTF-16."]
        if b"\0" in start:
            raise DataError(f"{file.name!r} is a binary file and no text: give a CSV, Parquet or Excel file")
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for _ in lines:
                pass
    except UnicodeDecodeError:
        return "cp1252", ["The file is not UTF-8; it was read as Windows-1252."]
    return "utf-8-sig", []


def _separator(file: Path, encoding: str) -> str:
    """The separator by which the first rows have equally many fields, more than one."""
    best, most = ",", 1
    for separator in _SEPARATORS:
        with file.open(encoding=encoding, newline="") as lines:
            rows = csv.reader(lines, delimiter=separator)
            sizes = [len(row) for row, _ in zip(rows, range(20), strict=False) if row]
        if sizes and sizes[0] > most and sizes.count(sizes[0]) >= len(sizes) / 2:
            best, most = separator, sizes[0]
    return best


def require_columns(names: Sequence[object], wanted: Sequence[str]) -> None:
    """Refuse a table that lacks a wanted column, or has it twice."""
    for name in wanted:
        found = list(names).count(name)
        if found > 1:
            raise DataError(f"there are {found} columns named {name!r}: keep one of them")
        if not found:
            close = difflib.get_close_matches(name, [str(each) for each in names], 1, cutoff=0.5)
            shown = (
                f"did you mean {close[0]!r}?" if close else f"there are {values_shown([str(each) for each in names])}"
            )
            raise DataError(f"there is no column {name!r}: {shown}")


class Labels(NamedTuple):
    """A column as categories: the place of each patient's label in `levels`, -1 where it is missing."""

    codes: npt.NDArray[np.int64]
    levels: list[str]


def labels_of(column: pd.Series) -> Labels:
    """A column of any type as text labels: categories in their order, other values sorted."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = column.cat.remove_unused_categories()
        codes, values = np.asarray(used.cat.codes, np.int64), used.cat.categories.tolist()
    else:
        codes, found = pd.factorize(column, use_na_sentinel=True)
        values = list(found)
    texts = [_text(value) for value in values]
    keep_order = isinstance(column.dtype, pd.CategoricalDtype)
    levels = list(dict.fromkeys(text for text in texts if text not in MISSING_WORDS))
    if not keep_order:
        levels.sort(key=lambda text: (0, float(text), text) if _is_number(text) else (1, 0.0, text))
    place = {level: number for number, level in enumerate(levels)}
    new_codes = np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int64)
    return Labels(new_codes[codes], levels)


def numbers_of(column: pd.Series) -> FloatArray | None:
    """A column as numbers (NaN where missing), shape (patients,); None if it holds anything else.

    Text counts as numbers if every value is one; a decimal comma is allowed, and `has_decimal_comma` tells of it.
    """
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    codes, values = pd.factorize(column)
    numbers = np.full(len(values) + 1, np.nan)  # the last is that of a missing value, whose code is -1
    for place, text in enumerate(map(_text, values)):
        if text in MISSING_WORDS:
            continue
        dotted = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
        if not _is_number(dotted):
            return None
        numbers[place] = float(dotted)
    return numbers[codes]


def has_decimal_comma(column: pd.Series) -> bool:
    """Whether a column of numbers writes a decimal comma; DataError if it may as well be one of thousands."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return False
    parts = [_text(value).split(",") for value in column.unique() if "," in _text(value)]
    if parts and all(len(part) == 2 and len(part[1]) == 3 for part in parts):
        raise DataError(
            f"column {column.name!r} holds numbers such as {','.join(parts[0])!r}: the comma may be one of decimals or "
            "of thousands. Write decimals with a point, and thousands without a mark"
        )
    return bool(parts)


def missing_in(column: pd.Series) -> npt.NDArray[np.bool_]:
    """Where a value is missing, shape (patients,)."""
    found = column.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return np.asarray(found)
    return np.asarray(found | column.astype(str).str.strip().isin(MISSING_WORDS).to_numpy())


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _is_number(text: str) -> bool:
    # float() also takes digits of other scripts and underscores, which no table of a trial means as numbers.
    try:
        float(text)
    except ValueError:
        return False
    return text.isascii() and "_" not in text


def values_shown(names: Sequence[str]) -> str:
    """A few names or values for a message."""
    shown = ", ".join(repr(name[:40]) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
