"""A TrialSpec, the design it makes of a trial, and the trials it refuses."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from hte_utils.model.checks import TrialWarning
from hte_utils.model.spec import PAPER_SPEC, Covariate, TrialSpec
from hte_utils.trial import simulate_trial


@pytest.fixture
def trial() -> pd.DataFrame:
    return simulate_trial()


def test_paper_design_holds_the_columns_of_listing_2(trial: pd.DataFrame) -> None:
    design = PAPER_SPEC.design(trial)
    assert design.prognostic_labels == ("age", "anticoag", "bmi", "diabetes", "prior")
    assert design.modifier_labels == ("age", "anticoag", "diabetes")
    assert design.group_labels == ("Male", "Female")
    assert design.n_patients == 2000
    # The counts that Table 1 prints.
    assert (design.treatment == 0).sum() == 1016
    assert design.outcome[design.treatment == 0].sum() == 50
    assert design.outcome[design.treatment == 1].sum() == 63
    assert np.bincount(design.group).tolist() == [526 + 492, 490 + 492]
    assert [int(design.prognostic[:, column].sum()) for column in (1, 3, 4)] == [323 + 339, 241 + 260, 115 + 88]


def test_standardised_as_r_scale(trial: pd.DataFrame) -> None:
    design = PAPER_SPEC.design(trial)
    for column, name in ((0, "age"), (2, "bmi")):
        np.testing.assert_allclose(design.prognostic[:, column].mean(), 0.0, atol=1e-12)
        # pandas' std divides by n - 1, as R's does; n instead moves the last digit by 2.5e-4.
        expected = (trial[name] - trial[name].mean()) / trial[name].std()
        np.testing.assert_allclose(design.prognostic[:, column], expected, rtol=1e-12)
        np.testing.assert_allclose(design.prognostic[:, column].std(ddof=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(design.modifiers, design.prognostic[:, [0, 1, 3]])


def test_new_patients_are_on_the_scale_of_the_trial(trial: pd.DataFrame) -> None:
    design = PAPER_SPEC.design(trial)
    new = trial.iloc[[5, 3, 1999]].drop(columns=["event", "treatment", "subject_id"])
    patients = design.apply(new)
    np.testing.assert_array_equal(patients.prognostic, design.prognostic[[5, 3, 1999]])
    np.testing.assert_array_equal(patients.modifiers, design.modifiers[[5, 3, 1999]])
    np.testing.assert_array_equal(patients.group, design.group[[5, 3, 1999]])
    with pytest.raises(ValueError, match="'gender' holds 'Other'"):
        design.apply(new.assign(gender="Other"))


def test_arrays_cannot_be_written(trial: pd.DataFrame) -> None:
    design = PAPER_SPEC.design(trial)
    for array in (design.prognostic, design.modifiers, design.group, design.outcome, design.treatment):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        design.outcome = design.treatment  # type: ignore[misc]


def test_the_trial_is_left_alone(trial: pd.DataFrame) -> None:
    before = trial.copy(deep=True)
    PAPER_SPEC.design(trial)
    pd.testing.assert_frame_equal(trial, before)


def test_coding_of_0_1_columns_and_categoricals_agree(trial: pd.DataFrame) -> None:
    numbers = trial.assign(
        **{
            name: trial[name].cat.codes
            for name in ("diabetes", "anticoagulant", "prior_bleeding", "treatment", "gender")
        }
    )
    from_numbers, from_categories = PAPER_SPEC.design(numbers), PAPER_SPEC.design(trial)
    np.testing.assert_array_equal(from_numbers.prognostic, from_categories.prognostic)
    np.testing.assert_array_equal(from_numbers.treatment, from_categories.treatment)
    np.testing.assert_array_equal(from_numbers.group, from_categories.group)
    assert from_numbers.group_labels == ("0", "1")


Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda t: t.drop(columns="bmi"), ValueError, "no column 'bmi'"),
        (lambda t: t.drop(columns="subject_id"), ValueError, "no column 'subject_id'"),
        (lambda t: t.iloc[:0], ValueError, "no rows"),
        (lambda t: t.to_dict(), TypeError, "DataFrame"),
        (lambda t: t.assign(age=t["age"].where(t.index != 7)), ValueError, r"'age' is missing .* \(index 7\)"),
        (lambda t: t.assign(bmi=t["bmi"].where(t.index != 7, -np.inf)), ValueError, r"'bmi' is infinite .*index 7"),
        (lambda t: t.assign(age=t["age"].astype(str)), TypeError, "'age' has the type"),
        (lambda t: t.assign(diabetes=t["diabetes"].astype(str)), TypeError, "'diabetes' has the type"),
        (lambda t: t.assign(event=t["event"].where(t.index != 7, 2)), ValueError, r"'event' must be 0 or 1.*holds 2"),
        (lambda t: t.assign(event=0), ValueError, "no events"),
        (lambda t: t.assign(event=1), ValueError, "only events"),
        (lambda t: t[t["treatment"] == "Control"], ValueError, "no treated patients"),
        (lambda t: t[t["treatment"] == "Treatment"], ValueError, "only treated patients"),
        (lambda t: t.assign(age=55.0), ValueError, r"'age' is constant \(always 55.0\)"),
        (lambda t: t[t["diabetes"] == "No"], ValueError, "'diabetes' is constant"),
        (lambda t: t[t["gender"] == "Male"], ValueError, "declares 'Female', but no patient"),
        (lambda t: t.assign(subject_id=t["subject_id"].clip(upper=1999)), ValueError, "'1999' appear more than once"),
        (lambda t: t.assign(age=t["age"] * 1e305), ValueError, "cannot be standardised"),
    ],
)
def test_bad_trials_are_refused(trial: pd.DataFrame, change: Change, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PAPER_SPEC.design(change(trial))


def test_a_group_of_one_is_warned_about(trial: pd.DataFrame) -> None:
    labels = trial["gender"].cat.add_categories("Other").where(trial.index != 7, "Other")
    with pytest.warns(TrialWarning, match=r"group 'Other' of column 'gender' has one member, 1 row \(index 7\)"):
        design = PAPER_SPEC.design(trial.assign(gender=labels))
    assert design.group_labels == ("Male", "Female", "Other")


def test_an_arm_without_events_is_warned_about(trial: pd.DataFrame) -> None:
    without = trial.assign(event=trial["event"].where(trial["treatment"] == "Control", 0))
    with pytest.warns(TrialWarning, match="no treated patient has the event"):
        PAPER_SPEC.design(without)


def test_a_sound_trial_warns_of_nothing(trial: pd.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        PAPER_SPEC.design(trial)


def spec(**changes: object) -> TrialSpec:
    fields = {
        "outcome": "y",
        "treatment": "t",
        "group": "g",
        "prognostic": [Covariate("a", "a"), Covariate("b", "b", standardise=True)],
        "modifiers": ["b"],
    }
    return TrialSpec(**(fields | changes))  # type: ignore[arg-type]


def test_a_spec_is_hashable_and_knows_its_columns() -> None:
    assert spec() == spec()
    assert hash(spec()) == hash(spec())
    assert spec(subject_id="id").columns == ("id", "y", "t", "g", "a", "b")
    assert spec().modifier_index == [1]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"treatment": "y"}, ValueError, r"each column once, but \['y'\]"),
        ({"modifiers": ["c"]}, ValueError, r"\['c'\] is not: add it to `prognostic`"),
        ({"modifiers": ["b", "b"]}, ValueError, "each modifier once"),
        ({"modifiers": []}, ValueError, "at least one"),
        ({"prognostic": [Covariate("a", "x"), Covariate("b", "x")], "modifiers": ["x"]}, ValueError, "each label once"),
    ],
)
def test_bad_specs_are_refused(changes: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        spec(**changes)
