"""Every statement has a finding, and the findings change when what they are about changes."""

from dataclasses import replace
from functools import cache

import pytest
from audit_cases import paper_case, paper_proofs, reversed_case

from hte_utils.audit import (
    about_data,
    about_diagnostics,
    about_discussion,
    about_equations,
    about_introduction,
    about_model,
    about_results,
    decisions,
)
from hte_utils.audit.case import Case
from hte_utils.audit.common import printed_metric, rows
from hte_utils.audit.data_variants import TABLE_1
from hte_utils.audit.proofs import Proofs
from hte_utils.ledger import Finding, Verdict
from hte_utils.paper.statements import statement, statements
from hte_utils.trial import EffectCoefficients, ListingCoefficients, TrialVariant, simulate_truth


def all_findings(case: Case, proofs: Proofs) -> list[dict[str, Finding]]:
    return [
        about_introduction.abstract(case, proofs),
        about_introduction.introduction(case, proofs),
        about_data.data(case, proofs),
        about_equations.equations(case),
        about_equations.listing_1(case, proofs),
        about_model.model(case, proofs),
        about_model.listing_2(case, proofs),
        about_diagnostics.diagnostics(case),
        about_results.results(case),
        about_discussion.discussion(case, proofs),
        about_discussion.limitations(case, proofs),
        about_discussion.traces_and_densities(),
    ]


@cache
def findings() -> dict[str, Finding]:
    return {name: found for part in all_findings(paper_case(), paper_proofs()) for name, found in part.items()}


def verdicts(case: Case) -> dict[str, Verdict]:
    proofs = replace(paper_proofs(), bleeds=decisions.bleeds_by_rule(case))
    return {name: found.verdict for part in all_findings(case, proofs) for name, found in part.items()}


def with_truth(**effect: float) -> Case:
    """The paper's case, had Listing 1 other coefficients of the effect."""
    truth = simulate_truth(coefficients=ListingCoefficients(effect=EffectCoefficients(**effect)))
    return replace(paper_case(), truth=truth)


def test_each_statement_has_one_finding():
    names = [name for part in all_findings(paper_case(), paper_proofs()) for name in part]
    assert sorted(names) == sorted(one.id for one in statements())


def test_findings_stand_with_their_part_of_the_paper():
    parts = [{statement(name).item for name in part} for part in all_findings(paper_case(), paper_proofs())]
    assert parts[1] == {"Section 1.1", "Section 1.2"}
    assert all(len(part) == 1 for part in parts[:1] + parts[2:])


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("equal-probability", Verdict.HOLDS),
        ("minimize-unconfoundedness", Verdict.DOES_NOT_HOLD),
        ("gender-law", Verdict.HOLDS_IN_PART),
        ("age-law", Verdict.HOLDS_IN_PART),
        ("hyperpriors", Verdict.HOLDS),
        ("three-levels", Verdict.HOLDS_IN_PART),
        ("individual-level", Verdict.DOES_NOT_HOLD),
        ("geweke-within-2", Verdict.DOES_NOT_HOLD),
        ("high-risk-benefit", Verdict.DOES_NOT_HOLD),
        ("frequentist-alternative", Verdict.DOES_NOT_HOLD),
        ("caption-figure-4", Verdict.DOES_NOT_HOLD),
        ("further-validation", Verdict.NOT_CHECKABLE),
    ],
)
def test_what_the_chapters_before_have_shown_comes_out(name, verdict):
    assert findings()[f"statement.{name}"].verdict == verdict


def test_with_the_true_effects_reversed_the_reading_would_have_been_right():
    ours, other = verdicts(paper_case()), verdicts(reversed_case())
    for name in ("high-risk-benefit", "low-risk-harmed", "low-risk-no-benefit", "q1-harmful"):
        assert ours[f"statement.{name}"] == Verdict.DOES_NOT_HOLD
        assert other[f"statement.{name}"] != Verdict.DOES_NOT_HOLD
    assert ours["statement.gamma-2"] == Verdict.HOLDS
    assert other["statement.gamma-2"] == Verdict.DOES_NOT_HOLD
    assert other["statement.listing-1-effect"] == Verdict.DOES_NOT_HOLD


def test_a_described_sign_makes_its_statement_hold():
    found = about_equations.equations(with_truth(obese=0.5, diabetes=0.0))["statement.gamma-3"]
    assert found.verdict == Verdict.HOLDS
    base = about_equations.equations(with_truth(base=0.4))["statement.gamma-0"]
    assert base.claims == {"it is an increase": True, "it is the average": False}


def test_a_formula_without_the_other_modifiers_still_lacks_the_step_at_65():
    claims = about_equations.equations(with_truth(diabetes=0.0, prior_bleeding=0.0))["statement.equation-3"].claims
    assert list(claims.values()) == [True, False]
    stepless = with_truth(diabetes=0.0, prior_bleeding=0.0, age_per_decade=0.0)
    assert about_equations.equations(stepless)["statement.equation-3"].verdict == Verdict.HOLDS


def test_a_small_effect_makes_equation_4_a_probability():
    hardly_any = dict.fromkeys(("base", "age_per_decade", "diabetes", "obese", "prior_bleeding"), 0.0)
    case = with_truth(**hardly_any, anticoagulant=1e-11)
    assert about_equations.equations(case)["statement.equation-4"].verdict == Verdict.HOLDS


def test_a_number_of_table_1_that_is_lost_is_noticed():
    variants = paper_proofs().variants.copy()
    variants.loc[TrialVariant.AS_PRINTED, TABLE_1] = 89
    found = about_discussion.limitations(paper_case(), replace(paper_proofs(), variants=variants))
    assert found["statement.solely-simulated"].verdict == Verdict.DOES_NOT_HOLD


def test_a_prior_that_is_another_is_noticed():
    variables = paper_proofs().variables.copy()
    variables.loc["b_trt", "second"] = 2.0
    found = about_model.model(paper_case(), replace(paper_proofs(), variables=variables))
    assert found["statement.equation-10"].verdict == Verdict.DOES_NOT_HOLD
    assert found["statement.hyperpriors"].verdict == Verdict.HOLDS


def test_only_the_modifiers_of_listing_2_move_an_effect():
    moved = about_results.moving_covariates(paper_case())
    assert {name for name, moves in moved.items() if moves} == {"age", "anticoagulant", "diabetes"}
    assert len(moved) == 10


def test_a_number_of_the_prose_is_compared_with_its_own_decimals():
    assert list(printed_metric(paper_case(), "correlation", "0.78").claims.values()) == [True, False]
    assert list(printed_metric(paper_case(), "correlation", "0.7").claims.values()) == [False, True]
    assert printed_metric(paper_case(), "rmse", "0.5").verdict == Verdict.HOLDS


def test_rows_are_plain_values():
    assert rows(paper_proofs().variants)[str(TrialVariant.AS_PRINTED)][TABLE_1] == 90
