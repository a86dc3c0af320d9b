"""Tables as people have them: separators, encodings, types, what is missing, what is broken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_trials import own_question, own_trial_frame

from hte_utils.report import DataError, Question, read_table
from hte_utils.report.columns import own_trial
from hte_utils.report.covariates import IMPUTATIONS
from hte_utils.report.reading import labels_of, numbers_of


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_csv_of_any_separator_and_encoding_is_the_same_table(tmp_path, separator: str, encoding: str) -> None:
    frame = own_trial_frame(40).assign(sex=lambda t: t["sex"].replace({"F": "Müller, größer"}))
    frame.to_csv(tmp_path / "t.csv", sep=separator, encoding=encoding, index=False)
    table = read_table(tmp_path / "t.csv")
    assert table.frame["sex"].tolist() == frame["sex"].tolist()
    np.testing.assert_array_equal(numbers_of(table.frame["age"]), frame["age"])
    if separator != ",":
        assert any("separated" in note for note in table.notes)


def test_decimal_commas_are_numbers_and_said(tmp_path) -> None:
    frame = own_trial_frame(80)
    frame.to_csv(tmp_path / "t.csv", sep=";", decimal=",", index=False)
    trial = own_trial(read_table(tmp_path / "t.csv"), own_question())
    np.testing.assert_allclose(trial.covariates[0].numbers, frame["age"])
    assert any("decimal comma" in note for note in trial.notes)


def test_a_comma_that_may_be_one_of_thousands_is_refused() -> None:
    frame = own_trial_frame(60).assign(age=["1,234", "567", "2,100"] * 20)
    with pytest.raises(DataError, match="decimals or of thousands"):
        own_trial(frame, own_question())


@pytest.mark.parametrize("suffix", ["parquet", "xlsx"])
def test_parquet_and_excel_give_the_trial_of_the_csv(tmp_path, suffix: str) -> None:
    frame = own_trial_frame(80)
    file = tmp_path / f"t.{suffix}"
    frame.to_parquet(file) if suffix == "parquet" else frame.to_excel(file, index=False)
    trial, other = (own_trial(each, own_question()) for each in (read_table(file), frame))
    np.testing.assert_allclose(trial.matrix(), other.matrix())
    np.testing.assert_array_equal(trial.outcome, other.outcome)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no rows"),
        (b"a,b\n1,2\n3", "line 3 of 't.csv' has 1 fields"),
        (b"a,b\n1,2,3\n", "has 3 fields"),
        (b"\x00\x01\x02", "binary file"),
    ],
)
def test_a_broken_file_gets_an_answer_in_words(tmp_path, content: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / "t.csv")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path) -> None:
    with (tmp_path / "t.csv").open("wb") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(DataError, match="2000 MB"):
        read_table(tmp_path / "t.csv")


def test_a_file_of_another_kind_is_refused(tmp_path) -> None:
    (tmp_path / "t.xlsx").write_text("no workbook")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "t.xlsx")
    with pytest.raises(DataError, match="no file"):
        read_table(tmp_path / "nowhere.csv")


def test_a_column_there_twice_is_refused(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("a,a,b\n1,2,3\n")
    with pytest.raises(DataError, match=r"2 columns named 'a'"):
        read_table(tmp_path / "t.csv", ["a"])
    with pytest.raises(DataError, match="did you mean"):
        read_table(tmp_path / "t.csv", ["bb"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(min_size=1).map(str.strip).filter(bool), min_size=1, max_size=8))
def test_labels_stay_the_text_they_were(texts: list[str]) -> None:
    labels = labels_of(pd.Series(texts, dtype=object))
    found = [labels.levels[code] if code >= 0 else None for code in labels.codes]
    assert all(now is None or now == before for now, before in zip(found, texts, strict=True))


def test_missing_covariates_are_refused_with_counts_and_remedy() -> None:
    frame = own_trial_frame(100)
    frame.loc[3:5, "age"] = np.nan
    frame.loc[[7], "sex"] = None
    with pytest.raises(DataError, match=r"'age' in 3, 'sex' in 1.*--missing complete"):
        own_trial(frame, own_question())


def test_complete_cases_are_the_patients_with_all_values_and_said() -> None:
    frame = own_trial_frame(100)
    frame.loc[3:5, "age"] = np.nan
    trial = own_trial(frame, own_question(missing="complete"))
    other = own_trial(frame.dropna(), own_question())
    np.testing.assert_allclose(trial.matrix(), other.matrix())
    assert ("with a missing covariate, left out (complete cases)", 3) in trial.flow
    assert any("3 of 100" in each for each in trial.warnings)


def test_imputation_keeps_what_is_known_and_fills_in_what_occurs() -> None:
    frame = own_trial_frame(200)
    known = frame.copy()
    frame.loc[10:29, "age"] = np.nan
    frame.loc[20:39, "severity"] = None
    trial = own_trial(frame, own_question(missing="impute"))
    assert len(trial.imputed) == IMPUTATIONS
    for version in trial.imputed:
        age, _, severity = version
        np.testing.assert_allclose(np.delete(age.numbers, range(10, 30)), known["age"].drop(range(10, 30)))
        assert np.isin(age.numbers, known["age"]).all()
        assert np.isin(severity.numbers, (0, 1, 2)).all()
    ages = np.array([version[0].numbers[10:30] for version in trial.imputed])
    assert ages.std(axis=0).max() > 0
    again = own_trial(frame, own_question(missing="impute"))
    np.testing.assert_array_equal(again.matrix(4), trial.matrix(4))


@pytest.mark.parametrize("column", ["event", "arm"])
def test_a_missing_outcome_or_arm_is_refused_by_its_row(tmp_path, column: str) -> None:
    frame = own_trial_frame(60)
    frame.loc[4, column] = None
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match=rf"column '{column}'\) is missing in 1 row \(index 6\)"):
        own_trial(read_table(tmp_path / "t.csv"), own_question(missing="impute"))


def test_two_of_three_arms_must_be_named_and_the_others_are_left_out() -> None:
    frame = own_trial_frame(90)
    frame.loc[::3, "arm"] = "Third"
    with pytest.raises(DataError, match=r"3 arms.*--treated"):
        own_trial(frame, own_question())
    trial = own_trial(frame, own_question(treated="Third"))
    assert trial.arms == ("Placebo", "Third")
    assert trial.n == int(frame["arm"].isin(["Placebo", "Third"]).sum())


@pytest.mark.parametrize(
    ("change", "more", "words"),
    [
        ({"age": 50.0}, {}, "'age' is constant"),
        ({"age": np.inf}, {}, "'age' is infinite"),
        ({"age": [f"{k} years" for k in range(60)]}, {}, "60 values"),
        ({"event": "no"}, {}, "'yes'"),
        ({"event": [1, 2] * 30}, {"event": None}, "which value is the event"),
        ({"arm": ["x", "y"] * 30}, {"control": None}, "which arm is the control"),
        ({"centre": "A"}, {"group": ("centre",)}, "one level only"),
        ({"centre": range(60)}, {"group": ("centre",)}, "60 levels for 60"),
        ({"id": 1}, {"identifier": "id"}, "not unique"),
    ],
)
def test_columns_that_do_not_allow_a_report(change: dict[str, object], more: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        own_trial(own_trial_frame(60).assign(**change), own_question(**more))


def test_sixty_centres_of_which_some_have_one_patient() -> None:
    frame = own_trial_frame(300).assign(centre=[f"c{min(k, 59)}" for k in range(300)])
    trial = own_trial(frame, own_question(group=("centre",)))
    assert len(trial.group_labels) == 60
    assert any("59 levels of 'centre' have one patient" in each for each in trial.warnings)


def test_numbers_that_are_categories_when_asked() -> None:
    frame = own_trial_frame(90).assign(killip=[1, 2, 3] * 30)
    trial = own_trial(frame, own_question(covariates=("killip",)))
    assert trial.matrix().shape == (90, 1)
    trial = own_trial(frame, own_question(covariates=("killip",), factors=("killip",)))
    assert trial.matrix().shape == (90, 2)


PLAN = """
title = "Active against placebo"
outcome = "event"
event = "yes"
treatment = "arm"
control = "Placebo"
covariates = ["age", "sex", "severity"]
modifiers = ["age"]
[subgroups]
age = [65]
[priors]
interaction_scale = 0.35
"""


def test_a_plan_is_a_question_and_what_it_names_is_prespecified(tmp_path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    question = Question.from_plan(file, seed=5)
    assert question.effect_modifiers == ("age",)
    assert question.subgroups == {"age": (65,)}
    assert question.interaction_scale == 0.35
    assert (question.status("modifiers"), question.status("seed")) == ("prespecified", "post hoc")
    assert len(question.plan_digest or "") == 64


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("outcome =", "outcom =", "'outcom'.*'outcome'"),
        ('"yes"', "3", "'event' in the plan must be a text"),
        ("modifiers = [", "modifiers = [3, ", "'modifiers' in the plan must be a list"),
        ("[65]", '["x"]', "'subgroups' in the plan"),
        ('["age"]', '["weight"]', "'weight' is not among the covariates"),
        ("= [", "= [[", "not valid TOML"),
        ("0.35", "-1", "between 0 and 10"),
    ],
)
def test_a_plan_that_is_wrong_is_refused(tmp_path, old: str, new: str, words: str) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN.replace(old, new))
    with pytest.raises(ValueError, match=words):
        Question.from_plan(file)


def test_a_plan_cannot_be_overruled(tmp_path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text(PLAN)
    with pytest.raises(ValueError, match="'control' is fixed by the plan"):
        Question.from_plan(file, control="Active")
