"""The paper's trial: equal to R's for any size and seed, and to the paper's Tables 1 and 3."""

from __future__ import annotations

import tracemalloc
from dataclasses import FrozenInstanceError, replace
from itertools import groupby

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_values import REFERENCE, assert_same_values, rows, run_again

from hte_utils.trial import (
    BaselineCoefficients,
    Covariates,
    EffectCoefficients,
    EffectScale,
    ListingCoefficients,
    TrialTruth,
    TrialVariant,
    baseline_log_odds,
    simulate_trial,
    simulate_truth,
    trial_table,
)
from hte_utils.trial.listing_1 import MAX_SUBJECTS

TRIALS, UNROUNDED, DIGEST = (
    REFERENCE / name for name in ("r_trials.csv.gz", "r_trial_unrounded.csv.gz", "r_trial_digest.csv")
)
CATEGORIES = {
    "gender": ["Male", "Female"],
    "hypertension": ["No", "Yes"],
    "diabetes": ["No", "Yes"],
    "smoking": ["No", "Yes"],
    "anticoagulant": ["No", "Yes"],
    "prior_bleeding": ["No", "Yes"],
    "treatment": ["Control", "Treatment"],
}
COLUMNS = [
    "subject_id", "age", "gender", "bmi", "sbp", "dbp", "hypertension", "diabetes", "smoking",
    "anticoagulant", "prior_bleeding", "treatment", "event", "true_te",
]  # fmt: skip
R_TRIALS = {
    case: list(patients)
    for case, patients in groupby(rows(TRIALS), key=lambda row: (int(row["n"]), int(row["seed"]), row["variant"]))
}


def as_numbers(trial: pd.DataFrame) -> pd.DataFrame:
    """Categories as the 0 and 1 that R's factors were made from."""
    return trial.assign(**{name: trial[name].cat.codes for name in CATEGORIES})


@pytest.mark.parametrize("case", R_TRIALS, ids=str)
def test_equals_r_in_every_cell(case):
    n, seed, variant = case
    trial, recorded = as_numbers(simulate_trial(n, seed, variant=variant)), R_TRIALS[case]
    assert len(trial) == n == len(recorded)
    for name in COLUMNS:
        convert = float.fromhex if name == "true_te" else float
        assert trial[name].tolist() == [convert(row[name]) for row in recorded], name


def test_recorded_trials_cover_the_paper_s_and_the_smallest():
    assert {(2000, 123, variant.value) for variant in TrialVariant} <= R_TRIALS.keys()
    assert {1, 2, 3} <= {n for n, _, _ in R_TRIALS}
    assert {-(2**31) + 1, 2**31 - 1} <= {seed for _, seed, _ in R_TRIALS}


def test_a_million_patients_equal_r_s_digest():
    digest = rows(DIGEST)
    n, seed, above_half = (int(digest[0][name]) for name in ("n", "seed", "above_half"))
    truth = simulate_truth(n, seed)
    assert (truth.event_probability > 0.5).sum() == above_half > 1000, "the side of 1/2 where R mirrors its draws"
    trial = as_numbers(simulate_trial(n, seed))
    trial[["age", "bmi"]] = (10 * trial[["age", "bmi"]]).round()
    trial["true_te"] = (1e4 * trial["true_te"]).round()
    for row in digest:
        column = trial[row["column"]].to_numpy().astype(np.int64)
        assert column.sum() == int(row["sum"]), row["column"]
        assert (column * trial["subject_id"].to_numpy()).sum() == int(row["weighted"]), row["column"]


def test_unrounded_values_equal_r_s():
    recorded = pd.DataFrame(rows(UNROUNDED)).map(float.fromhex)
    truth = simulate_truth(len(recorded), 123)
    for name in ("age", "bmi"):
        assert np.array_equal(getattr(truth.covariates, name), recorded[name]), name
    for name in ("sbp", "dbp"):  # the eigenvectors' last digits are the LAPACK's at hand
        np.testing.assert_allclose(getattr(truth.covariates, name), recorded[name], rtol=1e-14)
    # Up to rounding: each C library has its own exp, and "logit" is the modeller's own function.
    np.testing.assert_allclose(truth.baseline_risk, recorded["baseline_risk"], rtol=1e-14)
    np.testing.assert_allclose(truth.event_probability, recorded["event_prob"], rtol=1e-14)


def test_table_1_of_the_paper():
    trial = simulate_trial()
    assert trial["treatment"].value_counts().to_dict() == {"Control": 1016, "Treatment": 984}
    assert trial[trial["event"] == 1]["treatment"].value_counts().to_dict() == {"Control": 50, "Treatment": 63}
    arms = trial.groupby("treatment", observed=True)
    assert arms["age"].mean().round(2).tolist() == [55.54, 55.12]
    assert arms["true_te"].mean().round(2).tolist() == [-0.15, -0.18]
    assert arms["true_te"].std().round(2).tolist() == [0.66, 0.65]
    females = trial[trial["gender"] == "Female"]
    assert females["treatment"].value_counts().to_dict() == {"Control": 490, "Treatment": 492}


TABLE_3 = pd.DataFrame(
    [
        (1, 48.3, "Male", 19.9, 130, 84, "No", "Yes", "Yes", "No", "No", "Control", 0),
        (2, 52.2, "Female", 29.9, 138, 77, "No", "No", "No", "No", "No", "Control", 0),
        (3, 73.7, "Female", 37.5, 146, 98, "Yes", "No", "No", "No", "No", "Control", 0),
        (4, 55.8, "Female", 31, 144, 78, "Yes", "No", "No", "No", "No", "Treatment", 0),
        (5, 56.6, "Male", 36.7, 97, 53, "No", "No", "Yes", "No", "No", "Treatment", 0),
    ],
    columns=COLUMNS[:-1],
)


def differences_from_table_3(trial: pd.DataFrame) -> set[tuple[int, str]]:
    different = trial.head(5)[TABLE_3.columns].astype(object) != TABLE_3.astype(object)
    return {(row + 1, column) for column in different for row in different.index[different[column]]}


def test_table_3_is_not_the_data_of_table_1():
    """As printed, only the treatments of records 2, 3 and 5 differ; with the first draw they are Table 3's."""
    assert differences_from_table_3(simulate_trial()) == {(2, "treatment"), (3, "treatment"), (5, "treatment")}
    assert differences_from_table_3(simulate_trial(variant=TrialVariant.FIRST_DRAW_REMOVED)) == set()
    assert differences_from_table_3(simulate_trial(variant=TrialVariant.FIRST_DRAW_KEPT)) == set()


def test_table_3_cannot_tell_a_removed_draw_from_one_that_was_kept():
    removed, kept = (simulate_trial(variant=v) for v in ("first-draw-removed", "first-draw-kept"))
    pd.testing.assert_frame_equal(removed.drop(columns="event"), kept.drop(columns="event"))
    different = removed.loc[removed["event"] != kept["event"], "subject_id"]
    assert different.min() == 13, "and Table 3 ends at record 5"


@given(st.integers(1, 60), st.integers(-(2**31) + 1, 2**31 - 1), st.sampled_from(TrialVariant))
def test_any_trial_is_well_formed(n, seed, variant):
    trial = simulate_trial(n, seed, variant=variant)
    assert trial.columns.tolist() == COLUMNS
    assert trial["subject_id"].tolist() == list(range(1, n + 1))
    assert {name: trial[name].cat.categories.tolist() for name in CATEGORIES} == CATEGORIES
    assert not any(trial[name].cat.ordered for name in CATEGORIES)
    assert not trial.isna().to_numpy().any()
    assert trial["age"].between(25, 85).all()
    assert trial["bmi"].between(16, 50).all()
    assert trial["event"].isin([0, 1]).all()
    assert trial.attrs["true_te_scale"] == EffectScale.LOG_ODDS_RATIO


def test_risk_difference_is_the_one_of_the_two_event_probabilities():
    truth = simulate_truth(5000, 4)
    treated = truth.treatment == 1
    risk_under_treatment = truth.baseline_risk + truth.risk_difference
    assert risk_under_treatment[treated] == pytest.approx(truth.event_probability[treated], abs=1e-15)
    assert truth.baseline_risk[~treated] == pytest.approx(truth.event_probability[~treated], abs=1e-15)
    assert np.array_equal(np.sign(truth.risk_difference), np.sign(truth.treatment_effect))


@pytest.mark.parametrize("part", ["baseline", "effect"])
def test_every_coefficient_matters(part):
    kind = {"baseline": BaselineCoefficients, "effect": EffectCoefficients}[part]
    printed = simulate_truth()
    for name in kind.__slots__:
        changed = kind(**{name: getattr(kind(), name) + 0.5})
        truth = simulate_truth(coefficients=ListingCoefficients(**{part: changed}))
        assert not np.array_equal(truth.event_probability, printed.event_probability), name


def test_the_same_arguments_give_the_same_trial():
    pd.testing.assert_frame_equal(simulate_trial(np.int64(300), np.int32(-5)), simulate_trial(300, -5))
    assert not simulate_trial(300, 1).equals(simulate_trial(300, 2))


def test_memory_is_what_the_docstring_says():
    n = 200_000
    simulate_trial(10)  # imports and caches are not the trial's
    tracemalloc.start()
    trial = simulate_trial(n)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(trial) == n
    assert held / n < 66
    assert peak / n < 115


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"n_subjects": 0}, ValueError, f"n_subjects must be from 1 to {MAX_SUBJECTS:,}; got 0"),
        ({"n_subjects": 10**12}, ValueError, "n_subjects must be from 1 to 100,000,000; got 1000000000000"),
        ({"n_subjects": 2.5}, TypeError, "integer"),
        ({"n_subjects": "a"}, TypeError, "integer"),
        ({"seed": None}, TypeError, "integer"),
        ({"seed": 1.0}, TypeError, "integer"),
        ({"seed": 2**31}, ValueError, "seed must be from -2147483647 to 2147483647"),
        ({"variant": "one-draw"}, ValueError, "'one-draw' is not a valid TrialVariant"),
        ({"n_subjects": 10**8, "seed": "x"}, TypeError, "integer"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_drawn(arguments, kind, message):
    with pytest.raises(kind, match=message):
        simulate_trial(**arguments)


@pytest.mark.r("MASS")
def test_r_still_prints_the_recorded_values(tmp_path):
    fresh = [tmp_path / path.name for path in (TRIALS, UNROUNDED, DIGEST)]
    run_again("r_trials.R", *fresh)
    for again, before in zip(fresh, (TRIALS, UNROUNDED, DIGEST), strict=True):
        assert_same_values(again, before)


TWO_PATIENTS = Covariates(
    age=np.array([55.0, 70.04]),
    gender=np.array([0, 1], dtype=np.int8),
    sbp=np.array([130.0, 150.5]),
    dbp=np.array([80.0, 81.5]),
    bmi=np.array([16.0, 30.25]),
    hypertension=np.array([0, 1], dtype=np.int8),
    diabetes=np.array([0, 1], dtype=np.int8),
    smoking=np.array([0, 0], dtype=np.int8),
    anticoagulant=np.array([0, 1], dtype=np.int8),
    prior_bleeding=np.array([0, 1], dtype=np.int8),
)
TRUTH = TrialTruth(
    covariates=TWO_PATIENTS,
    treatment=np.array([0, 1], dtype=np.int8),
    baseline_risk=np.array([0.5, 0.2]),
    treatment_effect=np.array([0.0, np.log(2.0)]),
    scale=EffectScale.LOG_ODDS_RATIO,
    event_probability=np.array([0.5, 1 / 3]),
    event=np.array([1, 0], dtype=np.int8),
)


def test_equation_1_by_hand():
    assert baseline_log_odds(TWO_PATIENTS) == pytest.approx([-3.5, -3.5 + 0.02 * 15.04 + 0.8 + 1.2 + 0.3 + 0.01 * 20.5])
    beta = BaselineCoefficients(intercept=1, age=2, anticoagulant=3, prior_bleeding=4, diabetes=5, sbp=6)
    assert baseline_log_odds(TWO_PATIENTS, beta) == pytest.approx([1, 1 + 2 * 15.04 + 3 + 4 + 5 + 6 * 20.5])


def test_risk_difference_by_hand():
    # Odds of 1/4 doubled are 1/2, a risk of 1/3.
    assert TRUTH.risk_difference == pytest.approx([0.0, 1 / 3 - 0.2])
    on_the_risk_scale = replace(TRUTH, scale=EffectScale.RISK_DIFFERENCE)
    assert on_the_risk_scale.risk_difference == pytest.approx(TRUTH.treatment_effect)


def test_table_by_hand():
    table = trial_table(TRUTH)
    assert table.astype(object).to_numpy().tolist() == [
        [1, 55.0, "Male", 16.0, 130.0, 80.0, "No", "No", "No", "No", "No", "Control", 1, 0.0],
        # R rounds 150.5 and 81.5 to the even neighbour, and 30.25 to the even tenth.
        [2, 70.0, "Female", 30.2, 150.0, 82.0, "Yes", "Yes", "No", "Yes", "Yes", "Treatment", 0, np.log(2.0)],
    ]
    assert table.attrs == {"true_te_scale": "log odds ratio"}


def test_the_table_may_be_changed_and_the_truth_stays():
    truth = simulate_truth(20, 1)
    before = truth.treatment_effect.copy()
    table = trial_table(truth)
    table["true_te"] = 0.0
    table.loc[0, "age"] = 0.0
    assert np.array_equal(truth.treatment_effect, before)


def test_records_are_frozen():
    with pytest.raises(FrozenInstanceError):
        TRUTH.scale = EffectScale.RISK_DIFFERENCE
