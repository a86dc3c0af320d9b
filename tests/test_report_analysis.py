"""The numbers of a reader's own trial, against closed forms and statsmodels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from report_trials import own_question, own_report, own_trial_frame
from statsmodels.stats.proportion import confint_proportions_2indep

from hte_utils.report import DataError, analyse
from hte_utils.report.analysis import pooled
from hte_utils.report.page import page


def difference(found: pd.DataFrame) -> np.ndarray:
    return found.loc["RISK_DIFFERENCE", ["estimate", "lower", "upper"]].to_numpy(dtype=float)


def test_the_crude_effect_is_that_of_the_two_rates() -> None:
    frame = own_trial_frame()
    by_arm = (frame["event"] == "yes").groupby(frame["arm"]).agg(["sum", "size"])
    (a, n), (b, m) = by_arm.loc["Active"], by_arm.loc["Placebo"]
    ends = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff")
    np.testing.assert_allclose(difference(own_report().crude), [a / n - b / m, *ends])


def test_the_standardised_effect_is_that_of_a_glm() -> None:
    frame = own_trial_frame()
    report = analyse(frame, own_question())
    x = pd.get_dummies(frame[["age", "sex", "severity"]], drop_first=True, dtype=float)
    active = (frame["arm"] == "Active").astype(float)
    design = sm.add_constant(x.assign(active=active))
    fitted = sm.GLM((frame["event"] == "yes").astype(float), design, family=sm.families.Binomial()).fit()
    treated, untreated = (fitted.predict(design.assign(active=arm)).mean() for arm in (1.0, 0.0))
    assert difference(report.standardised)[0] == pytest.approx(treated - untreated, abs=1e-7)


def test_the_treated_arm_is_the_named_one_in_whatever_order_categories_stand() -> None:
    frame = own_trial_frame()
    expected = difference(own_report().crude)
    for categories in (["Active", "Placebo"], ["Placebo", "Active"]):
        turned = frame.assign(arm=pd.Categorical(frame["arm"], categories=categories))
        report = analyse(turned, own_question())
        assert report.trial.arms == ("Placebo", "Active")
        np.testing.assert_allclose(difference(report.crude), expected)
    other = analyse(frame, own_question(control="Active"))
    np.testing.assert_allclose(difference(other.crude)[0], -expected[0])


@pytest.mark.parametrize("kind", ["string[pyarrow]", "category", "object", "string"])
def test_columns_of_any_type_give_the_same_numbers(kind: str) -> None:
    frame = own_trial_frame()
    turned = frame.astype(dict.fromkeys(("event", "arm", "sex", "severity"), kind)).astype({"age": "Float64"})
    turned["event"] = (frame["event"] == "yes").astype("boolean")
    question = own_question(event=None, group=("centre",))
    np.testing.assert_allclose(
        difference(analyse(turned, question).standardised), difference(own_report().standardised)
    )


def test_quintiles_share_out_all_patients_and_events_and_rise_in_risk() -> None:
    report = own_report()
    frame = report.quintiles
    assert frame["n"].sum() == report.trial.n
    assert frame["n"].between(115, 125).all()
    assert frame["events"].sum() == report.trial.outcome.sum()
    assert frame["risk"].is_monotonic_increasing
    first = frame.iloc[0]
    assert first["estimate"] == pytest.approx(
        first["events_treated"] / first["n_treated"] - first["events_control"] / first["n_control"]
    )


def test_a_patients_rank_does_not_depend_on_the_outcomes_of_the_own_fold() -> None:
    frame = own_trial_frame()
    before = own_report().ranking
    inside = before.fold == 2
    flipped = frame["event"].where(~inside, frame["event"].map({"yes": "no", "no": "yes"}))
    after = analyse(frame.assign(event=flipped), own_question(group=("centre",))).ranking
    np.testing.assert_array_equal(before.group[inside], after.group[inside])
    assert (before.group[~inside] != after.group[~inside]).any()


def test_json_has_the_promised_numbers_and_nothing_that_is_no_number() -> None:
    numbers = json.loads(json.dumps(own_report().numbers(), allow_nan=False))
    assert numbers["n"] == 600
    assert numbers["arms"]["treated"] == "Active"
    assert numbers["arms"]["control"] == "Placebo"
    assert numbers["outcome"]["event"] == "yes"
    assert set(numbers["average"]["risk_difference"]) == {"estimate", "lower", "upper"}
    assert len(numbers["quintiles"]) == 5
    assert {"n", "risk", "risk_difference"} <= set(numbers["quintiles"][0])
    found = numbers["heterogeneity"]
    assert {"test", "p", "null_rate"} <= set(found)
    for share in ("p", "null_rate"):
        error = np.sqrt(found[share] * (1 - found[share]) / found["simulated"])
        assert found[f"{share}_mcse"] == pytest.approx(error, abs=1e-12)
    assert isinstance(numbers["warnings"], list)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    frame = own_trial_frame()
    again = analyse(frame, own_question(group=("centre",)))
    other = analyse(frame, own_question(group=("centre",), seed=2))
    assert again.numbers() == own_report().numbers()
    assert other.numbers()["quintiles"] != own_report().numbers()["quintiles"]


def test_pooling_follows_rubin() -> None:
    tables = [
        pd.DataFrame({"estimate": [value], "lower": 0.0, "upper": 0.0, "se": [0.1]}, index=["RISK_DIFFERENCE"])
        for value in (0.0, 0.2)
    ]
    found = pooled(tables)
    assert found.loc["RISK_DIFFERENCE", "estimate"] == pytest.approx(0.1)
    assert found.loc["RISK_DIFFERENCE", "se"] == pytest.approx(np.sqrt(0.01 + 1.5 * 0.02))


def test_sixty_patients_with_four_events_work_and_say_how_little_they_say() -> None:
    frame = own_trial_frame(60)
    frame["event"] = np.where(np.arange(60) % 15 == 0, "yes", "no")
    report = analyse(frame, own_question())
    assert np.isfinite(difference(report.standardised)).all()
    assert any("only 4 events" in each for each in report.warnings)


def test_ties_that_leave_a_fifth_empty_are_said() -> None:
    frame = own_trial_frame()
    report = analyse(frame, own_question(covariates=("sex",)))
    assert report.quintiles["n"].sum() == 600
    assert any("cannot be compared" in each for each in report.warnings)
    assert "nan" not in page(report).replace("nance", "")


@pytest.mark.parametrize("missing", ["complete", "impute"])
def test_missing_covariates_are_left_out_or_imputed_and_pooled(missing: str) -> None:
    frame = own_trial_frame()
    frame.loc[:30, "age"] = np.nan
    frame.loc[20:50, "sex"] = None
    report = analyse(frame, own_question(missing=missing))
    assert report.trial.n == {"complete": 549, "impute": 600}[missing]
    assert report.numbers()["missing"] == {"age": 31, "sex": 31}
    assert difference(report.standardised)[0] == pytest.approx(difference(own_report().standardised)[0], abs=0.03)


def test_events_that_a_covariate_separates_give_an_answer() -> None:
    frame = own_trial_frame(300)
    report = analyse(frame.assign(event=np.where(frame["age"] > 60, "yes", "no")), own_question())
    assert report.numbers()["heterogeneity"]["p"] is None
    assert "too few events" in page(report)


def test_a_covariate_twice_is_said() -> None:
    frame = own_trial_frame().assign(age2=lambda t: 2 * t["age"])
    report = analyse(frame, own_question(covariates=("age", "age2")))
    assert any("repeat each other" in each for each in report.warnings)


def test_no_event_in_one_arm_is_no_error() -> None:
    frame = own_trial_frame()
    frame.loc[frame["arm"] == "Active", "event"] = "no"
    report = analyse(frame, own_question())
    assert difference(report.crude)[0] < 0
    assert any("no standardised effect" in each for each in report.warnings)


def test_only_one_arm_left_is_refused() -> None:
    frame = own_trial_frame()
    with pytest.raises(DataError, match="one arm only"):
        analyse(frame[frame["arm"] == "Active"], own_question(control=None))
