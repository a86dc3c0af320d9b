"""Every statement has a finding, and the findings change when what they are about changes."""

from collections import defaultdict
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from audit_worlds import paper_case, paper_with_other_numbers, paper_without_gender, reversed_case, with_effects, worlds
from reference_values import REFERENCE

from hte_utils.audit import findings_by_part, section_2_1, section_2_2, sections_3_4
from hte_utils.audit.case import Case, rows
from hte_utils.audit.experiments import TABLE_1
from hte_utils.audit.listings import listing_2_model
from hte_utils.ledger import Finding, Verdict
from hte_utils.paper import statement, statements
from hte_utils.trial import TrialVariant


def all_findings(case: Case) -> dict[str, Finding]:
    return {name: found for part in findings_by_part(case).values() for name, found in part.items()}


@cache
def parts() -> dict[str, dict[str, Finding]]:
    return findings_by_part(paper_case())


def findings() -> dict[str, Finding]:
    return {name: found for part in parts().values() for name, found in part.items()}


def verdicts(found: dict[str, Finding]) -> dict[str, Verdict]:
    return {name: finding.verdict for name, finding in found.items()}


def test_each_statement_has_one_finding():
    names = [name for part in parts().values() for name in part]
    assert sorted(names) == sorted(one.id for one in statements())


def test_findings_stand_with_their_part_of_the_paper():
    items = {title: {statement(name).item for name in part} for title, part in parts().items()}
    assert items.pop("Section 1") == {"Section 1.1", "Section 1.2"}
    assert all(found == {title.partition(",")[0]} for title, found in items.items())


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("equal-probability", Verdict.HOLDS),
        ("minimize-unconfoundedness", Verdict.DOES_NOT_HOLD),
        ("gender-law", Verdict.HOLDS_IN_PART),
        ("age-law", Verdict.HOLDS_IN_PART),
        ("hyperpriors", Verdict.HOLDS),
        ("three-levels", Verdict.DOES_NOT_HOLD),
        ("individual-level", Verdict.DOES_NOT_HOLD),
        ("sigma-eta", Verdict.DOES_NOT_HOLD),
        ("geweke-within-2", Verdict.DOES_NOT_HOLD),
        ("high-risk-benefit", Verdict.DOES_NOT_HOLD),
        ("frequentist-alternative", Verdict.DOES_NOT_HOLD),
        ("caption-figure-4", Verdict.DOES_NOT_HOLD),
        ("further-validation", Verdict.NOT_CHECKABLE),
    ],
)
def test_what_the_chapters_before_have_shown_comes_out(name, verdict):
    assert findings()[f"statement.{name}"].verdict == verdict


@pytest.mark.parametrize(
    "names",
    [
        ("abstract-correlation", "results-correlation"),
        ("abstract-rmse", "results-rmse"),
        ("abstract-strong", "results-strong"),
        ("caption-table-4", "caption-table-6"),
        ("binary-outcome", "probabilistic-event"),
        ("resembles-trial", "equal-probability", "exchangeability"),
        ("abstract-simulated", "solely-simulated"),
        ("compared-to-truth", "caption-table-7"),
        ("three-levels", "individual-level", "sigma-eta"),
    ],
)
def test_a_fact_has_one_verdict_wherever_the_paper_says_it(names):
    assert len({findings()[f"statement.{name}"].verdict for name in names}) == 1


def test_what_is_said_twice_in_parts_has_the_same_answers():
    def claims(name):
        return findings()[f"statement.{name}"].claims

    assert claims("cates-compared").items() >= {**claims("cate-for-each"), **claims("compared-to-truth")}.items()
    in_law = "values beyond the limits were cut off, not moved onto them"
    assert claims("age-law")[in_law] == claims("bmi-law")[in_law] == claims("listing-1-truncate")[in_law]
    assert claims("low-risk-harmed")["treatment raises the risk of some of Q1"] == all(claims("q1-harmful").values())


def test_with_the_true_effects_reversed_the_reading_would_have_been_right():
    ours, other = verdicts(findings()), verdicts(all_findings(reversed_case()))
    for name in ("high-risk-benefit", "low-risk-harmed", "low-risk-no-benefit", "q1-harmful", "efficacy-increases"):
        assert ours[f"statement.{name}"] != Verdict.HOLDS
        assert other[f"statement.{name}"] in {Verdict.HOLDS, Verdict.HOLDS_IN_PART} - {ours[f"statement.{name}"]}
    assert ours["statement.gamma-2"] == Verdict.HOLDS
    assert other["statement.gamma-2"] == Verdict.DOES_NOT_HOLD


@pytest.mark.slow
def test_every_claim_can_be_true_and_can_be_false(monkeypatch):
    answers = defaultdict(set)

    def ask(case):
        for name, found in all_findings(case).items():
            for claim, holds in found.claims.items():
                answers[name, claim].add(holds)

    for case in worlds().values():
        ask(case)
    for another in (paper_with_other_numbers, paper_without_gender):
        with another(monkeypatch):
            ask(paper_case())
    assert [claim for claim, given in answers.items() if len(given) == 1] == []


def with_coefficients(**effect: float) -> Case:
    return replace(paper_case(), truth=with_effects(**effect))


def test_a_described_sign_makes_its_statement_hold():
    found = section_2_1.equations(with_coefficients(obese=0.5, diabetes=0.0))["statement.gamma-3"]
    assert found.verdict == Verdict.HOLDS
    base = section_2_1.equations(with_coefficients(base=0.4))["statement.gamma-0"]
    assert base.claims == {"it is an increase": True, "it is the average": False}


def test_a_formula_without_the_other_modifiers_still_lacks_the_step_at_65():
    def verdict(**effect):
        return section_2_1.equations(with_coefficients(**effect))["statement.equation-3"].verdict

    assert verdict(diabetes=0.0, prior_bleeding=0.0) == Verdict.DOES_NOT_HOLD
    assert verdict(diabetes=0.0, prior_bleeding=0.0, age_per_decade=0.0) == Verdict.HOLDS


def test_one_patient_whose_risk_is_not_logistic_is_noticed():
    other = paper_case().r_trial.copy()
    other.loc[7, "baseline_risk"] += 1e-6
    found = section_2_1.equations(replace(paper_case(), r_trial=other))
    for name in ("equation-1", "equation-2", "probabilistic-event"):
        assert found[f"statement.{name}"].verdict == Verdict.DOES_NOT_HOLD


def test_a_coin_that_asks_the_patient_is_noticed():
    code = {**paper_case().code, "second_draw": ("rbinom(n_subjects, 1, 0.4 + 0.2 * (age > 65))",)}
    found = section_2_1.data(replace(paper_case(), code=code))
    assert found["statement.exchangeability"].verdict == Verdict.DOES_NOT_HOLD


def test_a_right_risk_is_seldom_off_by_a_factor_of_two():
    """The claim on Table 8's risks fails a model with the true mean risk as often as its evidence says."""
    patients, risk, rng = 200, 0.05, np.random.default_rng(5)
    rates = rng.binomial(patients, risk, 200_000) / patients
    outside = np.mean(~((risk / rates.clip(1e-9) > 0.5) & (risk / rates.clip(1e-9) < 2)))
    expected = sections_3_4.chance_of_a_factor_of_two(patients, risk)
    assert outside == pytest.approx(expected, abs=4 * np.sqrt(expected / 200_000))
    assert sections_3_4.chance_of_a_factor_of_two(1016, float(paper_case().truth.baseline_risk.mean())) < 1e-3


def test_a_number_of_table_1_that_is_lost_is_noticed():
    variants = paper_case().variants.copy()
    variants.loc[TrialVariant.AS_PRINTED, TABLE_1] = 89
    found = sections_3_4.limitations(replace(paper_case(), variants=variants))
    assert found["statement.solely-simulated"].verdict == Verdict.DOES_NOT_HOLD


def test_a_prior_that_is_another_is_noticed():
    text = (REFERENCE / "jags_listing2.txt").read_text(encoding="utf-8")
    text = text.replace("b_trt ~ dnorm(0, 1)", "b_trt ~ dnorm(0, 4)")
    found = section_2_2.model(replace(paper_case(), jags=listing_2_model(text)))
    assert found["statement.equation-10"].verdict == Verdict.DOES_NOT_HOLD
    assert found["statement.hyperpriors"].verdict == Verdict.HOLDS


def test_only_the_modifiers_of_listing_2_move_an_effect():
    moved = sections_3_4.moving_covariates(paper_case())
    assert {name for name, moves in moved.items() if moves} == {"age", "anticoagulant", "diabetes"}
    assert len(moved) == 10


def test_a_number_of_the_prose_is_compared_with_its_own_decimals():
    assert paper_case().printed_metric("correlation", "0.78").verdict == Verdict.DOES_NOT_HOLD
    assert paper_case().printed_metric("correlation", "0.7").verdict == Verdict.HOLDS
    assert paper_case().printed_metric("rmse", "0.5").verdict == Verdict.HOLDS


def test_rows_are_plain_values():
    assert rows(paper_case().variants)[str(TrialVariant.AS_PRINTED)][TABLE_1] == 90
