"""Reading the columns of a trial table, and refusing bad ones with one clear error.

Every message names the column, what was found (with the first few rows, by index label), the rule, and the remedy.
``TypeError`` means that a column holds the wrong kind of thing, ``ValueError`` that it holds the wrong values;
``TrialWarning`` marks tables for which the analysis is still sound, but says less than it seems to.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Levels = tuple[Hashable, Hashable]

_ROWS_SHOWN = 5


class TrialWarning(UserWarning):
    """The posterior is still proper, but the priors decide more of it than the data."""


def rows_where(bad: npt.NDArray[np.bool_], index: pd.Index) -> str:
    """Number of the rows where `bad` holds, and the index labels of the first few."""
    found = index[bad].tolist()
    return f"{len(found)} row{'s' if len(found) != 1 else ''} (index {_quoted(found, _ROWS_SHOWN)})"


def require_columns(trial: pd.DataFrame, columns: Sequence[str]) -> None:
    """Check that `trial` is a table with at least one row that holds each of `columns` once."""
    if not isinstance(trial, pd.DataFrame):
        raise TypeError(f"the trial must be a pandas DataFrame with one row per patient, not {type(trial).__name__}")
    names = list(trial.columns)
    missing = [name for name in columns if name not in names]
    if missing:
        raise ValueError(
            f"the trial has no column {_quoted(missing)}; it has {_quoted(names)}. "
            "Rename the column, or name the right one in the TrialSpec"
        )
    repeated = [name for name in columns if names.count(name) > 1]
    if repeated:
        raise ValueError(f"the trial has more than one column named {_quoted(repeated)}; keep one of each")
    if trial.empty:
        raise ValueError("the trial has no rows; it needs one row per patient")


def complete_column(trial: pd.DataFrame, name: str) -> pd.Series:
    """One column, refused if a value is missing."""
    column = trial[name]
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "biu":
        return column  # has no missing values; studies read many
    # Tables read from JSON or SQL arrive as `object` though every value is a number: pandas knows better if asked.
    column = column.infer_objects()
    missing = column.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"column {name!r} is missing (NaN) in {rows_where(missing, trial.index)}; every patient needs a value. "
            "Drop these patients or impute first"
        )
    return column


def require_probability(name: str, value: float) -> None:
    """Refuse what is no probability inside (0, 1): 95 for 0.95, NaN."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} must be a probability inside (0, 1), e.g. 0.95, not {value!r}")


def one_per_patient(name: str, values: npt.ArrayLike, n_patients: int | None = None) -> FloatArray:
    """One finite number for each patient, shape (patients,)."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not found.size or found.size != (n_patients or found.size):
        beside = f" beside {n_patients} patients" if n_patients else ""
        raise ValueError(f"{name} must have one value for each patient, but has the shape {found.shape}{beside}")
    bad = ~np.isfinite(found)
    if bad.any():
        raise ValueError(
            f"{name} is not finite for {bad.sum()} patients, first at position {bad.argmax()}: leave them out"
        )
    return found


def zeros_and_ones(name: str, values: npt.ArrayLike, n_patients: int | None = None) -> FloatArray:
    """0 or 1 for each patient, shape (patients,)."""
    found = one_per_patient(name, values, n_patients)
    if not np.isin(found, (0.0, 1.0)).all():
        raise ValueError(f"{name} must be 0 or 1 for every patient, not {np.unique(found)[:_ROWS_SHOWN].tolist()}")
    return found


def read_covariate(trial: pd.DataFrame, name: str, levels: Levels | None = None) -> FloatArray:
    """One covariate as finite numbers: numeric columns as they are, two-level columns as 0/1.

    `levels` are the two categories that were coded (0, 1) when the model was fitted; for a first reading `levels_of`.
    """
    column = complete_column(trial, name)
    if isinstance(column.dtype, pd.CategoricalDtype) and levels == tuple(column.dtype.categories):
        return np.asarray(column.cat.codes, dtype=np.float64)
    if levels is not None:
        is_second = (column == levels[1]).to_numpy(dtype=bool)
        unknown = ~(is_second | (column == levels[0]).to_numpy(dtype=bool))
        if unknown.any():
            found = _quoted(sorted({str(value) for value in column[unknown]}))
            raise ValueError(
                f"column {name!r} holds {found} in {rows_where(unknown, column.index)}; "
                f"its two categories are {levels[0]!r} (0) and {levels[1]!r} (1)"
            )
        return is_second.astype(np.float64)
    if not _holds_numbers(column):
        raise TypeError(
            f"column {name!r} must be numeric here, but its type is {column.dtype}. Convert it with pandas.to_numeric"
        )
    values = column.to_numpy(dtype=np.float64)
    infinite = ~np.isfinite(values)
    if infinite.any():
        raise ValueError(
            f"column {name!r} is infinite in {rows_where(infinite, trial.index)}; every value must be finite. "
            "Correct or drop these rows"
        )
    return values


def read_indicator(trial: pd.DataFrame, name: str, levels: Levels | None = None) -> FloatArray:
    """One column as 0/1: booleans, the numbers 0 and 1, or a categorical whose second category counts as 1."""
    values = read_covariate(trial, name, levels)
    other = (values != 0.0) & (values != 1.0)
    if other.any():
        found = ", ".join(f"{value:g}" for value in np.unique(values[other])[:_ROWS_SHOWN])
        raise ValueError(
            f"column {name!r} must be 0 or 1, but holds {found} in {rows_where(other, trial.index)}. "
            "Recode it as 0/1, as a boolean, or as a categorical with two categories (the second one counts as 1)"
        )
    return values


def levels_of(trial: pd.DataFrame, name: str) -> Levels | None:
    """The two categories of a categorical column (coded 0, 1), or None for a numeric or boolean one.

    Text is refused: which of its values is 1 would be a guess.
    """
    column = complete_column(trial, name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        categories = column.dtype.categories.tolist()
        if len(categories) != 2:
            raise ValueError(
                f"categorical column {name!r} must have two categories, but has {len(categories)}: {categories}. "
                "Drop the unused ones (.cat.remove_unused_categories()), or give one 0/1 column a category "
                "(pandas.get_dummies)"
            )
        return categories[0], categories[1]
    if _holds_numbers(column):
        return None
    values = sorted({repr(value): value for value in column}.items())
    raise TypeError(
        f"column {name!r} has the type {column.dtype} (values {_quoted([value for _, value in values], _ROWS_SHOWN)}); "
        "it must be numeric, boolean or categorical. For text say which value counts as 0: "
        "pandas.Categorical(column, categories=[reference, other])"
    )


def group_labels_of(trial: pd.DataFrame, name: str) -> tuple[str, ...]:
    """The labels of the grouping factor: its categories in their order, or else its sorted values."""
    column = complete_column(trial, name)
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or (
        pd.api.types.is_float_dtype(column.dtype) and bool((column % 1 != 0).any())
    ):
        raise TypeError(
            f"grouping column {name!r} has the type {column.dtype}; it must hold labels, not measurements. "
            "Cut it into categories first (pandas.cut)"
        )
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = column.dtype.categories.tolist()
    else:  # a mixture of types has no order of its own; text always has one
        values = sorted(column.unique().tolist(), key=lambda value: (type(value).__name__, value))
    labels = [_label(value) for value in values]
    inhabited = set(column)
    empty = [_label(value) for value in values if value not in inhabited]
    if empty:
        raise ValueError(
            f"grouping column {name!r} declares {_quoted(empty)}, but no patient belongs to it. "
            "Drop unused categories (.cat.remove_unused_categories())"
        )
    if len(labels) < 2:
        raise ValueError(
            f"grouping column {name!r} has one group only ({_quoted(labels)}); group effects need at least two. "
            "Choose another grouping factor"
        )
    if len(set(labels)) != len(labels):
        raise ValueError(f"grouping column {name!r} has labels that read the same as text: {_quoted(labels)}")
    return tuple(labels)


def read_group(trial: pd.DataFrame, name: str, labels: Sequence[str]) -> IntArray:
    """The 0-based index into `labels` of each patient's group, shape (patients,)."""
    column = complete_column(trial, name)
    codes, values = pd.factorize(column)
    found = np.array([_label(value) for value in values], dtype=object)
    unknown = ~np.isin(found, list(labels))
    if unknown.any():
        raise ValueError(
            f"grouping column {name!r} holds {_quoted(found[unknown])} in {rows_where(unknown[codes], trial.index)}; "
            f"the known groups are {_quoted(labels)}"
        )
    return np.array([labels.index(label) for label in found], dtype=np.int64)[codes]


def require_unique(trial: pd.DataFrame, name: str) -> None:
    """Check that a subject identifier is there for every patient and used once."""
    column = complete_column(trial, name)
    repeated = column.duplicated(keep=False).to_numpy()
    if repeated.any():
        found = _quoted([str(value) for value in pd.unique(column[repeated])])
        raise ValueError(
            f"subject identifiers in column {name!r} must be unique, but {found} appear more than once, in "
            f"{rows_where(repeated, trial.index)}. Keep one row per patient"
        )


def _holds_numbers(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype)


def _label(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _quoted(names: Sequence[object] | npt.NDArray[np.object_], most: int = 12) -> str:
    return ", ".join(repr(name) for name in names[:most]) + (", ..." if len(names) > most else "")
