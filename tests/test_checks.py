"""Reading columns of a trial table: what counts as a number, as 0/1, as a group, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hte_utils.model.checks import (
    group_labels_of,
    levels_of,
    read_covariate,
    read_group,
    read_indicator,
    require_columns,
    require_unique,
    rows_where,
)


def table(values: object, name: str = "x", index: object = None) -> pd.DataFrame:
    return pd.DataFrame({name: values}, index=index)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 1], [0, 1, 1]),
        ([0.0, 1.0, 1.0], [0, 1, 1]),
        ([True, False, True], [1, 0, 1]),
        (pd.array([True, False, True], dtype="boolean"), [1, 0, 1]),
        (pd.array([0, 1, 1], dtype="Int64"), [0, 1, 1]),
        (pd.Series([0, 1, 1], dtype=object), [0, 1, 1]),
        (pd.Categorical(["No", "Yes", "Yes"], categories=["No", "Yes"]), [0, 1, 1]),
        (pd.Categorical(["No", "Yes", "Yes"], categories=["Yes", "No"]), [1, 0, 0]),
        (pd.Categorical(["b", "a", "a"], categories=["b", "a"], ordered=True), [0, 1, 1]),
    ],
)
def test_two_level_columns_become_0_and_1(values: object, expected: list[int]) -> None:
    trial = table(values)
    read = read_indicator(trial, "x", levels_of(trial, "x"))
    assert read.dtype == np.float64
    assert read.tolist() == expected


@pytest.mark.parametrize("read", [read_covariate, read_indicator, levels_of, group_labels_of, require_unique])
@pytest.mark.parametrize("missing", [np.nan, None, pd.NA, pd.NaT])
def test_missing_values_name_column_and_rows(read: object, missing: object) -> None:
    trial = table([0, 1, missing, 1, missing], index=["a", "b", "c", "d", "e"])
    with pytest.raises(ValueError, match=r"column 'x' is missing \(NaN\) in 2 rows \(index 'c', 'e'\)"):
        read(trial, "x")  # type: ignore[operator]


def test_infinite_values_name_column_and_rows() -> None:
    with pytest.raises(ValueError, match=r"column 'x' is infinite in 1 row \(index 2\)"):
        read_covariate(table([0.0, 1.0, np.inf]), "x")


@pytest.mark.parametrize("values", [[0, 1, 2], [-1, 0, 1], [0.0, 0.5, 1.0], [1, 2, 1]])
def test_indicator_refuses_other_numbers(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"column 'x' must be 0 or 1, but holds .* in . row"):
        read_indicator(table(values), "x")


@pytest.mark.parametrize(
    "values", [["No", "Yes"], pd.to_datetime(["2024-01-01", "2024-01-02"]), [1 + 2j, 3], [[1], [2]], ["1", "2"]]
)
def test_other_types_are_refused(values: object) -> None:
    with pytest.raises(TypeError, match=r"column 'x' has the type .*numeric, boolean or categorical"):
        levels_of(table(values), "x")


@pytest.mark.parametrize("values", [["No", "Yes"], [1 + 2j, 3]])
def test_read_covariate_refuses_what_is_no_number(values: object) -> None:
    with pytest.raises(TypeError, match="column 'x' must be numeric"):
        read_covariate(table(values), "x")


@pytest.mark.parametrize("categories", [["a"], ["a", "b", "c"]])
def test_categorical_needs_two_categories(categories: list[str]) -> None:
    with pytest.raises(ValueError, match=f"must have two categories, but has {len(categories)}"):
        levels_of(table(pd.Categorical(["a", "a"], categories=categories)), "x")


def test_unknown_category_of_new_patients() -> None:
    with pytest.raises(ValueError, match=r"column 'x' holds 'Maybe' in 1 row \(index 1\); its two categories are"):
        read_covariate(table(["No", "Maybe", "Yes"]), "x", ("No", "Yes"))


def test_known_levels_are_read_from_plain_text() -> None:
    assert read_covariate(table(["No", "Yes"]), "x", ("No", "Yes")).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (pd.Categorical(["M", "F", "M"], categories=["M", "F"]), ("M", "F")),
        (["M", "F", "M"], ("F", "M")),
        ([1, 0, 1], ("0", "1")),
        ([10.0, 2.0, 10.0], ("2", "10")),
        ([True, False, True], ("False", "True")),
        (pd.Series([1, "a", 1], dtype=object), ("1", "a")),
    ],
)
def test_group_labels_and_index_agree(values: object, labels: tuple[str, ...]) -> None:
    trial = table(values)
    assert group_labels_of(trial, "x") == labels
    index = read_group(trial, "x", labels)
    shown = [str(int(value)) if isinstance(value, float) else str(value) for value in trial["x"]]
    assert [labels[place] for place in index] == shown


@given(st.lists(st.sampled_from("abcdef"), min_size=2).filter(lambda values: len(set(values)) > 1))
def test_group_index_gives_the_values_back(values: list[str]) -> None:
    trial = table(values)
    labels = group_labels_of(trial, "x")
    assert [labels[place] for place in read_group(trial, "x", labels)] == values
    assert list(labels) == sorted(set(values))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (["a", "a"], ValueError, "one group only"),
        (pd.Categorical(["a", "b"], categories=["a", "b", "c"]), ValueError, "declares 'c', but no patient"),
        ([0.5, 1.5], TypeError, "labels, not measurements"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), TypeError, "labels, not measurements"),
        (pd.Series([1, "1"], dtype=object), ValueError, "read the same as text"),
    ],
)
def test_bad_groups(values: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        group_labels_of(table(values), "x")


def test_unknown_group_of_new_patients() -> None:
    with pytest.raises(ValueError, match=r"holds 'c' in 1 row \(index 1\); the known groups are 'a', 'b'"):
        read_group(table(["a", "c"]), "x", ["a", "b"])


def test_repeated_subjects_are_named() -> None:
    with pytest.raises(ValueError, match=r"'7' appear more than once, in 2 rows \(index 0, 2\)"):
        require_unique(table([7, 8, 7]), "x")


def test_required_columns() -> None:
    with pytest.raises(TypeError, match=r"pandas DataFrame .* not dict"):
        require_columns({"x": [1]}, ["x"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no column 'y'; it has 'x'"):
        require_columns(table([1]), ["x", "y"])
    with pytest.raises(ValueError, match="no rows"):
        require_columns(table([]), ["x"])
    with pytest.raises(ValueError, match="more than one column named 'x'"):
        require_columns(pd.DataFrame([[1, 2]], columns=["x", "x"]), ["x"])


def test_only_the_first_rows_are_shown() -> None:
    assert rows_where(np.ones(7, dtype=bool), pd.RangeIndex(7)) == "7 rows (index 0, 1, 2, 3, 4, ...)"


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
@pytest.mark.parametrize("dtype", ["category", "string", object])
def test_a_missing_group_is_refused_and_never_some_group(missing: object, dtype: object) -> None:
    trial = pd.DataFrame({"x": pd.Series(["a", "b", missing, "b"], dtype=dtype, index=[10, 11, 12, 13])})
    with pytest.raises(ValueError, match=r"column 'x' is missing \(NaN\) in 1 row \(index 12\)"):
        read_group(trial, "x", ("a", "b"))
