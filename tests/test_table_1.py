"""Table 1, standardised differences and the propensity score, against SciPy, closed forms and the paper."""

import numpy as np
import pandas as pd
import pytest
from reference_values import REFERENCE, assert_same_values, numbers, rows, run_again
from scipy import stats

from hte_utils import simulate_trial
from hte_utils.ledger import Verdict, record
from hte_utils.paper import entries_of
from hte_utils.reproduction import table_1


@pytest.fixture(scope="module")
def trial():
    return simulate_trial(2000, 123)


@pytest.fixture(scope="module")
def table(trial):
    return table_1.table_one(trial)


def test_all_ninety_numbers_of_table_1_are_reproduced(table):
    report = record("Table 1", table_1.table_one_values(table))
    assert report.verdict_counts() == {Verdict.REPRODUCED: 90}


def test_p_values_are_those_of_scipy(trial, table):
    values = table_1.table_one_values(table)
    arms = [trial.loc[trial["treatment"] == arm] for arm in table_1.ARMS]
    assert values["table1.age.p"] == pytest.approx(stats.ttest_ind(arms[0]["age"], arms[1]["age"]).pvalue)
    counts = pd.crosstab(trial["diabetes"], trial["treatment"])
    assert values["table1.diabetes.p"] == pytest.approx(stats.chi2_contingency(counts, correction=True).pvalue)


def test_a_standardised_difference_is_the_closed_form(trial, table):
    control, treatment = (trial.loc[trial["treatment"] == arm, "bmi"] for arm in table_1.ARMS)
    expected = (treatment.mean() - control.mean()) / np.sqrt((treatment.var() + control.var()) / 2)
    differences = table_1.standardised_differences(table)
    assert differences["bmi"] == pytest.approx(expected, rel=1e-6)
    p, q = ((trial.loc[trial["treatment"] == arm, "diabetes"] == "Yes").mean() for arm in table_1.ARMS)
    expected = abs(p - q) / np.sqrt((p * (1 - p) + q * (1 - q)) / 2)
    assert differences["diabetes"] == pytest.approx(expected, rel=1e-3)
    assert (differences >= 0).all()  # sizes, also where the control arm has the larger mean, as in age


def test_the_displayed_table_has_every_line_and_no_bracket(table):
    shown = table_1.beside_the_paper(table)
    assert len(shown) == 1 + 5 + 2 * 7
    assert not shown.apply(lambda column: column.str.contains("paper")).to_numpy().any()
    assert shown.loc["gender = Male, n (%)", "Control"] == "526 (51.8)"


def test_a_number_that_differs_shows_the_papers_beside_it():
    shown = table_1.beside_the_paper(table_1.table_one(simulate_trial(2000, 124)))
    assert "[paper: 1016]" in shown.loc["n", "Control"]


def test_the_propensity_auc_is_a_mann_whitney_statistic(trial):
    fitted = table_1.propensity(trial)
    treated, control = fitted.scores[fitted.treated], fitted.scores[~fitted.treated]
    statistic = stats.mannwhitneyu(treated, control).statistic
    assert fitted.auc == pytest.approx(statistic / (len(treated) * len(control)))
    assert fitted.degrees_of_freedom == len(table_1.COVARIATES)


def test_the_propensity_score_finds_an_imbalance_that_is_there(trial):
    rigged = trial.assign(age=trial["age"] + 12 * (trial["treatment"] == "Treatment"))
    fitted = table_1.propensity(rigged)
    assert fitted.p_value < 1e-6
    chance = table_1.auc_under_rerandomisation(rigged, 40, np.random.default_rng(1))
    assert fitted.auc > chance.max() > chance.min() > 0.5


def test_rerandomisation_is_reproducible(trial):
    first, second = (table_1.auc_under_rerandomisation(trial, 3, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_bad_tables_are_refused(trial):
    with pytest.raises(ValueError, match=r"lacks \['bmi'\]"):
        table_1.table_one(trial.drop(columns="bmi"))
    with pytest.raises(ValueError, match=r"holds \['Control'\]"):
        table_1.propensity(trial[trial["treatment"] == "Control"])
    with pytest.raises(ValueError, match="repetitions is 0"):
        table_1.auc_under_rerandomisation(trial, 0, np.random.default_rng(1))


def test_the_rows_are_those_of_the_paper():
    assert {entry.id.split(".")[1] for entry in entries_of("Table 1")} == {"n", *table_1.TABLE_1_ROWS}


INCOMPLETE = REFERENCE / "r_table_one.csv"
LEVELS = {"gender": ("Male", "Female"), "event": ("0", "1")}


def incomplete_trial():
    """The trial of r_table_one.R: values taken away by row number, two constant rows, an arm without any value."""
    trial, number = simulate_trial(400, 5), np.arange(1, 401)
    gone = {
        "smoking": number % 4 == 0,
        "bmi": number % 10 == 3,
        "event": number % 50 == 7,
        "prior_bleeding": trial["treatment"] == "Control",
    }
    trial = trial.assign(**{name: trial[name].mask(rows) for name, rows in gone.items()})
    return trial.assign(hypertension=pd.Categorical(["No"] * 400, categories=["No", "Yes"]), sbp=120.0)


def test_incomplete_constant_and_empty_rows_are_those_of_rs_tableone():
    table = table_1.table_one(incomplete_trial())
    values, smd = table_1.table_one_values(table), table_1.standardised_differences(table)
    missing = table_1.missing_values(table)
    compared = 0
    for row in rows(INCOMPLETE):
        name, (quantity, _, arm) = row["variable"], row["quantity"].partition(".")
        [recorded] = numbers(row["value"].replace("NA", "nan"))
        arm_name = table_1.ARMS[int(arm)] if arm else ""
        if quantity == "missing":
            ours = missing.loc[name, arm_name]
        elif quantity == "smd":
            ours = smd[name]
        else:
            level = LEVELS.get(name, ("No", "Yes"))[int(row["level"])] if row["level"] else ""
            parts = ["table1", name, level, quantity, arm_name]
            ours = values[".".join(part.lower() for part in parts if part)]
        assert ours == pytest.approx(recorded, rel=1e-9, abs=1e-12, nan_ok=True), row
        compared += 1
    assert compared == 120


@pytest.mark.r("MASS", "tableone")
def test_rs_tableone_still_prints_the_recorded_values(tmp_path):
    run_again("r_table_one.R", tmp_path / INCOMPLETE.name)
    assert_same_values(tmp_path / INCOMPLETE.name, INCOMPLETE)


def test_the_displayed_table_shows_what_is_missing_and_no_test_of_a_constant():
    shown = table_1.beside_the_paper(table_1.table_one(incomplete_trial()))
    assert shown.loc["smoking = No, n (%)", "missing"] == "100"
    assert shown.loc["age, mean (SD)", "missing"] == "0"
    assert shown.loc["hypertension = No, n (%)", "p"].startswith("–")
    assert shown.loc["sbp, mean (SD)", "p"].startswith("–")
    assert shown.loc["prior_bleeding = No, n (%)", "SMD"] == "–"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.assign(bmi=t["bmi"].where(t.index != 7)), r"column 'bmi' is missing \(NaN\) in 1 row \(index 7\)"),
        (lambda t: t.assign(smoking=t["smoking"].where(t.index > 1)), r"'smoking' is missing \(NaN\) in 2 rows"),
        (lambda t: t.assign(treatment=t["treatment"].where(t.index != 3)), r"'treatment' is missing .* \(index 3\)"),
        (lambda t: t.assign(sbp=120.0), r"column 'sbp' is constant \(always 120.0\)"),
        (lambda t: t.assign(dbp=2 * t["sbp"]), r"\['sbp', 'dbp'\] are linearly dependent"),
        (lambda t: t.assign(age=t["age"] + 90 * (t["treatment"] == "Treatment")), r"\['age'\] tell the arms"),
        (
            lambda t: t.assign(diabetes=t["diabetes"].mask(t["treatment"] == "Control", "No")),
            r"\['diabetes_Yes'\] tell the arms of some patients with certainty \(separation\)",
        ),
    ],
    ids=[
        "number missing",
        "category missing",
        "arm missing",
        "constant",
        "collinear",
        "separated",
        "quasi-separated",
    ],
)
def test_no_propensity_score_where_there_is_none(trial, change, message):
    with pytest.raises(ValueError, match=message):
        table_1.propensity(change(trial))
